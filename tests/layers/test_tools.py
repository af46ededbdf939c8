from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.create import OurLayers, ensure_layers
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.layers.tools import Tools
from napari_sam2.session.objects import PlacedPrompts
from tests.layers.mouse import Mouse


@pytest.fixture
def layers(viewer: ViewerModel, scaled: Image) -> OurLayers:
    return ensure_layers(viewer, scaled)


@pytest.fixture
def prompts(layers: OurLayers) -> Iterator[PromptLayers]:
    prompts = PromptLayers(layers.points, layers.shapes)
    yield prompts
    prompts.close()


@pytest.fixture
def tools(viewer: ViewerModel, prompts: PromptLayers) -> Iterator[Tools]:
    tools = Tools(viewer, prompts)
    yield tools
    tools.close()


@pytest.mark.parametrize(("tool", "polarity"), [("object", 1), ("background", 0)])
def test_a_point_tool_places_points_of_its_polarity(
    viewer: ViewerModel, tools: Tools, prompts: PromptLayers, tool, polarity: int
) -> None:
    tools.tool = tool
    assert viewer.layers.selection.active == prompts.points
    assert prompts.points.mode == "add"
    assert prompts.polarity == polarity
    assert tools.tool == tool


def test_the_box_tool_draws_rectangles(
    viewer: ViewerModel, tools: Tools, prompts: PromptLayers
) -> None:
    tools.tool = "box"
    assert viewer.layers.selection.active == prompts.shapes
    assert prompts.shapes.mode == "add_rectangle"
    assert tools.tool == "box"


SHAPE_TOOLS = [
    ("box", "rectangle"),
    ("ellipse", "ellipse"),
    ("polygon", "polygon"),
    ("scribble", "path"),
]


@pytest.mark.parametrize(("tool", "kind"), SHAPE_TOOLS)
def test_a_drag_draws_one_shape_after_the_other(
    viewer: ViewerModel, tools: Tools, prompts: PromptLayers, tool, kind: str
) -> None:
    """cvat issue 7134: the tool had to be picked again for each object."""
    tools.tool = tool
    assert viewer.layers.selection.active == prompts.shapes
    for drawn in (1, 2):
        Mouse(prompts.shapes).drag((2, 5, 6), (2, 5, 26), (2, 15, 26), (2, 15, 6), (2, 9, 9))
        shapes = prompts.capture().shapes
        assert [shape.kind for shape in shapes] == [kind] * drawn
        assert tools.tool == tool


@pytest.mark.parametrize(("tool", "kind"), SHAPE_TOOLS)
@pytest.mark.parametrize("polarity", [0, 1])
def test_a_shape_gets_the_current_polarity_and_its_looks(
    tools: Tools, prompts: PromptLayers, tool, kind: str, polarity: int
) -> None:
    tools.tool = tool
    prompts.polarity = polarity
    mouse = Mouse(prompts.shapes)
    mouse.press(2, 5, 6)
    while_drawing = prompts.shapes.edge_color[0].tolist()
    for at in ((2, 5, 26), (2, 15, 26), (2, 15, 6)):
        mouse.move(*at)
    mouse.release(2, 9, 9)
    wanted = 1 if tool == "box" else polarity
    (shape,) = prompts.capture().shapes
    assert shape.polarity == wanted
    red, green, _, _ = prompts.shapes.edge_color[0]
    assert bool(green > red) == bool(wanted)
    assert prompts.shapes.edge_color[0].tolist() == while_drawing
    assert bool(prompts.shapes.face_color[0][3]) != bool(wanted), "background areas are filled"


def test_a_shape_that_is_being_drawn_is_no_prompt_yet(tools: Tools, prompts: PromptLayers) -> None:
    heard = Mock()
    prompts.changed.connect(heard, check_nargs=False)
    tools.tool = "polygon"
    mouse = Mouse(prompts.shapes)
    mouse.press(2, 5, 6)
    for at in ((2, 5, 26), (2, 15, 26), (2, 15, 6)):
        mouse.move(*at)
        assert not prompts.capture()
    heard.assert_not_called()
    mouse.release(2, 15, 6)
    assert len(prompts.capture().shapes) == 1
    assert heard.call_count == 1


