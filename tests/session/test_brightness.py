"""Black and white are found once for a plane, and hold for all of its regions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.session import brightness as brightness_module
from napari_sam2.session.brightness import Brightness
from napari_sam2.session.masks import Box
from napari_sam2.session.pixels import as_plane
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.view import Channel, View

RNG = np.random.default_rng(0)
REGION = (0, 0, 10, 10)


class Reader:
    """Reads a pyramid of arrays, the finest first, and remembers what."""

    def __init__(self, *levels: np.ndarray) -> None:
        self.levels = levels
        self.read: list[tuple[Box, float]] = []

    def __call__(self, region: Box, step: float) -> tuple[np.ndarray, ...]:
        self.read.append((region, step))
        level = max(k for k in range(len(self.levels)) if 2**k <= step)
        y0, x0, y1, x1 = (edge // 2**level for edge in region)
        return (self.levels[level][y0:y1, x0:x1],)

    def plane(self, view: View, key: str = "key") -> PlaneImage:
        levels = tuple(2.0**k for k in range(len(self.levels)))
        return PlaneImage(key, self.levels[0].shape[:2], self, view, levels)


def limits(array: np.ndarray, normalisation: Any, given: Any = None) -> tuple[float, float]:
    image = PlaneImage.of("key", array, View((Channel(given),), normalisation))
    found = Brightness().settle(image, image.whole, 1.0, [as_plane(array)]).limits
    assert found is not None
    return found


PLANE = RNG.integers(100, 4000, (60, 90)).astype(np.uint16)


def test_limits_are_taken_as_they_are() -> None:
    assert limits(PLANE, "limits", (5, 9)) == (5, 9)


def test_percentiles_pass_over_a_hot_pixel() -> None:
    hot = PLANE.copy()
    hot[3, 3] = 65535
    assert limits(hot, "percentile", (5, 9)) == tuple(np.percentile(hot, (0.1, 99.9)))
    assert limits(hot, "min-max", (5, 9)) == (PLANE.min(), 65535)


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [
        ("?", (0, 1)),
        ("u1", (0, 255)),
        ("u2", (0, 65535)),
        ("i2", (-32768, 32767)),
        ("u4", (0, 2**32 - 1)),
        ("f2", (0, 1)),
        ("f4", (0, 1)),
        ("f8", (0, 1)),
    ],
)
def test_full_is_all_that_the_dtype_can_hold(dtype: str, wanted: tuple[float, float]) -> None:
    assert limits(PLANE.astype(dtype), "full") == wanted


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "i2", "u4", "f2", "f4", "f8"])
@pytest.mark.parametrize("normalisation", ["percentile", "min-max"])
def test_every_dtype_has_percentiles_and_extremes(dtype: str, normalisation: str) -> None:
    plane = (PLANE % 2 if dtype == "?" else PLANE % 200).astype(dtype)
    low, high = limits(plane, normalisation)
    assert (low, high) == ((0, 1) if dtype == "?" else (0, pytest.approx(199, abs=1)))


@pytest.mark.parametrize("normalisation", ["limits", "percentile", "min-max"])
@pytest.mark.parametrize("value", [0, 37.5, np.nan, np.inf])
def test_a_constant_or_empty_plane_has_no_range(normalisation: str, value: float) -> None:
    low, high = limits(np.full((8, 8), value, np.float32), normalisation)
    assert low == high == (value if np.isfinite(value) else 0)


@pytest.mark.parametrize("normalisation", ["limits", "percentile", "min-max"])
def test_what_is_not_finite_or_masked_counts_for_nothing(normalisation: str) -> None:
    plane = PLANE.astype(np.float32)
    holes = plane.copy()
    holes[0, :3] = np.nan, np.inf, -np.inf
    masked = np.ma.array(PLANE, mask=np.zeros(PLANE.shape, bool))
    masked.data[0, :3], masked.mask[0, :3] = 65535, True
    plane = plane[1:]  # as good as without those three
    for other in (holes, masked):
        np.testing.assert_allclose(
            limits(other, normalisation), limits(plane, normalisation), atol=2
        )


def test_useless_limits_are_refused() -> None:
    with pytest.raises(PromptError, match="low < high"):
        limits(PLANE, "limits", (9, 5))


def test_a_region_is_as_bright_as_the_plane() -> None:
    reader, settle = Reader(PLANE), Brightness().settle
    image = reader.plane(View(normalisation="min-max"))
    part = PLANE[:10, :10]
    assert settle(image, REGION, 1.0, [part]).limits == (PLANE.min(), PLANE.max())
    assert settle(image, (20, 20, 60, 60), 1.0, [PLANE[20:60, 20:60]]).limits == (
        PLANE.min(),
        PLANE.max(),
    )
    assert reader.read == [(image.whole, 1.0)], "once for the plane"


def test_what_was_read_already_is_not_read_again() -> None:
    reader = Reader(PLANE)
    image = reader.plane(View(normalisation="percentile"))
    Brightness().settle(image, image.whole, 1.0, [PLANE])
    assert not reader.read


@pytest.mark.parametrize("view", [View.of_limits((0, 9)), View(normalisation="full")])
def test_a_plane_is_not_read_for_limits_that_are_known(view: View) -> None:
    reader = Reader(PLANE)
    Brightness().settle(reader.plane(view), REGION, 1.0, [PLANE[:10, :10]])
    assert not reader.read


def test_another_place_or_normalisation_is_looked_at_anew() -> None:
    reader, settle = Reader(PLANE), Brightness().settle
    for key, normalisation in (("a", "min-max"), ("b", "min-max"), ("b", "percentile")):
        image = reader.plane(View(normalisation=normalisation), key)  # type: ignore[arg-type]
        settle(image, REGION, 1.0, [PLANE[:10, :10]])
    assert len(reader.read) == 3


def test_of_a_pyramid_a_level_that_has_enough_pixels_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(brightness_module, "_ENOUGH_PIXELS", 1000)
    reader = Reader(PLANE, PLANE[::2, ::2], PLANE[::4, ::4])
    image = reader.plane(View(normalisation="min-max"))
    found = Brightness().settle(image, REGION, 1.0, [PLANE[:10, :10]]).limits
    assert reader.read == [(image.whole, 2.0)]
    assert found == (PLANE[::2, ::2].min(), PLANE[::2, ::2].max())


@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_plane_that_is_too_large_is_looked_at_in_tiles(
    monkeypatch: pytest.MonkeyPatch, colours: tuple[int, ...]
) -> None:
    monkeypatch.setattr(brightness_module, "_MOST_PIXELS", 1000)
    monkeypatch.setattr(brightness_module, "_TILE_SIDE", 5)
    monkeypatch.setattr(brightness_module, "_TILES", 3)
    plane = RNG.random((60, 90, *colours)).astype(np.float32)
    plane[0, 0], plane[-1, -1], plane[10, 10] = -1, 2, 99  # the last one lies between tiles
    reader = Reader(plane)
    image = reader.plane(View(normalisation="min-max"))
    assert Brightness().settle(image, REGION, 1.0, [plane[:10, :10]]).limits == (-1, 2)
    assert len(reader.read) == 9
    assert {(y1 - y0, x1 - x0) for (y0, x0, y1, x1), _ in reader.read} == {(5, 5)}


def test_views_that_show_the_same_become_equal() -> None:
    plane = PLANE.astype(np.uint8)
    settle = Brightness().settle
    views = View(), View(normalisation="full"), View.of_limits((0, 255))
    images = [PlaneImage.of("key", plane, view) for view in views]
    assert len({settle(image, image.whole, 1.0, [plane]) for image in images}) == 1


def test_channels_have_limits_of_their_own() -> None:
    view = View((Channel(gamma=0.5), Channel()), "min-max")
    image = PlaneImage("key", PLANE.shape, lambda *_: (PLANE, PLANE * 2), view)
    settled = Brightness().settle(image, image.whole, 1.0, [PLANE, PLANE * 2])
    assert [channel.limits for channel in settled.channels] == [
        (PLANE.min(), PLANE.max()),
        ((PLANE * 2).min(), (PLANE * 2).max()),
    ]
    assert [channel.gamma for channel in settled.channels] == [0.5, 1]


def test_only_so_many_planes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brightness_module, "_MOST_PLANES", 2)
    reader, brightness = Reader(PLANE), Brightness()
    for key in ("a", "b", "a", "c", "a", "b"):
        image = reader.plane(View(normalisation="min-max"), key)
        brightness.settle(image, REGION, 1.0, [PLANE[:10, :10]])
    assert len(reader.read) == 4, "a was used again and stays; b was let go of"
