from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import LowResMask, Prompts

SHAPE = (20, 30)


def test_logits_come_out_as_they_went_in_but_for_half_precision_and_the_clamp() -> None:
    logits = np.array([[-40, -32, 0.1], [7.5, 31.99, 1e9]], np.float32)
    wanted = np.array([[-32, -32, 0.1], [7.5, 31.99, 32]], np.float16)
    np.testing.assert_array_equal(LowResMask.of(logits).to_array(), wanted)


def test_equal_masks_are_equal_prompts() -> None:
    first, second = (Prompts(mask_prompt=LowResMask.of(np.ones((4, 4), np.float32))) for _ in "ab")
    assert first == second
    assert hash(first) == hash(second)


@pytest.mark.parametrize(
    "mask", [PackedMask(SHAPE), LowResMask.of(np.zeros((64, 64), np.float32)), None]
)
def test_a_mask_of_the_plane_or_any_logits_may_be_a_prompt(
    mask: PackedMask | LowResMask | None,
) -> None:
    prompts = Prompts(mask_prompt=mask)
    prompts.check(SHAPE)
    assert bool(prompts) == (mask is not None)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (PackedMask((30, 20)), "as large as the image, 20 x 30 pixels, got 30 x 20"),
        (LowResMask((4, 4), b"\0" * 31), "4 x 4 float16 values, got 31 bytes"),
        (LowResMask((0, 0), b""), "0 x 0 float16 values"),
        (LowResMask((1, 1), np.float16(np.nan).tobytes()), "finite, got NaN"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(mask: PackedMask | LowResMask, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Prompts(mask_prompt=mask).check(SHAPE)