@pytest.mark.parametrize(("tool", "kind"), SHAPE_TOOLS)
def test_what_is_restored_as_soon_as_a_shape_is_told_is_restored(
    tools: Tools, prompts: PromptLayers, tool, kind: str
) -> None:
    tools.tool = tool
    prompts.changed.connect(lambda: prompts.restore(PlacedPrompts()), check_nargs=False)
    for _ in range(2):
        Mouse(prompts.shapes).drag((2, 5, 6), (2, 5, 26), (2, 15, 26), (2, 9, 9))
        assert prompts.shapes.nshapes == 0
        assert not prompts.capture()


@pytest.mark.parametrize("tool", ["polygon", "scribble"])
def test_the_polarity_may_change_while_a_shape_is_drawn(
    tools: Tools, prompts: PromptLayers, tool
) -> None:
    tools.tool = tool
    mouse, way = Mouse(prompts.shapes), [(2, 5, 6), (2, 5, 26), (2, 15, 26), (2, 9, 9)]
    mouse.press(*way[0])
    for at in way[1:]:
        mouse.move(*at)
    tools.toggle_polarity()
    mouse.release(*way[-1])
    mouse.drag(*way)
    assert [shape.polarity for shape in prompts.capture().shapes] == [1, 0]


@pytest.mark.parametrize("tool", ["polygon", "scribble"])
def test_a_shape_given_up_does_not_hand_on_its_polarity(
    tools: Tools, prompts: PromptLayers, tool
) -> None:
    tools.tool = tool
    prompts.polarity = 0
    Mouse(prompts.shapes).click(2, 5, 6)
    Mouse(prompts.shapes).click(2, 5, 6)  # ends it: napari drops the shape, but not its row
    assert not prompts.capture()
    assert len(prompts.shapes.features) == 0
    prompts.polarity = 1
    mouse = Mouse(prompts.shapes)
    mouse.press(2, 5, 6)
    mouse.move(2, 5, 26)
    assert len(prompts.shapes.edge_color) == 1
    red, green, _, _ = prompts.shapes.edge_color[0]
    assert green > red
    for at in ((2, 15, 26), (2, 15, 15), (2, 9, 9)):
        mouse.move(*at)
    mouse.release(2, 9, 9)
    assert [shape.polarity for shape in prompts.capture().shapes] == [1]


@pytest.mark.parametrize("tool", ["polygon", "scribble"])
def test_what_waits_for_a_shape_that_is_given_up_is_restored(
    tools: Tools, prompts: PromptLayers, tool
) -> None:
    tools.tool = tool
    Mouse(prompts.shapes).drag((2, 5, 6), (2, 5, 26), (2, 15, 26), (2, 9, 9))
    Mouse(prompts.shapes).click(2, 25, 6)
    prompts.restore(PlacedPrompts())
    Mouse(prompts.shapes).click(2, 25, 6)
    assert prompts.shapes.nshapes == 0
    assert not prompts.capture()


def test_a_shape_that_loses_its_corners_takes_its_polarity_with_it(
    tools: Tools, prompts: PromptLayers
) -> None:
    lines = [[(2, y, 5), (2, y, 15)] for y in (5, 15, 25)]
    for polarity, line in zip((1, 0, 1), lines, strict=True):
        prompts.polarity = polarity
        prompts.shapes.add_paths([line])
    tools.tool = "scribble"
    prompts.shapes.mode = "vertex_remove"
    prompts.shapes.selected_data = {1}
    Mouse(prompts.shapes).click(2, 15, 5)
    assert [shape.polarity for shape in prompts.capture().shapes] == [1, 1]


