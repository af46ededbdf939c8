"""Where the model has looked, and where it is to look next."""

from __future__ import annotations

from collections.abc import Hashable

from napari_sam2.session.boxes import meet
from napari_sam2.session.masks import Box
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.regions import FieldOfView, Mode, serves
from napari_sam2.session.results import Prediction

_MOST_AT_HAND = 8  # regions, as long as the features of each are likely to be kept


class Sight:
    """Remembers regions of one image, so that neighbouring clicks use them again.

    Attributes
    ----------
    mode : str
        "auto", "whole", "visible" or "fixed"; see `use`.
    field : FieldOfView
        For the next question; see `look`.
    """

    def __init__(self) -> None:
        self.mode: Mode = "auto"
        self.field = FieldOfView("auto")
        self._asked: Hashable = None  # what `field` was made for
        self._axes: tuple[int, int] | None = None  # along which the regions lie
        self._fixed: Box | None = None
        self._near: Box | None = None
        self._source: Hashable = None  # what `_at_hand` was embedded of, and by what
        self._at_hand: tuple[Box, ...] = ()

    @property
    def fixed(self) -> Box | None:
        """The fixed region, if there is one."""
        return self._fixed

    def forget(self) -> None:
        """Begin with another image."""
        self._asked = self._axes = self._fixed = self._near = None
        self._source, self._at_hand = None, ()

    def use(self, mode: Mode, present: Box | None) -> None:
        """Choose where to look.

        Parameters
        ----------
        mode : str
            As in `FieldOfView`.
        present : (y0, x0, y1, x1) or None
            The region to be fixed. Without it, the next answer's is.
        """
        self.mode, self._asked = mode, None
        self._fixed = present if mode == "fixed" else None

    def look(self, plane: Plane, prompts: Prompts, seen: Box | None, *, goes_on: bool) -> None:
        """Take note of what is on screen, unless the same prompts were there before.

        What is on screen while prompts are placed belongs to the question: it is not asked anew
        because the camera has moved on.

        Parameters
        ----------
        plane : Plane
            On screen.
        prompts : Prompts
            On it.
        seen : (y0, x0, y1, x1) or None
            The part of it that is on screen.
        goes_on : bool
            Whether the object at work has masks on other planes: it is looked for where it was.
        """
        if self._axes not in (None, plane.axes):
            self.forget()
        self._axes = plane.axes
        asked = (plane, prompts)
        if prompts and asked == self._asked:
            return
        self._asked = asked
        if not prompts and goes_on and seen and self._near and meet(seen, self._near):
            seen = self._near
        if self.mode == "whole":
            self.field = FieldOfView("whole")
        elif self._fixed is not None:
            self.field = FieldOfView("fixed", self._fixed)
        else:
            mode = "auto" if self.mode == "fixed" else self.mode
            self.field = FieldOfView(mode, seen, self._near, self._at_hand)

    def look_anew(self) -> None:
        """Let the next `look` take note, whatever the prompts are."""
        self._asked = None

    def take_in(self, prediction: Prediction) -> None:
        """Remember which region was looked at, whatever has become of the answer."""
        request, region = prediction.request, _region_of(prediction)
        if not self.has_seen(request):
            self._source, self._at_hand = _source_of(request), ()
        others = [known for known in self._at_hand if known != region]
        self._at_hand = (region, *others[: _MOST_AT_HAND - 1])

    def follow(self, prediction: Prediction) -> None:
        """Stay where an object was found."""
        if prediction.candidates:
            self._near = _region_of(prediction)
            if self.mode == "fixed" and self._fixed is None:
                self._fixed, self._asked = self._near, None

    def has_seen(self, request: Request) -> bool:
        """Tell whether the plane of a request was looked at last, by its model."""
        return self._source == _source_of(request)

    def is_ready(self, request: Request) -> bool:
        """Tell whether what is on screen was looked at, by the model of a request."""
        shape = request.image.shape
        return self.has_seen(request) and any(
            serves(region, self.field, shape) for region in self._at_hand
        )


def _source_of(request: Request) -> Hashable:
    image = request.image  # whose pixels must not be kept alive
    return image.key, image.shape, image.view, request.model, request.device


def _region_of(prediction: Prediction) -> Box:
    return prediction.region or prediction.request.image.whole
