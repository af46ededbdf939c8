"""What may be tidied of a mask before it is kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.parts import LARGE_PLANE

Point = tuple[float, float]
_TOUCHING = np.ones((3, 3), bool)  # pixels that meet at a corner belong together


@dataclass(frozen=True)
class Cleanup:
    """Keeps what was clicked, smooths, fills and drops, in this order.

    The work depends on the size of the object, not of the plane. An object never vanishes.

    Attributes
    ----------
    only_clicked : bool
        Keep only the parts that were clicked, where any was; on by default, for an object is most
        often of one piece. Masks of a box alone, and those that were followed, keep all parts.
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

    only_clicked: bool = True
    fill_holes: bool = False
    min_area: int = 0
    smooth: int = 0

    def __post_init__(self) -> None:
        for name, value in (("min_area", self.min_area), ("smooth", self.smooth)):
            if value < 0:
                raise ValueError(f"{name} must be a number of pixels, got {value}. Use 0 for off.")

    def apply(self, mask: PackedMask, clicks: Sequence[Point] = ()) -> PackedMask:
        """Give the tidied mask; the same one when there is nothing to do.

        Parameters
        ----------
        mask : PackedMask
        clicks : sequence of (y, x)
            Points on the object, as in `Prompts`.
        """
        if self.only_clicked:
            mask = clicked_parts(mask, tuple(clicks))
        if not mask or not (self.fill_holes or self.min_area > 1 or self.smooth > 0):
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


RAW = Cleanup(only_clicked=False)
"""Leaves masks as the model made them."""


@lru_cache(maxsize=8)  # the candidates of an answer, which are shown more than once
def clicked_parts(mask: PackedMask, clicks: tuple[Point, ...]) -> PackedMask:
    """Keep the parts of a mask that clicks (y, x) lie in; all if none does, or if it is huge."""
    y0, x0, y1, x1 = mask.box
    if not (mask and clicks) or (y1 - y0) * (x1 - x0) > LARGE_PLANE:
        return mask
    parts, count = ndimage.label(mask.crop(), _TOUCHING)
    if count < 2:
        return mask
    pixels = [(math.floor(y + 0.5), math.floor(x + 0.5)) for y, x in clicks]
    clicked = {parts[y - y0, x - x0] for y, x in pixels if y0 <= y < y1 and x0 <= x < x1} - {0}
    if not clicked or len(clicked) == count:
        return mask
    return PackedMask.of(np.isin(parts, list(clicked)), (y0, x0), mask.shape)


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