@pytest.mark.parametrize(("tool", "kind"), SHAPE_TOOLS)
def test_what_is_restored_while_a_shape_is_drawn_waits_for_its_end(
    tools: Tools, prompts: PromptLayers, tool, kind: str
) -> None:
    """Each shape is an object: the first one's mask is there when the second is being drawn."""
    tools.tool = tool
    mouse, way = Mouse(prompts.shapes), [(2, 5, 6), (2, 5, 26), (2, 15, 26), (2, 9, 9)]
    mouse.drag(*way)
    heard = Mock()
    prompts.changed.connect(heard, check_nargs=False)
    mouse.press(2, 25, 6)
    mouse.move(2, 25, 26)
    prompts.restore(PlacedPrompts())
    assert not prompts.capture()
    mouse.move(2, 35, 26)
    mouse.move(2, 35, 7)
    heard.assert_not_called()
    mouse.release(2, 35, 7)
    (shape,) = prompts.capture().shapes
    assert shape.kind == kind
    assert min(y for _, y, _ in shape.vertices) >= 24
    assert heard.call_count == 1
    mouse.drag(*way)
    assert prompts.shapes.nshapes == 2


@pytest.mark.parametrize("tool", ["object", "background"])
def test_shift_and_a_click_place_the_other_polarity_once(
    tools: Tools, prompts: PromptLayers, tool
) -> None:
    tools.tool = "box"
    tools.tool = tool  # napari puts its callback behind ours
    usual = prompts.polarity
    Mouse(prompts.points).click(2, 5, 5)
    Mouse(prompts.points, ["Shift"]).click(2, 6, 6)
    Mouse(prompts.points).click(2, 7, 7)
    placed = [point.polarity for point in prompts.capture().points]
    assert placed == [usual, 1 - usual, usual]
    assert tools.tool == tool


def test_shift_and_a_drag_change_nothing(tools: Tools, prompts: PromptLayers) -> None:
    tools.tool = "object"
    Mouse(prompts.points, ["Shift"]).drag((2, 6, 6), (2, 20, 20))
    assert not prompts.capture()
    assert tools.tool == "object"


def test_shift_has_its_own_meaning_when_points_are_selected(
    tools: Tools, prompts: PromptLayers
) -> None:
    tools.tool = "object"
    prompts.points.add((2, 5, 5))
    prompts.points.mode = "select"
    Mouse(prompts.points, ["Shift"]).click(2, 20, 20)
    assert prompts.polarity == 1
    assert len(prompts.points.data) == 1


@pytest.mark.parametrize("tool", ["ellipse", "polygon", "scribble"])
def test_polarity_toggles_and_the_shape_tool_stays(tools: Tools, tool) -> None:
    tools.tool = tool
    assert tools.polarity == 1
    tools.toggle_polarity()
    assert (tools.tool, tools.polarity) == (tool, 0)


def test_boxes_have_no_other_polarity(tools: Tools) -> None:
    tools.tool = "background"
    tools.tool = "box"
    assert tools.polarity == 1
    tools.toggle_polarity()
    assert tools.tool == "object"
    tools.tool = "box"
    tools.polarity = 0
    assert tools.tool == "background"


def test_tools_follow_each_other_round(tools: Tools) -> None:
    tools.polarity = 0
    seen = []
    for _ in range(6):
        tools.next_tool()
        seen.append(tools.tool)
    assert seen == ["box", "ellipse", "polygon", "scribble", "background", "box"]


def test_without_a_tool_the_next_one_is_points(tools: Tools) -> None:
    assert (tools.tool, tools.kind, tools.polarity) == ("", "", None)
    tools.next_tool()
    assert (tools.tool, tools.kind, tools.polarity) == ("object", "points", 1)


@pytest.mark.parametrize("mode", ["add_polygon", "add_polyline", "add_line"])
def test_other_ways_to_draw_in_napari_are_tools_as_well(
    viewer: ViewerModel, tools: Tools, prompts: PromptLayers, mode: str
) -> None:
    viewer.layers.selection.active = prompts.shapes
    prompts.shapes.mode = mode
    assert tools.tool == ("polygon" if mode == "add_polygon" else "scribble")


