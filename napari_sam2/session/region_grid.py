"""The regions that a plane is divided into: neighbouring clicks fall into the same one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from napari_sam2.session.boxes import has_room, longer_side, middle_of
from napari_sam2.session.masks import Box

_MOST_READ = 2**26  # pixels read for one region: 64 million, 128 MB of 16-bit values
_LARGEST = 2**28  # pixels of a region, whatever is read of them: its mask takes 256 MB for a moment
_CLOSEST = 4  # model pixels per pixel of the plane, at most: closer, there is nothing more to see
_ROUNDED = 1.02  # 100 000 pixels halved seven times are 781, which is not 128 times fewer
_MARGIN = 0.1  # of a region's side: a prompt nearer to its border may be of an object beyond it


@dataclass(frozen=True)
class RegionGrid:
    """Square regions of a plane, with sides that are powers of two and steps of half a side.

    A region is no wider than the plane; of an elongated plane it need not be square.

    Attributes
    ----------
    shape : (H, W)
        Size of the plane.
    image_size : int
        Side S of the model's square input.
    levels : tuple of float
        Of the plane's pyramid, see `PlaneImage`.
    """

    shape: tuple[int, int]
    image_size: int
    levels: tuple[float, ...] = (1.0,)

    @property
    def whole(self) -> Box:
        """The region of all pixels."""
        return 0, 0, *self.shape

    @cached_property
    def sides(self) -> tuple[int, ...]:
        """The sides that regions may have, ascending; all are smaller than the plane."""
        side = max(self.image_size // _CLOSEST, 1)
        sides = []
        while side < max(self.shape):
            sides.append(side)
            side *= 2
        return tuple(sides)

    def step(self, region: Box) -> float:
        """Give how many pixels of the plane a pixel of the model stands for, at least 1."""
        y0, x0, y1, x1 = region
        return max(min(y1 - y0, x1 - x0) / self.image_size, 1.0)

    def most_pixels(self, region: Box) -> int:
        """Give how many pixels a region may have, at the level at which it is read."""
        level = level_for(self.levels, self.step(region))
        return min(int(_MOST_READ * level**2), _LARGEST)

    def fits(self, region: Box) -> bool:
        """Tell whether memory is large enough for the pixels of a region, and for its masks."""
        y0, x0, y1, x1 = region
        return (y1 - y0) * (x1 - x0) <= self.most_pixels(region)

    def has_room(self, region: Box, box: Sequence[float]) -> bool:
        """Tell whether a box lies in a region, and not so near to its border as to be cut off."""
        return has_room(region, box, self.shape, _MARGIN)

    def around(self, box: Sequence[float], least: float = 0) -> Box:
        """Give the smallest region with room around a box and at least a side.

        Where none of them fits into memory, the largest that does.
        """
        region = self.whole
        for region in filter(self.fits, self._regions(middle_of(box))):
            if longer_side(region) >= least and self.has_room(region, box):
                break
        return region

    def _regions(self, middle: tuple[float, float]) -> Iterator[Box]:
        """Give the regions, ascending, whose middles are nearest to a place; then the whole."""
        for side in self.sides:
            y0, y1 = _snapped(side, middle[0], self.shape[0])
            x0, x1 = _snapped(side, middle[1], self.shape[1])
            yield y0, x0, y1, x1
        yield self.whole


def level_for(levels: Sequence[float], step: float) -> float:
    """Give the coarsest level of a pyramid that is fine enough for a step; else the finest."""
    fine_enough = (level for level in levels if level <= step * _ROUNDED)
    return max(fine_enough, default=min(levels))


def _snapped(side: int, middle: float, length: int) -> tuple[int, int]:
    """Give where a region of a side begins and ends along an axis: on multiples of half of it."""
    if side >= length:
        return 0, length
    half = side // 2 or 1
    start = min(max(round((middle - side / 2) / half), 0) * half, length - side)
    return start, start + side
