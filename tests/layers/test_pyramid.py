"""The right level is read, and of it the chunks of the region only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.layers.pyramid import PlanePyramid
from napari_sam2.session.boxes import contains
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import Box
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.regions import FieldOfView
from tests.chunked import Chunked
from tests.session.conftest import make_tiny_model
from tests.session.test_image_segmenter import stub_square

PLANE = Plane((0, 1))
RGB = range(3)


def averaged(array: np.ndarray, factor: int) -> np.ndarray:
    height, width = (size // factor for size in array.shape)
    return array.reshape(height, factor, width, factor).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("shapes", "chunks", "plane", "step", "touched"),
    [
        # 2-D: a region of 512 at level 0, and of level 2, where it is 128 wide
        ([(8192, 8192)], (256, 256), PLANE, 1, {(8, 16), (8, 17), (9, 16), (9, 17)}),
        (
            [(8192, 8192), (4096, 4096), (2048, 2048), (1024, 1024)],
            (256, 256),
            PLANE,
            4.5,
            {(2, 4)},
        ),
        # ZYX: one plane of the stack
        (
            [(9, 8192, 8192)],
            (1, 256, 256),
            Plane((1, 2), (7,)),
            1,
            {(7, 8, 16), (7, 8, 17), (7, 9, 16), (7, 9, 17)},
        ),
        (
            [(9, 8192, 8192), (9, 2048, 2048)],
            (4, 256, 256),
            Plane((1, 2), (7,)),
            4,
            {(1, 2, 4)},
        ),
        # Colours come last
        (
            [(8192, 8192, 3)],
            (512, 512, 1),
            PLANE,
            1,
            {(4, 8, c) for c in RGB},
        ),
        (
            [(8192, 8192, 3), (1024, 1024, 3)],
            (512, 512, 3),
            PLANE,
            8,
            {(0, 1, 0)},
        ),
    ],
    ids=["2-D", "2-D, coarser", "ZYX", "ZYX, coarser", "RGB", "RGB, coarser"],
)
def test_only_the_chunks_of_a_region_are_read(
    shapes: list[tuple[int, ...]],
    chunks: tuple[int, ...],
    plane: Plane,
    step: float,
    touched: set[tuple[int, ...]],
) -> None:
    arrays = [Chunked(shape, chunks) for shape in shapes]
    pyramid = PlanePyramid(tuple(arrays), plane)
    pyramid.read((2048, 4096, 2560, 4608), step)
    assert [array.read for array in arrays if array.read] == [[touched]]


@pytest.mark.parametrize(("step", "factor"), [(1, 1), (1.9, 1), (2, 2), (3.9, 2), (100, 4)])
def test_the_coarsest_level_that_is_fine_enough_is_read(step: float, factor: int) -> None:
    finest = np.random.default_rng(0).random((64, 96))
    levels = [averaged(finest, f) for f in (1, 2, 4)]
    pyramid = PlanePyramid(tuple(levels), PLANE)
    assert pyramid.shape == (64, 96)
    assert pyramid.levels == (1, 2, 4)
    wanted = averaged(finest[16:48, 8:40], factor)
    np.testing.assert_allclose(pyramid.read((16, 8, 48, 40), step), wanted)


def test_levels_that_are_no_whole_number_of_times_smaller_are_read_in_place() -> None:
    """A ramp tells where a pixel lies: half a pixel of the level at most from where it should."""
    ramps = [np.broadcast_to((np.arange(n) + 0.5) / n * 1001, (n, n)) for n in (1001, 403, 90)]
    pyramid = PlanePyramid(tuple(ramps), PLANE)
    for step, factor in ((3, 1001 / 403), (12, 1001 / 90)):
        assert any(level == pytest.approx(factor) for level in pyramid.levels)
        row = pyramid.read((300, 251, 811, 762), step)[0]
        middle = (row[0] + row[-1]) / 2
        assert abs(middle - (251 + 762) / 2) <= factor / 2
        assert abs(len(row) * factor - 511) <= factor


def test_an_axis_that_shrinks_more_decides() -> None:
    """Else the model would get less than one pixel for one of its own along that axis."""
    arrays = (np.zeros((64, 64)), np.zeros((32, 16)))
    assert PlanePyramid(arrays, PLANE).levels == (1, 4)
    assert PlanePyramid(arrays, PLANE).read((0, 0, 64, 64), 3).shape == (64, 64)


def test_a_pyramid_that_shrinks_along_z_gives_the_plane_that_holds_it() -> None:
    finest = np.arange(10.0)[:, None, None] * np.ones((10, 64, 64))
    coarse = finest.reshape(5, 2, 64, 64).mean(axis=1)[:, ::2, ::2]
    for z in range(10):
        pyramid = PlanePyramid((finest, coarse), Plane((1, 2), (z,)))
        assert (pyramid.read((0, 0, 64, 64), 1) == z).all()
        assert (pyramid.read((0, 0, 64, 64), 2) == z // 2 * 2 + 0.5).all()


def test_of_levels_that_differ_along_z_only_the_finest_is_read() -> None:
    arrays = (np.ones((8, 64, 64)), np.zeros((4, 64, 64)), np.zeros((4, 32, 32)))
    pyramid = PlanePyramid(arrays, Plane((1, 2), (3,)))
    assert pyramid.levels == (1, 1, 2)
    assert pyramid.read((0, 0, 64, 64), 1.5).all()


def test_a_part_of_a_pixel_is_read_as_one() -> None:
    pyramid = PlanePyramid((np.zeros((100, 100)), np.ones((10, 10))), PLANE)
    assert pyramid.read((98, 98, 100, 100), 10).shape == (1, 1)


@pytest.mark.parametrize("axes", [(0, 1), (0, 2), (1, 2)])
def test_planes_along_any_axes_are_read(axes: tuple[int, int]) -> None:
    data = np.random.default_rng(0).random((20, 30, 40))
    plane = Plane(axes, (7,))
    array = PlanePyramid((data,), plane).read((2, 3, 12, 18), 1)
    hidden = 3 - sum(axes)
    np.testing.assert_array_equal(array, data.take(7, hidden)[2:12, 3:18])


@pytest.mark.parametrize("is_rgb", [False, True])
def test_a_layer_gives_its_levels(is_rgb: bool) -> None:
    colours: Any = (3,) if is_rgb else ()
    levels = [np.zeros((64 // n, 96 // n, *colours), np.uint8) for n in (1, 2)]
    image = ViewerModel().add_image(levels, multiscale=True, rgb=is_rgb, scale=(0.5, 0.5))
    pyramid = PlanePyramid.of(image, PLANE)
    assert pyramid.levels == (1, 2)
    assert pyramid.read((0, 0, 64, 96), 2).shape == (32, 48, *colours)
    alone = ViewerModel().add_image(levels[0], rgb=is_rgb, scale=(0.5, 0.5))
    assert PlanePyramid.of(alone, PLANE).levels == (1,)


@pytest.mark.parametrize(
    ("seen", "level"),
    [
        ((0, 0, 100_000, 100_000), 128),  # the whole slide on screen
        ((50_000, 60_000, 50_600, 60_800), 8),  # cells on screen, for an input of 128 pixels
    ],
)
def test_a_click_into_a_slide_reads_few_chunks(
    seen: Box, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 000 x 100 000 pixels in chunks of 256 x 256."""
    model = make_tiny_model()
    stub_square(model, monkeypatch, half=6)
    arrays = {f: Chunked((100_000 // f,) * 2, (256, 256)) for f in (1, 2, 4, 8, 16, 32, 64, 128)}
    pyramid = PlanePyramid(tuple(arrays.values()), PLANE)
    image = PlaneImage(
        "slide", pyramid.shape, lambda *at: (pyramid.read(*at),), levels=pyramid.levels
    )
    click = Prompts(((50_300.0, 60_400.0),), (1,))
    request = Request(image, click, field=FieldOfView("auto", seen))
    (mask,) = ImageSegmenter(model).predict(request).candidates
    assert [f for f, array in arrays.items() if array.read] == [level]
    (chunks,) = arrays[level].read
    assert len(chunks) <= 4
    assert mask.shape == (100_000, 100_000)
    assert contains(mask.box, (50_300, 60_400, 50_301, 60_401))
