from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.session.mask_prompts import as_logits, covered_parts
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import LowResMask


def by_repetition(mask: np.ndarray, size: int) -> np.ndarray:
    """Which part of each coarse pixel is covered, counted on a grid that fits both."""
    fine = np.repeat(np.repeat(mask, size, axis=0), size, axis=1)
    height, width = mask.shape
    return fine.reshape(size, height, size, width).mean(axis=(1, 3))


@pytest.mark.parametrize("shape", [(32, 32), (16, 16), (48, 50), (7, 91), (1, 1), (33, 5)])
@pytest.mark.parametrize("density", [0.02, 0.5, 1.0])
def test_the_covered_part_of_each_coarse_pixel_is_exact(
    shape: tuple[int, int], density: float
) -> None:
    mask = np.random.default_rng(0).random(shape) < density
    parts = covered_parts(PackedMask.of(mask), 16)
    np.testing.assert_allclose(parts, by_repetition(mask, 16), atol=1e-6)


@pytest.mark.parametrize("box", [(0, 0, 3, 90), (57, 88, 60, 90), (20, 31, 41, 33)])
def test_only_the_box_of_the_mask_is_looked_at(box: tuple[int, int, int, int]) -> None:
    mask = np.zeros((60, 90), bool)
    mask[box[0] : box[2], box[1] : box[3]] = True
    parts = covered_parts(PackedMask.of(mask), 16)
    np.testing.assert_allclose(parts, by_repetition(mask, 16), atol=1e-6)


def test_a_mask_becomes_logits_between_minus_and_plus_ten() -> None:
    mask = np.zeros((64, 64), bool)
    mask[8:16, 8:20] = True  # two coarse pixels are covered, and half of a third
    wanted = np.full((8, 8), -10.0)
    wanted[1, 1:3] = [10, 0]
    logits = as_logits(PackedMask.of(mask), 8, (0, 0, *mask.shape), mask.shape)
    assert logits.shape == (1, 1, 8, 8)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits[0, 0], wanted)


def test_an_object_smaller_than_a_coarse_pixel_is_not_lost() -> None:
    mask = np.zeros((1024, 1024), bool)
    mask[511:514, 512:514] = True  # one row in the upper coarse pixel, two in the lower one
    logits = as_logits(PackedMask.of(mask), 16, (0, 0, *mask.shape), mask.shape)[0, 0]
    np.testing.assert_allclose(logits[7:9, 8], [0, 10])
    assert (np.delete(logits.ravel(), [7 * 16 + 8, 8 * 16 + 8]) == -10).all()


def test_an_empty_mask_says_background_everywhere() -> None:
    assert (as_logits(PackedMask((60, 90)), 16, (0, 0, 60, 90), (60, 90)) == -10).all()


def test_a_mask_on_a_huge_plane_costs_what_its_object_does() -> None:
    """Full-size arrays in memory (micro-sam 39): this plane would take 40 GB in float32."""
    mask = PackedMask.of(np.ones((500, 500), bool), (50_000, 0), (100_000, 100_000))
    parts = covered_parts(mask, 256)
    assert parts[128, 0] == pytest.approx(1)
    assert np.count_nonzero(parts) == 4
    assert parts.sum() * (100_000 / 256) ** 2 == pytest.approx(500 * 500)


def test_logits_of_the_models_size_go_in_unchanged() -> None:
    logits = np.random.default_rng(0).normal(0, 9, (16, 16)).astype(np.float16)
    mask = LowResMask.of(logits.astype(np.float32))
    np.testing.assert_array_equal(as_logits(mask, 16, (0, 0, 60, 90), (60, 90))[0, 0], logits)


@pytest.mark.parametrize("size", [8, 32])
def test_logits_of_another_size_keep_their_place(size: int) -> None:
    """The model was switched between an answer and its correction."""
    logits = np.full((16, 16), -8, np.float32)
    logits[4:12, :8] = 8
    resized = as_logits(LowResMask.of(logits), size, (0, 0, 60, 90), (60, 90))[0, 0]
    wanted = np.zeros((size, size), bool)
    wanted[size // 4 : 3 * size // 4, : size // 2] = True
    np.testing.assert_array_equal(resized > 0, wanted)
