"""What the model sees of an image, of its channels, and of layers beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.colormaps import Colormap

from napari_sam2.errors import PromptError
from napari_sam2.layers.channels import ALONE, ChannelChoice, choice_from, colors_of
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.view import BLUE, GREEN, RED, Channel, compose
from tests.layers.conftest import SCALED, pixels, show_plane

CZYX = {"scale": (1, 2, 0.5, 0.5), "translate": (0, 0, 10, 20)}


@pytest.fixture
def source(viewer: ViewerModel) -> Iterator[ImageSource]:
    source = ImageSource(viewer)
    yield source
    source.close()


@pytest.fixture
def stained(viewer: ViewerModel, source: ImageSource) -> Image:
    """Channels, then planes: CZYX, shown at its channel 1 and plane 2."""
    image = viewer.add_image(pixels((3, 5, 40, 60)), name="stained", channel_axis=None, **CZYX)
    viewer.dims.set_point([0, 1], [1, 4])
    source.select(image)
    return image


@pytest.fixture
def pair(viewer: ViewerModel, scaled: Image, source: ImageSource) -> tuple[Image, Image]:
    """Two layers on the same pixels, the first one chosen; at plane 2."""
    other = viewer.add_image(1 - scaled.data, name="other", colormap="magenta", **SCALED)
    scaled.colormap = "green"
    source.select(scaled)
    source.channels.choice = ChannelChoice(others=(other,))
    show_plane(viewer, scaled, 2)
    return scaled, other


def read(source: ImageSource, region: Any = None) -> list[np.ndarray]:
    plane, _ = source.read()
    return list(plane.read(region or plane.whole, 1.0))


def seen(plane: PlaneImage) -> np.ndarray:
    return np.stack(list(compose(plane.read(plane.whole, 1.0), plane.view)), axis=-1)


# One layer


def test_by_default_the_image_is_seen_alone_as_it_is_shown(
    source: ImageSource, scaled: Image
) -> None:
    scaled.contrast_limits, scaled.gamma = (0.2, 0.7), 0.5
    source.select(scaled)
    assert source.read()[0].view.channels == (Channel((0.2, 0.7), 0.5),)


def test_three_planes_are_a_stack_until_somebody_says_otherwise(
    source: ImageSource, viewer: ViewerModel
) -> None:
    """RGB against channel against z confusion (micro-sam 38, 1248, 1255; nninteractive 23)."""
    source.select(viewer.add_image(pixels((3, 40, 60))))
    assert [array.shape for array in read(source)] == [(40, 60)]


def test_channels_along_an_axis_are_red_green_and_blue(source: ImageSource, stained: Image) -> None:
    stained.contrast_limits = (0.1, 0.9)
    source.channels.choice = ChannelChoice(0, (2, 0, 1))
    for array, c in zip(read(source, (5, 6, 25, 46)), (2, 0, 1), strict=True):
        np.testing.assert_array_equal(array, stained.data[c, 2, 5:25, 6:46])
    channels = source.read()[0].view.channels
    assert [channel.colors for channel in channels] == [RED, GREEN, BLUE]
    assert {channel.limits for channel in channels} == {(0.1, 0.9)}


def test_a_single_channel_is_grey(source: ImageSource, stained: Image) -> None:
    source.channels.choice = ChannelChoice(0, (2,))
    plane, _ = source.read()
    assert [channel.colors for channel in plane.view.channels] == [None]
    np.testing.assert_array_equal(plane.pixels(), stained.data[2, 2])


def test_a_colour_may_be_left_out(source: ImageSource, stained: Image) -> None:
    source.channels.choice = ChannelChoice(0, (None, 2, 0))
    plane, _ = source.read()
    assert [channel.colors for channel in plane.view.channels] == [GREEN, BLUE]
    np.testing.assert_array_equal(read(source), [stained.data[2, 2], stained.data[0, 2]])
    source.channels.choice = ChannelChoice(0, (None, 2))
    assert source.read()[0].view.channels[0].colors is None


def test_put_together_all_channels_are_one_plane(
    source: ImageSource, stained: Image, viewer: ViewerModel
) -> None:
    """The slider along the channels changes nothing that the model sees."""
    source.channels.choice = ChannelChoice(0, (0, 1))
    before, _ = source.read()
    viewer.dims.set_point(0, 2)
    assert source.read()[0] == before
    viewer.dims.set_point(1, 6)
    assert source.read()[0] != before


def test_channels_on_screen_cannot_be_put_together(
    source: ImageSource, stained: Image, viewer: ViewerModel
) -> None:
    source.channels.choice = ChannelChoice(0, (0, 1))
    viewer.dims.order = (1, 2, 0, 3)
    with pytest.raises(PromptError, match="channel axis of 'stained' must not be on screen"):
        source.read()
    source.channels.choice = ALONE
    assert source.read()[0].shape == (3, 60)


@pytest.mark.parametrize(
    "choice",
    [
        ChannelChoice(4, (0,)),
        ChannelChoice(-1, (0,)),
        ChannelChoice(0, ()),
        ChannelChoice(0, (None,)),
        ChannelChoice(0, (3,)),
        ChannelChoice(0, (0, 1, 2, 0)),
    ],
)
def test_channels_that_are_not_there_are_not_chosen(
    source: ImageSource, stained: Image, choice: ChannelChoice
) -> None:
    source.channels.choice = choice
    assert source.channels.choice == ALONE


def test_colours_have_no_channel_axis(source: ImageSource, viewer: ViewerModel) -> None:
    source.select(viewer.add_image(pixels((5, 40, 60, 3)), rgb=True))
    source.channels.choice = ChannelChoice(0, (0, 1))
    assert source.channels.choice == ALONE


def test_channels_are_given_up_with_the_data_that_had_them(
    source: ImageSource, stained: Image
) -> None:
    source.channels.choice = ChannelChoice(0, (1, 2))
    stained.data = stained.data[:3]
    assert source.channels.choice == ChannelChoice(0, (1, 2))
    stained.data = stained.data[:2]
    assert source.channels.choice == ALONE


def test_another_image_is_seen_alone(
    source: ImageSource, stained: Image, viewer: ViewerModel
) -> None:
    source.channels.choice = ChannelChoice(0, (1, 2))
    source.channels.normalisation = "min-max"
    source.select(viewer.add_image(pixels((3, 5, 40, 60))))
    assert source.channels.choice == ALONE
    assert source.read()[0].view.normalisation == "min-max", "which is a matter of taste"


# Several layers


def test_layers_are_added_in_the_colours_in_which_they_are_shown(
    source: ImageSource, pair: tuple[Image, Image]
) -> None:
    first, second = pair
    first.contrast_limits, first.gamma = (0.2, 0.7), 0.5
    second.contrast_limits = (0.1, 0.6)
    green = np.clip((first.data[2] - 0.2) / 0.5, 0, 1) ** 0.5
    magenta = np.clip((second.data[2] - 0.1) / 0.5, 0, 1)
    wanted = np.stack([magenta, green, magenta], -1)
    np.testing.assert_allclose(seen(source.read()[0]), wanted, atol=1e-5)


def test_they_are_seen_as_napari_draws_them(source: ImageSource, pair: tuple[Image, Image]) -> None:
    first, second = pair
    first.colormap, second.colormap, second.gamma = "viridis", "inferno", 0.7

    def drawn(layer: Image) -> np.ndarray:
        low, high = layer.contrast_limits
        unit = np.clip((layer.data[2] - low) / (high - low), 0, 1) ** layer.gamma
        return layer.colormap.map(unit.ravel()).reshape(40, 60, 4)[..., :3]

    wanted = np.clip(drawn(first) + drawn(second), 0, 1)
    np.testing.assert_allclose(seen(source.read()[0]), wanted, atol=0.01)


def test_a_region_is_read_of_all_layers(source: ImageSource, pair: tuple[Image, Image]) -> None:
    for array, layer in zip(read(source, (5, 6, 25, 46)), pair, strict=True):
        np.testing.assert_array_equal(array, layer.data[2, 5:25, 6:46])


def test_colours_may_be_one_of_them(
    source: ImageSource, scaled: Image, viewer: ViewerModel
) -> None:
    photo = viewer.add_image(pixels((5, 40, 60, 3)), rgb=True, **SCALED)
    source.select(scaled)
    source.channels.choice = ChannelChoice(others=(photo,))
    assert [array.shape for array in read(source)] == [(40, 60), (40, 60, 3)]
    assert source.read()[0].view.channels[1].colors is None


def test_a_single_plane_may_be_added_to_a_stack(
    source: ImageSource, scaled: Image, viewer: ViewerModel
) -> None:
    flat = viewer.add_image(pixels((40, 60)), scale=(0.5, 0.5), translate=(10, 20))
    source.select(scaled)
    source.channels.choice = ChannelChoice(others=(flat,))
    np.testing.assert_array_equal(read(source)[1], flat.data)


def test_rolled_axes_are_read_of_all_layers(
    source: ImageSource, pair: tuple[Image, Image], viewer: ViewerModel
) -> None:
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, pair[0].data_to_world((0, 7, 0))[1])
    for array, layer in zip(read(source), pair, strict=True):
        np.testing.assert_array_equal(array, layer.data[:, 7])


def test_a_quarter_of_a_pixel_is_no_other_place(
    source: ImageSource, pair: tuple[Image, Image]
) -> None:
    pair[1].translate = (0, 10.1, 20)
    assert len(read(source)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"translate": (0, 10.2, 20)},
        {"translate": (3 * 2, 10, 20)},  # plane 2 is below its first
        {"scale": (2, 0.5, 0.6)},
        {"rotate": 3},
        {"shear": (0, 0, 0.1)},
        {"data": pixels((5, 41, 60))},
        {"data": pixels((1, 40, 60))},
    ],
    ids=str,
)
def test_other_pixels_are_refused_in_a_sentence(
    source: ImageSource, pair: tuple[Image, Image], change: dict[str, Any]
) -> None:
    for name, value in change.items():
        setattr(pair[1], name, value)
    with pytest.raises(PromptError, match="of 'other' are not below those of 'cells'"):
        source.read()


def test_layers_that_are_moved_together_stay_together(
    source: ImageSource, pair: tuple[Image, Image]
) -> None:
    for layer in pair:
        layer.rotate = 30
        layer.units = "um"
    assert len(read(source)) == 2


def test_another_number_of_axes_is_refused(
    source: ImageSource, viewer: ViewerModel, scaled: Image
) -> None:
    more = viewer.add_image(pixels((2, 5, 40, 60)), name="more")
    source.select(scaled)
    source.channels.choice = ChannelChoice(others=(more,))
    with pytest.raises(PromptError, match="of 'more' are not below"):
        source.read()


def test_the_image_itself_is_no_neighbour(source: ImageSource, scaled: Image) -> None:
    source.select(scaled)
    source.channels.choice = ChannelChoice(others=(scaled,))
    assert source.channels.choice == ALONE


def test_a_neighbour_that_is_removed_is_left_out(
    source: ImageSource, pair: tuple[Image, Image], viewer: ViewerModel
) -> None:
    heard = listen(source)
    viewer.layers.remove(pair[1])
    assert source.channels.choice == ALONE
    assert heard.called
    assert len(read(source)) == 1


def test_lazy_layers_are_read_by_who_wants_them(
    source: ImageSource, viewer: ViewerModel, scaled: Image
) -> None:
    read_at = []

    def block(block_info: Any) -> np.ndarray:
        read_at.append(block_info[None]["array-location"][0][0])
        return np.zeros((1, 40, 60), np.float32)

    lazy = da.map_blocks(block, chunks=((1,) * 5, (40,), (60,)), dtype=np.float32, meta=np.empty(0))
    other = viewer.add_image(lazy, contrast_limits=(0, 1), **SCALED)
    source.select(scaled)
    source.channels.choice = ChannelChoice(others=(other,))
    read_at.clear()
    plane, _ = source.read()
    assert read_at == []
    plane.read(plane.whole, 1.0)
    assert read_at == [2]


# Telling


def listen(source: ImageSource) -> Mock:
    heard = Mock()
    source.changed.connect(heard, check_nargs=False)
    return heard


CHANGES: dict[str, Any] = {
    "contrast_limits": (0.3, 0.4),
    "gamma": 0.4,
    "colormap": "blue",
}


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("name", CHANGES)
def test_another_look_of_any_layer_is_told_and_is_another_value(
    source: ImageSource, pair: tuple[Image, Image], which: int, name: str
) -> None:
    before, heard = source.read()[0], listen(source)
    setattr(pair[which], name, CHANGES[name])
    assert heard.called
    assert source.read()[0] != before


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("change", ["data", "in place"])
def test_other_pixels_of_any_layer_are_told_and_are_another_value(
    source: ImageSource, pair: tuple[Image, Image], which: int, change: str
) -> None:
    before, heard = source.read()[0], listen(source)
    if change == "data":
        pair[which].data = pair[which].data + 1
    else:
        pair[which].data += 1
        pair[which].refresh()
    assert heard.called
    assert source.read()[0] != before


def test_a_neighbour_that_is_moved_away_is_told(
    source: ImageSource, pair: tuple[Image, Image]
) -> None:
    heard = listen(source)
    pair[1].scale = (1, 1, 1)
    assert heard.called


@pytest.mark.parametrize("choice", ["axis", "normalisation"])
def test_another_choice_is_told_and_is_another_value(
    source: ImageSource, stained: Image, choice: str
) -> None:
    before, heard = source.read()[0], listen(source)
    if choice == "axis":
        source.channels.choice = ChannelChoice(0, (1,))
        assert source.read()[0].view == before.view, "plane 1 is on screen, alone"
        source.channels.choice = ChannelChoice(0, (1, 2))
    else:
        source.channels.normalisation = "percentile"
    assert heard.called
    assert source.read()[0] != before


def test_the_slider_is_told_once_and_going_back_is_the_same_value(
    source: ImageSource, pair: tuple[Image, Image], viewer: ViewerModel
) -> None:
    before, heard = source.read()[0], listen(source)
    show_plane(viewer, pair[0], 3)
    assert heard.call_count == 1
    show_plane(viewer, pair[0], 2)
    assert source.read()[0] == before


def test_what_was_left_out_is_heard_no_more(source: ImageSource, pair: tuple[Image, Image]) -> None:
    source.channels.choice = ALONE
    heard = listen(source)
    pair[1].gamma = 0.4
    pair[1].data = pair[1].data + 1
    heard.assert_not_called()


def test_after_close_nothing_is_heard(viewer: ViewerModel, scaled: Image) -> None:
    source, other = ImageSource(viewer), viewer.add_image(scaled.data, **SCALED)
    source.select(scaled)
    source.channels.choice = ChannelChoice(others=(other,))
    source.close()
    heard = listen(source)
    other.gamma = scaled.gamma = 0.4
    other.data = scaled.data + 1
    viewer.layers.remove(other)
    heard.assert_not_called()


# Words and colours


def test_what_is_usual_needs_no_words(source: ImageSource, scaled: Image) -> None:
    source.select(scaled)
    assert source.channels.describe() == {}


def test_channels_are_described(source: ImageSource, stained: Image) -> None:
    source.channels.choice = ChannelChoice(0, (2, 1))
    source.channels.normalisation = "percentile"
    described = source.channels.describe()
    assert described == {
        "normalisation": "percentile",
        "axis": 0,
        "axis_name": str(stained.axis_labels[0]),
        "indices": [2, 1],
    }
    assert choice_from(described, stained, ()) == source.channels.choice


def test_layers_are_described_by_name(source: ImageSource, pair: tuple[Image, Image]) -> None:
    described = json.loads(json.dumps(source.channels.describe()))
    names = [(layer["name"], layer["colormap"]) for layer in described["layers"]]
    assert names == [("cells", "green"), ("other", "magenta")]
    assert described["layers"][0]["contrast_limits"] == list(pair[0].contrast_limits)
    assert choice_from(described, pair[0], pair[::-1]) == source.channels.choice
    assert choice_from(described, pair[0], pair[:1]) == ALONE, "the other one is gone"


@pytest.mark.parametrize("name", ["gray", "red", "viridis", "hsv", "gray_r", "bop blue"])
def test_colours_are_those_of_the_colormap(name: str) -> None:
    image = Image(pixels(), colormap=name)
    steps = np.linspace(0, 1, 57)
    colors = np.array(colors_of(image))
    got = [np.interp(steps, np.linspace(0, 1, len(colors)), colors[:, c]) for c in range(3)]
    np.testing.assert_allclose(np.stack(got, -1), image.colormap.map(steps)[:, :3], atol=0.01)


def test_uneven_and_stepped_colormaps_are_followed() -> None:
    red, white = (1, 0, 0, 1), (1, 1, 1, 1)
    uneven = Colormap([(0, 0, 0, 1), red, white], controls=[0, 0.1, 1])
    stepped = Colormap([red, white], controls=[0, 0.25, 1], interpolation="zero")
    for colormap in (uneven, stepped):
        colors = np.array(colors_of(Image(pixels(), colormap=colormap)))
        wanted = colormap.map(np.linspace(0, 1, len(colors)))
        np.testing.assert_allclose(colors, wanted[:, :3], atol=1e-6)


def test_what_is_transparent_adds_nothing() -> None:
    glass = Colormap([(1, 0, 0, 0), (1, 0, 0, 1)])
    assert colors_of(Image(pixels(), colormap=glass)) == RED
