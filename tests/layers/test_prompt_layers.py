from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.create import create_points, create_shapes
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts
from tests.layers.conftest import SHAPE

PLANE, SIZE = Plane((1, 2), (2,)), SHAPE[1:]


def read(prompts: PromptLayers, image: Image) -> Prompts:
    return prompts.read(image, PLANE, SIZE)[0]


def rounded(prompts: Prompts) -> Prompts:
    points = tuple((round(y, 3), round(x, 3)) for y, x in prompts.points)
    box = prompts.box and tuple(round(value, 3) for value in prompts.box)
    return Prompts(points, prompts.polarity, box)


def rectangle(y0: float, x0: float, y1: float, x1: float, z: float = 2) -> np.ndarray:
    return np.array([[z, y0, x0], [z, y0, x1], [z, y1, x1], [z, y1, x0]])


def listen(prompts: PromptLayers) -> Mock:
    heard = Mock()
    prompts.changed.connect(heard, check_nargs=False)
    return heard


def test_a_click_is_at_the_pixel_under_it(prompts: PromptLayers, image: Image) -> None:
    world = image.data_to_world((2, 10, 20))  # what the mouse gives
    prompts.points.add(prompts.points.world_to_data(world))
    assert rounded(read(prompts, image)) == Prompts(((10, 20),), (1,))


def test_moved_prompt_layers_are_read_through_the_world(
    prompts: PromptLayers, image: Image
) -> None:
    for layer in (prompts.points, prompts.shapes):
        layer.scale = (2, 1.5, 1.5)
        layer.translate = (0, -7, 3)
    world = np.array([image.data_to_world(corner) for corner in rectangle(5, 6, 15, 26)])
    prompts.points.add(prompts.points.world_to_data(world[0]))
    prompts.shapes.add_rectangles(np.array([prompts.shapes.world_to_data(at) for at in world]))
    assert rounded(read(prompts, image)) == Prompts(((5, 6),), (1,), (5, 6, 15, 26))


