"""What may be tidied of a mask before it is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.session.masks import PackedMask

_TOUCHING = np.ones((3, 3), bool)  # pixels that meet at a corner belong together


@dataclass(frozen=True)
class Cleanup:
    """Smooths, fills and drops, in this order; all off by default.

    The work depends on the size of the object, not of the plane. An object never vanishes.

    Attributes
    ----------
    fill_holes : bool
        Fill background that the object encloses. A bay that the border of the plane closes off
        is not enclosed: nobody can see whether it goes on.
    min_area : int
        Drop parts with fewer pixels than this; the largest part always stays. Pixels that meet
        at a corner are of one part.
    smooth : int
        Radius in pixels of a median filter: bumps, cracks and threads narrower than about this
        go, straight edges stay. The plane counts as mirrored at its border. A mask of which
        nothing would be left stays as it is.
    """

    fill_holes: bool = False
    min_area: int = 0
    smooth: int = 0

    def __post_init__(self) -> None:
        for name, value in (("min_area", self.min_area), ("smooth", self.smooth)):
            if value < 0:
                raise ValueError(f"{name} must be a number of pixels, got {value}. Use 0 for off.")

    def __bool__(self) -> bool:
        return self.fill_holes or self.min_area > 1 or self.smooth > 0

    def apply(self, mask: PackedMask) -> PackedMask:
        """Give the tidied mask; the same one when all is off."""
        if not (self and mask):
            return mask
        y0, x0, y1, x1 = mask.box
        top, left = max(y0 - self.smooth, 0), max(x0 - self.smooth, 0)
        bottom, right = min(y1 + self.smooth, mask.shape[0]), min(x1 + self.smooth, mask.shape[1])
        part = mask.crop((top, left, bottom, right))
        if self.smooth:
            part = _smoothed(part, self.smooth)
        if self.fill_holes:
            part = ndimage.binary_fill_holes(part)
        if self.min_area > 1:
            part = _without_islands(part, self.min_area)
        return PackedMask.of(part, (top, left), mask.shape)


def _smoothed(part: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Filter by the median of a disc, for which running sums along the rows are enough."""
    height, width = part.shape
    padded = np.pad(part, radius, mode="symmetric")
    sums = np.pad(padded, ((0, 0), (1, 0))).cumsum(axis=1, dtype=np.int32)
    inside = np.zeros(part.shape, np.int32)
    disc_area = 0
    for dy in range(-radius, radius + 1):
        half = math.isqrt(radius * radius - dy * dy)
        rows = sums[radius + dy : radius + dy + height]
        first, after = radius - half, radius + half + 1
        inside += rows[:, after : after + width]
        inside -= rows[:, first : first + width]
        disc_area += 2 * half + 1
    smooth = 2 * inside > disc_area
    return smooth if smooth.any() else part


def _without_islands(part: NDArray[np.bool_], min_area: int) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(part, _TOUCHING)
    areas = np.bincount(parts.ravel())
    areas[0] = 0  # the background
    stays = areas >= min_area
    stays[areas.argmax()] = True
    kept: NDArray[np.bool_] = stays[parts]
    return kept
