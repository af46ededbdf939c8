"""Several channels become one picture in colour."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.session.view import BLUE, GREEN, RED, Channel, View, compose

RNG = np.random.default_rng(0)
A, B, C = (RNG.random((5, 7)).astype(np.float32) for _ in range(3))
UNIT = (0.0, 1.0)


def composed(*arrays: np.ndarray, channels: tuple[Channel, ...]) -> np.ndarray:
    return np.stack(list(compose(arrays, View(channels))), axis=-1)


def test_one_channel_is_grey() -> None:
    np.testing.assert_array_equal(composed(A, channels=(Channel(UNIT),))[..., 0], A)


def test_a_colour_of_its_own_is_shown() -> None:
    got = composed(A, channels=(Channel(UNIT, colors=GREEN),))
    np.testing.assert_allclose(got, np.stack([0 * A, A, 0 * A], -1))


def test_three_channels_are_red_green_and_blue() -> None:
    channels = tuple(Channel(UNIT, colors=colors) for colors in (RED, GREEN, BLUE))
    np.testing.assert_allclose(composed(A, B, C, channels=channels), np.stack([A, B, C], -1))


def test_colours_are_added_as_light_is() -> None:
    magenta = ((0.0, 0.0, 0.0), (1.0, 0.0, 1.0))
    got = composed(A, B, channels=(Channel(UNIT, colors=magenta), Channel(UNIT, colors=GREEN)))
    np.testing.assert_allclose(got, np.stack([A, B, A], -1))


def test_no_sum_is_more_than_white() -> None:
    grey = Channel(UNIT)
    got = composed(A, B, channels=(grey, grey))
    np.testing.assert_allclose(got, np.repeat(np.minimum(A + B, 1)[..., None], 3, axis=-1))


def test_each_channel_has_its_own_limits_and_gamma() -> None:
    wide = (A * 1000).astype(np.uint16)
    channels = Channel((200, 700), 0.5, RED), Channel((0.5, 2), 2.0, BLUE)
    got = composed(wide, B, channels=channels)
    np.testing.assert_allclose(got[..., 0], np.clip((wide - 200.0) / 500, 0, 1) ** 0.5, atol=1e-6)
    np.testing.assert_allclose(got[..., 2], np.clip((B - 0.5) / 1.5, 0, 1) ** 2, atol=1e-6)


def test_gamma_is_that_of_a_single_grey_channel_too() -> None:
    np.testing.assert_allclose(composed(A, channels=(Channel(UNIT, 2.0),))[..., 0], A**2)


def test_a_table_of_many_colours_is_linear_between_its_steps() -> None:
    fire = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, 0.0))
    ramp = np.array([[0, 0.25, 0.5, 0.75, 1]], np.float32)
    got = composed(ramp, channels=(Channel(UNIT, colors=fire),))
    np.testing.assert_allclose(
        got[0], [(0, 0, 0), (0.5, 0, 0), (1, 0, 0), (1, 0.5, 0), (1, 1, 0)], atol=1e-6
    )


def test_rgb_beside_a_channel_keeps_its_colours() -> None:
    rgb = np.stack([A, B, C], -1) / 2
    got = composed(rgb, A, channels=(Channel(UNIT), Channel(UNIT, colors=BLUE)))
    np.testing.assert_allclose(got, np.stack([A / 2, B / 2, np.minimum(C / 2 + A, 1)], -1))


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "u4", "i2", "f2", "f4", "f8"])
def test_every_dtype_gives_the_same_picture(dtype: str) -> None:
    on = RNG.random((5, 7)) > 0.5
    channel = Channel((0, 1), colors=RED)
    got = composed(on.astype(dtype), channels=(channel, channel)[:1])
    np.testing.assert_array_equal(got[..., 0], on)


def test_what_is_empty_is_black() -> None:
    holes = A.copy()
    holes[0, :3] = np.nan, np.inf, -np.inf
    got = composed(holes, B, channels=(Channel(UNIT, colors=RED), Channel(UNIT, colors=GREEN)))
    np.testing.assert_allclose(got[0, :3, 0], [0, 1, 0])
    np.testing.assert_allclose(got[..., 1], B)


def test_as_many_arrays_as_channels_are_wanted() -> None:
    with pytest.raises(ValueError, match="zip"):
        composed(A, B, channels=(Channel(),))


def test_views_are_values() -> None:
    one, same, other = (View((Channel(UNIT, g, RED),), "percentile") for g in (1.0, 1.0, 0.9))
    assert one == same
    assert hash(one) == hash(same)
    assert repr(one) == repr(same) != repr(other)
    assert len({one, same, other, View((Channel(UNIT, 1.0, GREEN),), "percentile")}) == 3
    assert one != View((Channel(UNIT, 1.0, RED),), "min-max")


def test_another_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="one of limits, percentile, min-max, full, got 'auto'"):
        View(normalisation="auto")  # type: ignore[arg-type]