@pytest.mark.parametrize("tool", ["object", "polygon"])
def test_a_tool_shows_its_hidden_layer(tools: Tools, layers: OurLayers, tool) -> None:
    layers.points.visible = layers.shapes.visible = False
    tools.tool = tool
    assert tools.tool == tool


def test_the_tool_stays_when_prompts_are_restored(tools: Tools, prompts: PromptLayers) -> None:
    tools.tool = "polygon"
    prompts.polarity = 0
    Mouse(prompts.shapes).drag((2, 5, 6), (2, 5, 26), (2, 15, 26), (2, 9, 9))
    placed = prompts.capture()
    prompts.clear()
    tools.tool = "scribble"
    prompts.restore(placed)
    assert (tools.tool, tools.polarity) == ("scribble", 1)


def test_points_and_edges_are_as_large_on_screen_at_any_zoom(
    viewer: ViewerModel, tools: Tools, prompts: PromptLayers
) -> None:
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    tools.tool = "box"
    for zoom in (1, 2, 20, 0.3):
        camera.zoom = zoom
        Mouse(prompts.shapes).drag((2, 5, 6), (2, 15, 26))
        prompts.points.add((2, 5, 5))
        pixels_per_step = 0.5 * zoom  # 0.5 is the layers' scale
        assert set(np.round(prompts.shapes.edge_width, 6)) == {round(2.5 / pixels_per_step, 6)}
        np.testing.assert_allclose(prompts.points.size, 22 / pixels_per_step)


def test_a_little_zoom_draws_nothing_anew(
    viewer: ViewerModel, tools: Tools, prompts: PromptLayers
) -> None:
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.zoom = 4
    size = prompts.points.current_size
    camera.zoom = 4.5
    assert prompts.points.current_size == size
    camera.zoom = 6
    assert prompts.points.current_size < size


def test_polarity_toggles(tools: Tools) -> None:
    tools.tool = "object"
    tools.toggle_polarity()
    assert tools.tool == "background"
    tools.toggle_polarity()
    assert tools.tool == "object"


def test_points_and_boxes_take_turns_and_polarity_is_remembered(tools: Tools) -> None:
    tools.tool = "background"
    tools.tool = "box"
    assert tools.tool == "box"
    tools.tool = "points"
    assert tools.tool == "background"


def test_what_the_user_does_in_napari_is_followed(
    viewer: ViewerModel, tools: Tools, layers: OurLayers, prompts: PromptLayers
) -> None:
    heard = Mock()
    tools.changed.connect(heard)
    tools.tool = "object"
    layers.points.mode = "pan_zoom"
    heard.assert_called_with("")
    layers.points.mode = "add"
    heard.assert_called_with("object")
    prompts.polarity = 0
    heard.assert_called_with("background")
    viewer.layers.selection.active = layers.objects
    heard.assert_called_with("")


def test_after_close_nothing_is_heard(viewer: ViewerModel, prompts: PromptLayers) -> None:
    before = list(prompts.points.mouse_drag_callbacks)
    tools = Tools(viewer, prompts)
    heard = Mock()
    tools.changed.connect(heard)
    tools.close()
    assert prompts.points.mouse_drag_callbacks == before
    prompts.polarity = 0
    prompts.points.mode = "add"
    viewer.layers.selection.active = prompts.shapes
    heard.assert_not_called()


def test_clearing_keeps_the_tool_and_the_looks(tools: Tools, prompts: PromptLayers) -> None:
    """cvat issue 7134: the tool had to be picked again for each object."""
    box = np.array([[2, 5, 6], [2, 5, 26], [2, 15, 26], [2, 15, 6]])
    tools.tool = "box"
    prompts.shapes.add_rectangles([box])
    looks = prompts.shapes.edge_color[0].tolist(), prompts.shapes.edge_width[0]
    prompts.clear()
    assert tools.tool == "box"
    prompts.shapes.add_rectangles([box])
    assert (prompts.shapes.edge_color[0].tolist(), prompts.shapes.edge_width[0]) == looks
    assert looks[0] != [0.466667, 0.466667, 0.466667, 1]
