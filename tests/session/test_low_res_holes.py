from __future__ import annotations

import torch

from napari_sam2.session.low_res_holes import fill_holes


def test_small_holes_are_filled_and_large_ones_are_not() -> None:
    logits = torch.full((1, 2, 12, 12), 5.0)
    logits[0, 0, 2:4, 2:4] = -3.0  # 4 pixels
    logits[0, 0, 4, 4] = -1.0  # meets it at a corner: 5 in all
    logits[0, 0, 7:10, 7:10] = -2.0  # 9 pixels
    logits[0, 1, 0, 11] = 0.0  # at the border, and 0 is background
    filled = fill_holes(logits, 8)
    assert (filled[0, 0, 2:5, 2:5] > 0).all()
    assert filled[0, 0, 4, 4] == torch.tensor(0.1)
    assert (filled[0, 0, 7:10, 7:10] == -2).all()
    assert filled[0, 1, 0, 11] == torch.tensor(0.1)
    assert torch.equal(filled[logits > 0], logits[logits > 0])


def test_a_mask_without_foreground_stays() -> None:
    logits = torch.full((1, 1, 6, 6), -1024.0)
    assert torch.equal(fill_holes(logits, 8), logits)
