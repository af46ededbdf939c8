from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam2.model.outputs import MaskOutput
from napari_sam2.session.box_edges import ends_at_box, is_box_alone
from napari_sam2.session.masks import Box
from napari_sam2.session.prompts import LowResMask, Prompts

BOX = Prompts(box=(16.0, 32.0, 48.0, 96.0))
WHOLE: Box = (0, 0, 64, 128)


def undecided(masks: int = 1, side: int = 32) -> MaskOutput:
    """An output that knows nothing: logits 0."""
    return MaskOutput(torch.zeros(1, masks, side, side), torch.ones(1, masks), torch.ones(1))


def test_a_box_alone_is_known_by_its_edges() -> None:
    assert is_box_alone(BOX)


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(),
        Prompts(((20.0, 40.0),), (1,)),
        Prompts(((20.0, 40.0),), (0,), BOX.box),
        Prompts((), (), BOX.box, LowResMask.of(np.zeros((8, 8), np.float32))),
    ],
)
def test_anything_else_is_left_to_the_model(prompts: Prompts) -> None:
    assert not is_box_alone(prompts)


def test_where_the_model_is_undecided_the_box_decides() -> None:
    for logits in ends_at_box(undecided(3), BOX, WHOLE).low_res_masks[0].numpy():
        expected = np.zeros((32, 32), bool)
        expected[8:24, 8:24] = True  # coarse pixels of 2 rows and 4 columns
        assert ((logits > 0) == expected).all()


def test_the_box_lies_where_the_region_says() -> None:
    region: Box = (16, 32, 48, 64)  # its left half
    logits = ends_at_box(undecided(side=16), BOX, region).low_res_masks[0, 0]
    assert (logits[1:15, 1:] > 0).all()
    # Far from every edge of the box it is as sure as it gets.
    assert logits[8, 15] == logits.max() == pytest.approx(1.3, abs=0.01)


def test_what_the_model_is_sure_of_stays() -> None:
    sure = undecided()
    sure.low_res_masks[..., :16] = 4.0
    sure.low_res_masks[..., 16:] = -4.0
    after = ends_at_box(sure, BOX, WHOLE)
    assert ((after.low_res_masks > 0) == (sure.low_res_masks > 0)).all()
    assert after.iou_predictions is sure.iou_predictions
    assert sure.low_res_masks.max() == 4.0  # not written into


def test_a_box_thinner_than_a_pixel_gives_numbers() -> None:
    thin = Prompts(box=(20.0, 30.0, 20.001, 90.0))
    assert torch.isfinite(ends_at_box(undecided(), thin, WHOLE).low_res_masks).all()
