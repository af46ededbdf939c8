"""One 2-D plane that is read later, off the GUI thread, and no more of it than is needed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from napari_sam2.session.masks import Box
from napari_sam2.session.view import View

Read = Callable[[Box, float], tuple[NDArray[Any], ...]]
"""Gives a region of a plane, one array (h, w) or (h, w, 3) per channel.

The second argument is how many pixels of the plane, along each axis, one that is read may stand
for: a pyramid is read at the coarsest level that is fine enough. All else is read as it is.
"""


_PLAIN = View()


@dataclass(frozen=True)
class PlaneImage:
    """One 2-D plane.

    Attributes
    ----------
    key : Hashable
        Where the plane comes from; planes with equal keys, shapes and views are the same.
    shape : (H, W)
        Size in pixels.
    read : callable
        Gives the pixels of a region, see `Read`.
    view : View
        How they are shown to the model.
    levels : tuple of float
        How many pixels of the plane one of each level of a pyramid stands for, ascending.
    """

    key: Hashable
    shape: tuple[int, int]
    read: Read = field(compare=False, repr=False)
    view: View = _PLAIN
    levels: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, key: Hashable, plane: NDArray[Any], view: View | None = None) -> PlaneImage:
        """Make one of an array, (H, W) or (H, W, 3), which is kept and not copied."""
        shape = (int(plane.shape[0]), int(plane.shape[1]))
        return cls(key, shape, ArrayReader(plane), _PLAIN if view is None else view)

    @property
    def whole(self) -> Box:
        """The region of all pixels."""
        return 0, 0, *self.shape

    def pixels(self) -> NDArray[Any]:
        """Read all pixels of the first channel."""
        return self.read(self.whole, 1.0)[0]


@dataclass(frozen=True, eq=False)
class ArrayReader:
    """Reads regions of an array in memory."""

    plane: NDArray[Any]

    def __call__(self, region: Box, _step: float) -> tuple[NDArray[Any], ...]:
        """Give a region; see `Read`."""
        y0, x0, y1, x1 = region
        return (self.plane[y0:y1, x0:x1],)
