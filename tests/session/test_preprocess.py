from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session import pixels as pixels_module
from napari_sam2.session.pixels import as_plane, check_finite, to_unit, value_range
from napari_sam2.session.preprocess import MEAN, STD, to_model_input

SIZE = 32
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 45, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (20, 45), dtype=np.uint8)


def antialiased(channel: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Resize by triangle weights that widen when shrinking, written out in numpy."""
    for _ in range(2):
        length = channel.shape[0]
        scale = length / size
        support = max(scale, 1.0)
        centres = (np.arange(size) + 0.5) * scale
        pixels = np.arange(length) + 0.5
        weights = np.clip(1 - np.abs(pixels[None] - centres[:, None]) / support, 0, None)
        channel = (weights / weights.sum(1, keepdims=True) @ channel).T
    return channel


def test_uint8_colours_are_seen_as_the_official_predictor_sees_them() -> None:
    got = to_model_input(RGB, SIZE).numpy()
    for c in range(3):
        wanted = (antialiased(RGB[..., c] / 255, SIZE) - MEAN[c]) / STD[c]
        np.testing.assert_allclose(got[c], wanted, atol=2e-6)


def test_the_input_is_a_float32_square_on_the_cpu() -> None:
    pixels = to_model_input(RGB, SIZE)
    assert pixels.shape == (3, SIZE, SIZE)
    assert pixels.dtype == torch.float32
    assert pixels.device.type == "cpu"


def test_grey_is_the_same_as_three_equal_channels() -> None:
    torch.testing.assert_close(
        to_model_input(GREY, SIZE), to_model_input(np.stack([GREY] * 3, -1), SIZE), rtol=0, atol=0
    )


@pytest.mark.parametrize("shape", [(20, 45), (20, 45, 3)])
def test_uint8_is_not_stretched_even_if_it_is_dark(shape: tuple[int, ...]) -> None:
    assert value_range(np.full(shape, 7, np.uint8)) == (0, 255)


def test_bool_is_black_and_white() -> None:
    mask = GREY > 128
    torch.testing.assert_close(
        to_model_input(mask, SIZE), to_model_input(mask.astype(np.uint8) * np.uint8(255), SIZE)
    )


def test_a_hot_pixel_does_not_darken_a_16_bit_plane() -> None:
    """16-bit images nearly black (X-AnyLabeling 1396); one hot pixel darkens the plane."""
    plane = RNG.integers(200, 1200, (100, 100), dtype=np.uint16)
    plane[50, 50] = 65535
    unit = to_unit(plane, value_range(plane))
    assert 0.4 < np.median(unit) < 0.6
    assert unit[50, 50] == 1


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "int64", "f2", "f4", "f8"])
def test_every_wider_dtype_is_stretched_to_the_same_picture(dtype: str) -> None:
    ramp = np.linspace(-100, 100, 10_000).reshape(100, 100)
    plane = (ramp + 100 if dtype.startswith("u") else ramp).astype(dtype)
    unit = to_unit(plane, value_range(plane))
    np.testing.assert_allclose(unit, np.linspace(0, 1, 10_000).reshape(100, 100), atol=0.01)


def test_byte_order_does_not_matter() -> None:
    plane = RNG.integers(0, 4096, (30, 30)).astype(">u2")
    np.testing.assert_array_equal(
        to_unit(plane, value_range(plane)),
        to_unit(plane.astype("<u2"), value_range(plane)),
    )


def test_small_differences_on_a_high_floor_survive() -> None:
    plane = np.arange(400, dtype=np.int64).reshape(20, 20) + 2**40
    assert len(np.unique(to_unit(plane, value_range(plane)))) > 390


def test_contrast_limits_are_what_is_black_and_white() -> None:
    plane = np.array([[0, 100, 150, 200, 255]], np.uint8)
    np.testing.assert_allclose(to_unit(plane, value_range(plane, (100, 200))), [[0, 0, 0.5, 1, 1]])


@pytest.mark.parametrize("limits", [(5, 5), (9, 1), (0, np.inf), (np.nan, 1)])
def test_useless_contrast_limits_are_refused(limits: tuple[float, float]) -> None:
    with pytest.raises(PromptError, match="low < high"):
        value_range(GREY, limits)


def test_few_bright_pixels_on_an_even_ground_stay_visible() -> None:
    plane = np.zeros((200, 200), np.uint16)
    plane[7, 7] = 900
    assert value_range(plane) == (0, 900)


@pytest.mark.parametrize("value", [0, 37.5, -1e30])
def test_a_constant_plane_is_black(value: float) -> None:
    plane = np.full((8, 8), value, np.float32)
    assert not to_unit(plane, value_range(plane)).any()
    assert torch.isfinite(to_model_input(plane, SIZE)).all()


def test_float_colours_between_0_and_1_keep_their_colours() -> None:
    torch.testing.assert_close(to_model_input(RGB / 255, SIZE), to_model_input(RGB, SIZE))


def test_other_float_colours_are_stretched_over_all_channels_together() -> None:
    plane = np.zeros((40, 40, 3), np.float32)
    plane[..., 0], plane[..., 1] = np.linspace(0, 1000, 1600).reshape(40, 40), 500
    unit = to_unit(plane, value_range(plane))
    np.testing.assert_allclose(unit[..., 1], 0.5, atol=0.01)
    assert not unit[..., 2].any()


def test_grey_floats_between_0_and_1_are_stretched() -> None:
    plane = np.linspace(0, 0.05, 1600).reshape(40, 40)
    assert to_unit(plane, value_range(plane)).max() == 1


def test_what_is_not_finite_counts_for_nothing_in_the_range() -> None:
    plane = np.linspace(0, 100, 1600).reshape(40, 40)
    clean = value_range(plane)
    plane[0, :3] = np.nan, np.inf, -np.inf
    unit = to_unit(plane, value_range(plane))
    np.testing.assert_allclose(value_range(plane), clean, atol=0.3)
    np.testing.assert_array_equal(unit[0, :3], [0, 1, 0])


def test_a_plane_of_nan_is_black() -> None:
    assert not to_unit(np.full((4, 4), np.nan), value_range(np.full((4, 4), np.nan))).any()


def test_percentiles_of_a_large_plane_look_at_a_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pixels_module, "_PERCENTILE_SAMPLES", 1000)
    seen = []
    percentile = np.percentile
    monkeypatch.setattr(np, "percentile", lambda a, q: seen.append(a.size) or percentile(a, q))
    low, high = value_range(np.linspace(0, 1000, 90_000).reshape(300, 300))
    assert 500 < seen[0] <= 1000
    np.testing.assert_allclose((low, high), (0, 1000), atol=40)


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from(["?", "u1", "i2", "u2", "i8", "f2", "f4", "f8"]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=5),
    )
)
def test_any_real_plane_gives_a_picture_between_0_and_1(plane: NDArray[Any]) -> None:
    unit = to_unit(plane, value_range(plane))
    assert unit.dtype == np.float32
    assert ((unit >= 0) & (unit <= 1)).all()


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((4, 5), (4, 5)), ((4, 5, 1), (4, 5)), ((4, 5, 3), (4, 5, 3)), ((4, 5, 4), (4, 5, 3))],
)
def test_planes_are_grey_or_rgb(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    image = RNG.integers(0, 9, shape)
    plane = as_plane(image)
    assert plane.shape == wanted
    assert np.shares_memory(plane, image)
    np.testing.assert_array_equal(plane.ravel()[:1], image.ravel()[:1])


def test_lists_are_images_too() -> None:
    assert as_plane([[0, 1], [2, 3]]).shape == (2, 2)


@pytest.mark.parametrize("shape", [(5,), (3, 4, 5), (4, 5, 2), (2, 4, 5, 3), ()])
def test_what_is_not_one_plane_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PromptError, match=r"one plane, \(H, W\) or \(H, W, 3\), got shape"):
        as_plane(np.zeros(shape))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 5, 3)])
def test_an_empty_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PromptError, match="must have pixels"):
        as_plane(np.zeros(shape))


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "object", "<U3", "M8[s]", "V4"])
def test_what_is_not_a_real_number_is_refused_by_its_dtype(dtype: str) -> None:
    with pytest.raises(PromptError, match="real numbers, got dtype"):
        as_plane(np.zeros((4, 4), dtype))


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(PromptError, match="must be an array"):
        as_plane([[1, 2], [3]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_counted(bad: float) -> None:
    plane = np.zeros((4, 5), np.float32)
    plane[1, 2] = bad
    with pytest.raises(PromptError, match="got 1 NaN or infinite of 20"):
        check_finite(plane)


@pytest.mark.parametrize("dtype", ["u1", "i8", "?", "f4"])
def test_finite_pixels_pass(dtype: str) -> None:
    check_finite(np.ones((3, 3), dtype))
