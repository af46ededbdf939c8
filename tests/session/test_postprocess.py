from __future__ import annotations

import numpy as np
import torch

from napari_sam2.model.outputs import MaskOutput
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.postprocess import as_prediction, no_prediction, to_candidates
from napari_sam2.session.prompts import Prompts, Request

SHAPE = (6, 10)
REQUEST = Request(PlaneImage.of("key", np.zeros(SHAPE)), Prompts(((1, 2),), (1,)), object_id=3)


def output(ious: list[float], logits: torch.Tensor) -> MaskOutput:
    return MaskOutput(logits[None], torch.tensor([ious]), torch.tensor([1.5]))


def test_masks_are_enlarged_between_pixel_centres_and_cut_at_zero() -> None:
    logits = torch.tensor([[[-1.0, 1.0], [-1.0, 1.0]]])
    row = to_candidates(logits, (1, 8))[0].to_array()[0]
    # Centres of the two coarse pixels fall on 1.5 and 5.5: the zero lies at 3.5.
    np.testing.assert_array_equal(row, [False] * 4 + [True] * 4)


def test_exactly_zero_is_background() -> None:
    assert not to_candidates(torch.zeros(1, 4, 4), (9, 9))[0]


def test_shrinking_does_not_smooth() -> None:
    logits = torch.full((1, 9, 9), -1.0)
    logits[0, 4, 4] = 9.0  # the centre of the middle third, which alone is read
    (mask,) = to_candidates(logits, (3, 3))
    np.testing.assert_array_equal(mask.to_array(), np.eye(9)[4].reshape(3, 3) > 0)


def test_candidates_come_best_predicted_iou_first_with_their_own_masks() -> None:
    logits = torch.stack([torch.full((4, 4), value) for value in (-5.0, 7.0, -9.0)])
    prediction = as_prediction(REQUEST, output([0.2, 0.9, 0.5], logits))
    np.testing.assert_allclose(prediction.iou_predictions, [0.9, 0.5, 0.2])
    np.testing.assert_array_equal(prediction.low_res_masks[:, 0, 0], [7, -9, -5])
    np.testing.assert_array_equal(prediction.masks.all(axis=(1, 2)), [True, False, False])
    assert prediction.masks.shape == (3, *SHAPE)
    assert prediction.object_score == 1.5
    assert prediction.request is REQUEST


def test_equal_scores_keep_the_decoders_order() -> None:
    logits = torch.stack([torch.full((4, 4), value) for value in (1.0, 2.0, 3.0)])
    prediction = as_prediction(REQUEST, output([0.5, 0.5, 0.5], logits))
    np.testing.assert_array_equal(prediction.low_res_masks[:, 0, 0], [1, 2, 3])


def test_logits_are_clamped_but_the_masks_come_from_unclamped_ones() -> None:
    logits = torch.tensor([[[-33.0, 3300.0]] * 2])
    prediction = as_prediction(REQUEST, output([0.5], logits))
    np.testing.assert_array_equal(prediction.low_res_masks[0, 0], [-32, 32])
    # From clamped logits, the object would end at the middle.
    np.testing.assert_array_equal(prediction.mask[0], [False] * 3 + [True] * 7)


def test_results_have_the_promised_dtypes() -> None:
    prediction = as_prediction(REQUEST, output([0.5], torch.ones(1, 4, 4, dtype=torch.bfloat16)))
    assert prediction.masks.dtype == bool
    assert prediction.low_res_masks.dtype == np.float32
    assert prediction.iou_predictions.dtype == np.float32


def test_no_prompt_has_no_candidates_and_an_empty_mask() -> None:
    prediction = no_prediction(REQUEST, 4)
    assert prediction.masks.shape == (0, *SHAPE)
    assert prediction.low_res_masks.shape == (0, 4, 4)
    assert prediction.iou_predictions.shape == (0,)
    assert prediction.mask.shape == SHAPE
    assert not prediction.mask.any()
