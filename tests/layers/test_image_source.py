from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.errors import PromptError
from napari_sam2.layers.image_source import ImageSource
from tests.layers.conftest import pixels, show_plane


@pytest.fixture
def source(viewer: ViewerModel) -> Iterator[ImageSource]:
    source = ImageSource(viewer)
    yield source
    source.close()


def listen(source: ImageSource) -> Mock:
    heard = Mock()
    source.changed.connect(heard, check_nargs=False)
    return heard


def test_the_plane_on_screen_is_read(source: ImageSource, image: Image) -> None:
    source.select(image)
    pixels, plane = source.read()
    assert plane.index == (2,)
    assert pixels.shape == (40, 60)
    assert np.array_equal(pixels.pixels(), image.data[2])


def test_contrast_limits_are_those_of_the_layer(source: ImageSource, scaled: Image) -> None:
    scaled.contrast_limits = (0.2, 0.7)
    source.select(scaled)
    assert source.read()[0].view.limits == (0.2, 0.7)


def test_colours_come_last_and_are_shown_as_napari_shows_them(
    source: ImageSource, viewer: ViewerModel
) -> None:
    colours = viewer.add_image(pixels((5, 40, 60, 3)), scale=(2, 0.5, 0.5))
    source.select(colours)
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, colours.data_to_world((0, 7, 0))[1])
    plane, _ = source.read()
    assert plane.shape == (5, 60)
    assert plane.view.limits == tuple(colours.contrast_limits), "which napari applies to RGB too"
    assert np.array_equal(plane.pixels(), colours.data[:, 7])


def test_of_a_pyramid_the_level_that_is_fine_enough_is_read(
    source: ImageSource, viewer: ViewerModel
) -> None:
    data = pixels((64, 64))
    source.select(viewer.add_image([data, data[::2, ::2]], multiscale=True))
    plane, _ = source.read()
    assert (plane.shape, plane.levels) == ((64, 64), (1, 2))
    assert np.array_equal(plane.pixels(), data)
    assert np.array_equal(plane.read((0, 32, 32, 64), 2)[0], data[:32:2, 32::2])


def test_a_region_of_a_lazy_pyramid_computes_no_other_block(
    source: ImageSource, viewer: ViewerModel
) -> None:
    computed: list[tuple[int, int, int]] = []  # level, and place of the block

    def lazy(level: int, side: int) -> da.Array:
        def block(block_info: dict) -> np.ndarray:
            computed.append((level, *block_info[None]["chunk-location"]))
            return np.zeros((64, 64), np.float32)

        chunks = ((64,) * (side // 64),) * 2
        return da.map_blocks(block, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0)))

    levels = [lazy(level, 1024 >> level) for level in range(3)]
    source.select(viewer.add_image(levels, multiscale=True, contrast_limits=(0, 1)))
    plane, _ = source.read()
    computed.clear()
    plane.read((128, 256, 256, 384), 1)
    assert sorted(computed) == [(0, 2, 4), (0, 2, 5), (0, 3, 4), (0, 3, 5)]
    computed.clear()
    plane.read((256, 512, 512, 768), 4.5)
    assert computed == [(2, 1, 2)]


def test_a_lazy_plane_is_computed_by_who_reads_it(source: ImageSource, viewer: ViewerModel) -> None:
    computed: list[int] = []

    def block(block_info: dict) -> np.ndarray:
        computed.append(block_info[None]["array-location"][0][0])
        return np.zeros((1, 40, 60), np.float32)

    lazy = da.map_blocks(block, chunks=((1,) * 5, (40,), (60,)), dtype=np.float32, meta=np.empty(0))
    source.select(viewer.add_image(lazy, contrast_limits=(0, 1), scale=(2, 0.5, 0.5)))
    show_plane(viewer, source.image, 4)
    computed.clear()
    plane, _ = source.read()
    assert computed == []
    plane.pixels()
    assert computed == [4]


def test_the_same_plane_is_the_same_value(
    source: ImageSource, scaled: Image, viewer: ViewerModel
) -> None:
    source.select(scaled)
    first, _ = source.read()
    show_plane(viewer, scaled, 3)
    other, _ = source.read()
    show_plane(viewer, scaled, 2)
    again, _ = source.read()
    assert first == again
    assert hash(first) == hash(again)
    assert first != other


@pytest.mark.parametrize("change", ["data", "in place", "limits", "gamma", "image"])
def test_other_pixels_are_another_value(
    source: ImageSource, scaled: Image, viewer: ViewerModel, change: str
) -> None:
    other = viewer.add_image(scaled.data)
    source.select(scaled)
    before, _ = source.read()
    heard = listen(source)
    if change == "data":
        scaled.data = scaled.data + 1
    elif change == "in place":
        scaled.data += 1
        scaled.refresh()
    elif change == "limits":
        scaled.contrast_limits = (0.1, 0.2)
    elif change == "gamma":
        scaled.gamma = 0.5
    else:
        source.select(other)
        show_plane(viewer, other, 2)
    assert heard.called
    assert source.read()[0] != before


def test_going_back_to_a_contrast_is_the_same_value(source: ImageSource, scaled: Image) -> None:
    source.select(scaled)
    before, _ = source.read()
    limits = scaled.contrast_limits
    scaled.contrast_limits = (0.1, 0.2)
    scaled.contrast_limits = limits
    assert source.read()[0] == before


@pytest.mark.parametrize("is_lazy", [False, True])
def test_what_is_masked_stays_masked(
    source: ImageSource, viewer: ViewerModel, is_lazy: bool
) -> None:
    data = np.ma.masked_greater(pixels(), 0.9)
    image = viewer.add_image(da.from_array(data, asarray=False) if is_lazy else data)
    source.select(image)
    plane = source.read()[0].pixels()
    assert isinstance(plane, np.ma.MaskedArray)
    np.testing.assert_array_equal(plane.mask, data.mask[source.plane.index])


def test_moving_the_slider_is_told_once(
    source: ImageSource, scaled: Image, viewer: ViewerModel
) -> None:
    source.select(scaled)
    heard = listen(source)
    show_plane(viewer, scaled, 4)
    assert heard.call_count == 1


def test_looks_that_change_no_pixel_are_not_told(source: ImageSource, scaled: Image) -> None:
    source.select(scaled)
    heard = listen(source)
    scaled.opacity = 0.5
    scaled.name = "renamed"
    scaled.colormap = "red"
    heard.assert_not_called()


def test_no_image_is_a_sentence(source: ImageSource) -> None:
    with pytest.raises(PromptError, match="needs an image, got none"):
        source.read()


def test_after_close_nothing_is_heard(scaled: Image, viewer: ViewerModel) -> None:
    source = ImageSource(viewer)
    source.select(scaled)
    heard = listen(source)
    source.close()
    show_plane(viewer, scaled, 0)
    scaled.data = scaled.data + 1
    heard.assert_not_called()
