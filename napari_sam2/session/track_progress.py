"""A track on its way: which masks are believed, what fills the gaps, and when it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from napari_sam2.session.contrast import Contrast
from napari_sam2.session.gaps import between
from napari_sam2.session.masks import PackedMask, iou
from napari_sam2.session.tracks import PropagationOptions, StopRules, TrackedMask

_REMEMBERED = 5  # good masks that the next one is compared with
_SEEN = 10  # good masks whose contrast is remembered: of a movie that bleaches, not all
_SMALL = 64  # pixels: below, areas jump by themselves


class TrackProgress:
    """Takes the masks of one object in the order in which they are found, and gives them on.

    Bad ones are held back as long as patience lasts; then the track ends.

    Parameters
    ----------
    options : PropagationOptions
    """

    def __init__(self, options: PropagationOptions) -> None:
        self._rules = options.stop
        self._close_gaps = options.close_gaps
        self._areas: deque[int] = deque(maxlen=_REMEMBERED)
        self._contrasts: deque[Contrast] = deque(maxlen=_SEEN)
        self._last: PackedMask | None = None
        self._held: list[TrackedMask] = []
        self.has_ended = False

    def trust(self, mask: PackedMask, contrast: Contrast | None = None) -> list[TrackedMask]:
        """Go on, or begin anew, from a mask that the user gave, and its contrast."""
        found = self._through_gap(mask)
        self._areas.clear()
        self._contrasts.clear()
        self._remember(contrast)
        if mask:
            self._areas.append(mask.area)
        self._last = mask
        self.has_ended = False
        return found

    def add(
        self, tracked: TrackedMask, contrast: Contrast | None = None
    ) -> tuple[bool, list[TrackedMask]]:
        """Judge the next mask, and its contrast as `contrast_of` gives it.

        Returns
        -------
        is_good : bool
        found : list of TrackedMask
            What is known now, of this frame and of frames before.
        """
        area = tracked.mask.area
        why = objection(tracked, self._last, self._areas, self._rules)
        why = why or _fading(contrast, self._contrasts, self._rules.min_contrast)
        if not why:
            found = [*self._through_gap(tracked.mask), tracked]
            self._areas.append(area)
            self._remember(contrast)
            self._last = tracked.mask
            return True, found
        self._held.append(replace(tracked, mask=PackedMask(tracked.mask.shape), stop=why))
        return False, self.end() if len(self._held) > self._rules.patience else []

    def end(self) -> list[TrackedMask]:
        """Give what is held back; the first of it says why the track ends."""
        held, self._held = self._held, []
        self.has_ended = bool(held) or self.has_ended
        return held[:1] + [replace(one, stop="") for one in held[1:]]

    def _remember(self, contrast: Contrast | None) -> None:
        if contrast is not None and contrast.is_clear:
            self._contrasts.append(contrast)

    def _through_gap(self, mask: PackedMask) -> list[TrackedMask]:
        held, self._held = self._held, []
        gap = [replace(one, stop="") for one in held]
        if not (gap and self._close_gaps and self._last and mask):
            return gap
        shapes = between(self._last, mask, len(gap))
        return [
            replace(one, mask=shape, role="filled") for one, shape in zip(gap, shapes, strict=True)
        ]


def objection(
    tracked: TrackedMask, last: PackedMask | None, areas: Sequence[int], rules: StopRules
) -> str:
    """Say what is wrong with a mask, compared with the last good ones; nothing if it is good."""
    area, least = tracked.mask.area, rules.min_object_score
    if least is not None and tracked.object_score <= least:
        return f"the object is gone or hidden (object score {tracked.object_score:.1f})"
    if least is not None and area == 0:
        return "the object is gone (its mask is empty)"
    before = median(areas) if areas else area
    growth, shrinkage = rules.max_growth, rules.max_shrinkage
    if growth is not None and area > growth * max(before, _SMALL):
        return f"the area grew from {before:g} to {area} pixels, more than {growth:g} times"
    if shrinkage is not None and max(area, _SMALL) * shrinkage < before:
        return f"the area shrank from {before:g} to {area} pixels, more than {shrinkage:g} times"
    if last and rules.min_overlap is not None:
        overlap = iou(tracked.mask, last)
        if overlap < rules.min_overlap:
            return f"the mask is elsewhere (it shares {overlap:.0%} with the last one)"
    return ""


def _fading(contrast: Contrast | None, before: Sequence[Contrast], least: float | None) -> str:
    if least is None or contrast is None or not before:
        return ""
    left = contrast.difference / max((one.difference for one in before), key=abs)
    return f"it fades ({max(left, 0):.0%} of its contrast is left)" if left < least else ""
