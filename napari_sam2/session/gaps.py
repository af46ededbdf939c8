"""Masks between two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.session.masks import PackedMask, around


def between(before: PackedMask, after: PackedMask, count: int) -> list[PackedMask]:
    """Give `count` masks that lead from one mask to another in even steps.

    Shapes change by their distance to the border, and move with their middles: an object that
    travels is not lost on the way.
    """
    steps = [step / (count + 1) for step in range(1, count + 1)]
    return [_blend(before, after, weight) for weight in steps]


def _blend(before: PackedMask, after: PackedMask, weight: float) -> PackedMask:
    (y0, x0), (y1, x1) = _middle(before), _middle(after)
    at = y0 + weight * (y1 - y0), x0 + weight * (x1 - x0)
    box = around(before, after)
    depth = [
        ndimage.shift(_depth(mask, box), (at[0] - y, at[1] - x), order=1, mode="nearest")
        for mask, (y, x) in ((before, (y0, x0)), (after, (y1, x1)))
    ]
    inside = (1 - weight) * depth[0] + weight * depth[1] > 0
    return PackedMask.of(inside, (box[0], box[1]), before.shape)


def _depth(mask: PackedMask, box: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """Give how far each pixel of a box is inside the mask, negative outside."""
    inside = np.pad(mask.crop(box), 1)
    depth = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return np.asarray(depth[1:-1, 1:-1])


def _middle(mask: PackedMask) -> tuple[float, float]:
    rows, columns = mask.pixels()
    return float(rows.mean()), float(columns.mean())
