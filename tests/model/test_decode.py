"""Prompts of any number decode; shared features serve many prompts."""

from __future__ import annotations

import pytest
import torch

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.mask_decoder import single_mask
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures
from tests.configs import TINY


@pytest.fixture(scope="module")
def model() -> Sam2:
    torch.manual_seed(0)
    return build_sam2(TINY)


@pytest.fixture(scope="module")
def features(model: Sam2) -> ImageFeatures:
    with torch.inference_mode():
        return model.embed(torch.rand(1, 3, 64, 64))


@torch.inference_mode()
def test_shared_features_give_each_prompt_its_own_answer(
    model: Sam2, features: ImageFeatures
) -> None:
    coords = torch.tensor([[[10.0, 20.0]], [[50.0, 40.0]]])
    labels = torch.ones(2, 1, dtype=torch.int32)
    together = model.decode(features, coords, labels, multimask=True)
    alone = model.decode(features, coords[1:], labels[1:], multimask=True)
    assert together.low_res_masks.shape == (2, 3, 16, 16)
    torch.testing.assert_close(together.low_res_masks[1:], alone.low_res_masks)
    assert not torch.allclose(together.low_res_masks[0], together.low_res_masks[1])


@torch.inference_mode()
def test_no_prompt_decodes_too(model: Sam2, features: ImageFeatures) -> None:
    none = torch.zeros(1, 0, dtype=torch.int32)
    output = model.decode(features, torch.zeros(1, 0, 2), none, multimask=False)
    assert output.low_res_masks.shape == (1, 1, 16, 16)


def test_coordinates_and_labels_must_agree(model: Sam2, features: ImageFeatures) -> None:
    with pytest.raises(ValueError, match="one label per point"):
        model.decode(
            features, torch.zeros(1, 2, 2), torch.ones(1, 1, dtype=torch.int32), multimask=True
        )


def raw_output(single: float) -> DecoderOutput:
    masks = torch.full((1, 4, 4, 4), -5.0)
    masks[0, 0, :2] = 5.0
    masks[0, 0, 2] = single
    masks[0, 2] = 7.0
    return DecoderOutput(
        masks, torch.tensor([[0.9, 0.1, 0.6, 0.3]]), torch.zeros(1, 4, 8), torch.zeros(1)
    )


@pytest.mark.parametrize(("edge", "expected"), [(5.0, 0.9), (0.01, 0.6)])
def test_an_unstable_single_mask_gives_way_to_the_best_candidate(
    edge: float, expected: float
) -> None:
    output = single_mask(raw_output(edge))
    assert output.iou_predictions.item() == pytest.approx(expected)


def test_an_empty_single_mask_is_stable() -> None:
    output = single_mask(raw_output(5.0)._replace(low_res_masks=torch.full((1, 4, 4, 4), -9.0)))
    assert output.iou_predictions.item() == pytest.approx(0.9)