def test_only_the_plane_on_screen_counts(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.points.add([[1, 10, 20], [2, 11, 21], [3, 12, 22]])
    on_scaled.shapes.add_rectangles([rectangle(5, 6, 15, 26, z=1)])
    assert read(on_scaled, scaled) == Prompts(((11, 21),), (1,))


def test_polarity_is_that_of_each_point(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.points.add((1, 1, 1))
    on_scaled.points.add((2, 10, 20))
    on_scaled.polarity = 0
    on_scaled.points.add((2, 12, 22))
    assert read(on_scaled, scaled).polarity == (1, 0)
    assert on_scaled.points.features["polarity"].tolist() == [1, 1, 0]


def test_green_plus_and_red_minus(on_scaled: PromptLayers) -> None:
    on_scaled.points.add((2, 10, 20))
    on_scaled.polarity = 0
    on_scaled.points.add((2, 12, 22))
    plus, minus = on_scaled.points.face_color
    assert plus[1] > 2 * plus[0]
    assert minus[0] > 2 * minus[1]
    assert [str(symbol) for symbol in on_scaled.points.symbol] == ["cross", "hbar"]


def test_placing_a_negative_point_leaves_the_others(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.points.add((2, 10, 20))  # and is selected by napari
    on_scaled.polarity = 0
    assert read(on_scaled, scaled).polarity == (1,)
    assert str(on_scaled.points.symbol[0]) == "cross"


def test_a_point_just_placed_keeps_its_colour(on_scaled: PromptLayers) -> None:
    on_scaled.points.mode = "add"
    on_scaled.points.add((2, 10, 20))
    assert not on_scaled.points.selected_data


def test_polarity_edited_in_the_table_counts(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.points.add((2, 10, 20))
    heard = listen(on_scaled)
    on_scaled.points.features = {"polarity": [0]}
    assert heard.called
    assert read(on_scaled, scaled).polarity == (0,)
    assert str(on_scaled.points.symbol[0]) == "hbar"


def test_selecting_a_point_takes_its_polarity_for_the_next(on_scaled: PromptLayers) -> None:
    on_scaled.points.add((2, 10, 20))
    on_scaled.polarity = 0
    told = Mock()
    on_scaled.polarity_changed.connect(told)
    on_scaled.points.selected_data = {0}
    assert on_scaled.polarity == 1
    told.assert_called_once_with(1)


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("step", [1, -1])
def test_a_box_is_the_same_however_it_is_drawn(
    on_scaled: PromptLayers, scaled: Image, turn: int, step: int
) -> None:
    """napari-SAM4IS issue 19: the box depended on the drawing direction."""
    on_scaled.shapes.add_rectangles([np.roll(rectangle(5, 6, 15, 26), turn, axis=0)[::step]])
    assert read(on_scaled, scaled).box == (5, 6, 15, 26)


def test_a_turned_box_counts_as_its_bounding_box(on_scaled: PromptLayers, scaled: Image) -> None:
    diamond = np.array([[2, 10, 20], [2, 15, 25], [2, 20, 20], [2, 15, 15]])
    on_scaled.shapes.add_rectangles([diamond])
    assert rounded(read(on_scaled, scaled)).box == (10, 15, 20, 25)


def test_a_box_is_clipped_at_the_border(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.shapes.add_rectangles([rectangle(-5, 50, 15, 99)])
    assert read(on_scaled, scaled).box == (0, 50, 15, 60)


def test_a_box_without_area_is_a_point(on_scaled: PromptLayers, scaled: Image) -> None:
    """The box tool was still in hand, and the user clicked."""
    on_scaled.shapes.add_rectangles([rectangle(5, 6, 5.1, 6.1)])
    assert rounded(read(on_scaled, scaled)) == Prompts(((5.05, 6.05),), (1,))


def test_of_several_boxes_the_newest_counts(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.shapes.add_rectangles([rectangle(1, 1, 9, 9), rectangle(5, 6, 15, 26)])
    prompts, note = on_scaled.read(scaled, PLANE, SIZE)
    assert prompts.box == (5, 6, 15, 26)
    assert note == "Of the 2 shapes, the newest counts."


def test_a_point_beyond_the_image_is_left_out_and_told(
    on_scaled: PromptLayers, scaled: Image
) -> None:
    on_scaled.points.add([[2, 10, 20], [2, -3, 20], [2, 10, 60]])
    prompts, note = on_scaled.read(scaled, PLANE, SIZE)
    assert prompts == Prompts(((10, 20),), (1,))
    assert note == "2 points beyond the image: not used."


def test_a_box_beyond_the_image_is_told(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.shapes.add_rectangles([rectangle(-9, -9, -2, -3)])
    prompts, note = on_scaled.read(scaled, PLANE, SIZE)
    assert not prompts
    assert note == "A shape beyond the image is not used."


def test_the_outer_half_of_a_border_pixel_is_inside(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.points.add([[2, -0.4, 0], [2, 39.4, 59.4]])
    prompts = read(on_scaled, scaled)
    assert rounded(prompts).points == ((0, 0), (39.4, 59.4))
    prompts.check(SIZE)


def test_it_is_told_after_each_edit_and_not_before(on_scaled: PromptLayers, scaled: Image) -> None:
    seen: list[Prompts] = []
    on_scaled.changed.connect(lambda: seen.append(read(on_scaled, scaled)))
    on_scaled.points.add((2, 10, 20))
    assert {len(prompts.points) for prompts in seen} == {1}
    seen.clear()
    on_scaled.points.data = np.add(on_scaled.points.data, [0, 1, 1])
    assert {prompts.points for prompts in seen} == {((11, 21),)}
    seen.clear()
    on_scaled.points.remove([0])
    assert {len(prompts.points) for prompts in seen} == {0}
    seen.clear()
    on_scaled.shapes.add_rectangles([rectangle(5, 6, 15, 26)])
    assert {prompts.box for prompts in seen} == {(5, 6, 15, 26)}


def test_clearing_is_told_once_and_keeps_the_layers(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.points.add([[2, 10, 20], [1, 10, 20]])
    on_scaled.shapes.add_rectangles([rectangle(5, 6, 15, 26)])
    on_scaled.polarity = 0
    heard = listen(on_scaled)
    on_scaled.clear()
    assert heard.call_count == 1
    assert len(on_scaled.points.data) == on_scaled.shapes.nshapes == 0
    assert on_scaled.polarity == 1
    on_scaled.points.add((2, 10, 20))
    assert read(on_scaled, scaled) == Prompts(((10, 20),), (1,))


def test_points_without_the_feature_are_positive(viewer: ViewerModel, scaled: Image) -> None:
    points = viewer.add_points([[2, 10, 20]], scale=scaled.scale, translate=scaled.translate)
    prompts = PromptLayers(points, create_shapes(scaled))
    assert read(prompts, scaled).polarity == (1,)
    prompts.close()


def test_after_close_nothing_is_heard(viewer: ViewerModel, scaled: Image) -> None:
    prompts = PromptLayers(create_points(scaled), create_shapes(scaled))
    heard = listen(prompts)
    prompts.close()
    prompts.points.add((2, 10, 20))
    prompts.shapes.add_rectangles([rectangle(5, 6, 15, 26)])
    heard.assert_not_called()


@pytest.mark.parametrize("table", [{"quality": [0.5]}, {"polarity": [np.nan]}])
def test_points_with_another_table_can_be_added_and_are_on_the_object(
    on_scaled: PromptLayers, scaled: Image, table: dict[str, list[float]]
) -> None:
    on_scaled.points.add((2, 10, 20))
    on_scaled.points.features = table
    on_scaled.points.feature_defaults = {name: values[0] for name, values in table.items()}
    on_scaled.points.add((2, 11, 21))
    on_scaled.points.selected_data = {0}
    assert read(on_scaled, scaled).polarity == (1, 1)
    on_scaled.points.selected_data = set()
    on_scaled.polarity = 0
    on_scaled.points.add((2, 12, 22))
    assert read(on_scaled, scaled).polarity == (1, 1, 0)
