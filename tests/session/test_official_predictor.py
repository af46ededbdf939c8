"""The whole road against recordings of the official image predictor, where they are at hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam2.model import build_sam2
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.preprocess import to_model_input
from tests.configs import REDUCED

REFERENCE = Path(__file__).parents[3] / "shared" / "reference"
RECORDING = REFERENCE / "parity" / "sam2.1_reduced_image.npz"
CASES = (
    *("point1", "points3_posneg", "negative_only", "box", "box_points", "edges"),
    *("point_mask", "refine", "box_mask", "mask_only"),
)

pytestmark = pytest.mark.skipif(not RECORDING.exists(), reason="no recordings on this computer")


@pytest.fixture(scope="module")
def recorded() -> dict[str, Any]:
    with np.load(RECORDING) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def segmenter() -> ImageSegmenter:
    sys.path.insert(0, str(REFERENCE))
    try:
        from fill_rule import fill_state_dict
    finally:
        sys.path.remove(str(REFERENCE))
    model = build_sam2(REDUCED)
    filled = fill_state_dict(model.state_dict(), seed=0)
    model.load_state_dict({key: torch.as_tensor(value) for key, value in filled.items()})
    return ImageSegmenter(model)


def test_the_input_tensor_is_the_official_one(recorded: dict[str, Any]) -> None:
    pixels = to_model_input(recorded["image"], REDUCED.image_size)[:, ::2, ::2]
    np.testing.assert_allclose(pixels, recorded["input_tensor"][0], atol=1e-6)


@pytest.mark.parametrize("mode", ["multi", "single"])
@pytest.mark.parametrize("case", CASES)
def test_prompts_get_the_official_masks(
    recorded: dict[str, Any], segmenter: ImageSegmenter, case: str, mode: str
) -> None:
    prediction = segmenter.segment(
        recorded["image"], multimask=mode == "multi", **prompts_of(recorded, case)
    )
    ious = recorded[f"{case}.{mode}.iou"]
    order = np.argsort(-ious, kind="stable")
    shape = (len(ious), *recorded["image"].shape[:2])
    bits = np.unpackbits(recorded[f"{case}.{mode}.mask_packbits"], count=int(np.prod(shape)))
    np.testing.assert_allclose(prediction.iou_predictions, ious[order], atol=1e-5)
    assert (prediction.masks == bits.reshape(shape)[order]).mean() >= 0.9999
    score = recorded[f"{case}.object_score_logits"].item()
    assert prediction.object_score == pytest.approx(score, abs=1e-3)
    if f"{case}.{mode}.low_res_logits" in recorded:
        logits = recorded[f"{case}.{mode}.low_res_logits"][order]
        np.testing.assert_allclose(prediction.low_res_masks, logits, atol=1e-3)


def prompts_of(recorded: dict[str, Any], case: str) -> dict[str, Any]:
    """Turn the official (x, y) prompts into ours."""
    prompts: dict[str, Any] = {}
    if f"{case}.point_coords" in recorded:
        prompts["points"] = recorded[f"{case}.point_coords"][:, ::-1]
        prompts["polarity"] = recorded[f"{case}.point_labels"]
    if f"{case}.box" in recorded:
        prompts["box"] = recorded[f"{case}.box"].reshape(4)[[1, 0, 3, 2]]
    if f"{case}.mask_input" in recorded:
        prompts["mask_logits"] = recorded[f"{case}.mask_input"]
    return prompts


def test_every_recorded_case_of_one_prompt_is_checked(recorded: dict[str, Any]) -> None:
    meta = json.loads(bytes(recorded["meta"]).decode())
    not_ours = {"explicit_padding", "box_as_labels23", "normalized_off", "none"}
    batches = {case for case in meta["cases"] if case.startswith("batch_")}
    assert set(CASES) == set(meta["cases"]) - not_ours - batches
