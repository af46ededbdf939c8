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


def test_polarity_toggles(tools: Tools) -> None:
    tools.tool = "object"
    tools.toggle_polarity()
    assert tools.tool == "background"
    tools.toggle_polarity()
    assert tools.tool == "object"


def test_points_and_boxes_toggle_and_polarity_is_remembered(tools: Tools) -> None:
    tools.tool = "background"
    tools.toggle_box()
    assert tools.tool == "box"
    tools.toggle_box()
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
    tools = Tools(viewer, prompts)
    heard = Mock()
    tools.changed.connect(heard)
    tools.close()
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
