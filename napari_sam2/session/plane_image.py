"""One 2-D plane that is read later, off the GUI thread, and no more of it than is needed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from napari_sam2.session.boxes import contains
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


class LastRead:
    """Reads, and keeps what was read last: a part of it is not read again.

    Parameters
    ----------
    read : Read
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._kept: tuple[Box, tuple[NDArray[Any], ...]] | None = None

    def __call__(self, region: Box, step: float) -> tuple[NDArray[Any], ...]:
        """Give the pixels of a region, at least as fine as asked for."""
        if self._kept is not None:
            (y0, x0, y1, x1), pixels = self._kept
            is_whole = all(part.shape[:2] == (y1 - y0, x1 - x0) for part in pixels)
            if is_whole and contains((y0, x0, y1, x1), region):
                rows, columns = (
                    slice(low - start, high - start)
                    for low, high, start in ((region[0], region[2], y0), (region[1], region[3], x0))
                )
                return tuple(part[rows, columns] for part in pixels)
        pixels = self._read(region, step)
        self._kept = region, pixels
        return pixels
