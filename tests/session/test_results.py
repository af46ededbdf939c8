from __future__ import annotations

import numpy as np

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction

SHAPE = (13, 17)
REQUEST = Request(PlaneImage.of("key", np.zeros(SHAPE)))
MASKS = np.random.default_rng(0).random((3, *SHAPE)) > 0.5


def predicted(masks: np.ndarray = MASKS) -> Prediction:
    scores = np.array([0.9, 0.8, 0.7][: len(masks)], np.float32)
    return Prediction.of_masks(
        REQUEST, masks, scores, np.zeros((len(masks), 4, 4), np.float32), 1.0
    )


def test_masks_come_out_as_they_went_in() -> None:
    prediction = predicted()
    assert prediction.candidates == tuple(PackedMask.of(mask) for mask in MASKS)
    assert prediction.masks.dtype == bool
    np.testing.assert_array_equal(prediction.masks, MASKS)


def test_the_mask_is_the_chosen_one() -> None:
    prediction = predicted().choose(1)
    np.testing.assert_array_equal(prediction.mask, MASKS[1])
    assert prediction.packed_mask == PackedMask.of(MASKS[1])


def test_choosing_counts_round_past_either_end() -> None:
    assert [predicted().choose(step).chosen for step in (-1, 0, 2, 3)] == [2, 0, 2, 0]


def test_without_candidates_the_mask_is_empty() -> None:
    prediction = predicted(MASKS[:0])
    assert prediction.choose(1).chosen == 0
    assert prediction.masks.shape == (0, *SHAPE)
    assert prediction.packed_mask == PackedMask(SHAPE)
    np.testing.assert_array_equal(prediction.mask, np.zeros(SHAPE, bool))
