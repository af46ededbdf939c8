from __future__ import annotations

import numpy as np

from napari_sam2.session.gaps import between
from napari_sam2.session.masks import PackedMask

SHAPE = (40, 60)


def square(y: int, x: int, side: int) -> PackedMask:
    mask = np.zeros(SHAPE, bool)
    mask[y : y + side, x : x + side] = True
    return PackedMask.of(mask)


def test_sizes_change_in_even_steps() -> None:
    found = between(square(10, 10, 6), square(6, 6, 14), 3)
    sides = [mask.box[2] - mask.box[0] for mask in found]
    assert sides == [8, 10, 12]
    assert all(mask.shape == SHAPE for mask in found)


def test_what_travels_is_met_half_way() -> None:
    (found,) = between(square(10, 0, 8), square(10, 40, 8), 1)
    assert found == square(10, 20, 8)


def test_equal_masks_stay() -> None:
    mask = square(3, 50, 7)
    assert between(mask, mask, 2) == [mask, mask]
