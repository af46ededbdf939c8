"""Masks and pictures whose truth is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import PackedMask
from napari_sam2.training.data import Picture

SHAPE = (30, 40)
Mask = NDArray[np.bool_]


def rectangle(y0: int, x0: int, y1: int, x1: int, shape: tuple[int, int] = SHAPE) -> Mask:
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def packed(*edges: int) -> PackedMask:
    y0, x0, y1, x1 = edges
    return PackedMask.of(rectangle(y0, x0, y1, x1))


def picture(*masks: Mask, name: str = "fluo_1") -> Picture:
    """Black, with labels 10, 20, ..."""
    labels = np.zeros(SHAPE, np.int32)
    for label, mask in enumerate(masks, start=1):
        labels[mask] = label * 10
    return Picture(name, name.split("_")[0], np.zeros((*SHAPE, 3), np.uint8), labels)
