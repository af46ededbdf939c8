"""The model's input on screen, and what was chosen for the model, as an image is annotated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from pytestqt.qtbot import QtBot

from napari_sam2.errors import PromptError
from napari_sam2.layers.channels import ALONE, ChannelChoice
from napari_sam2.layers.create import find_layers
from napari_sam2.layers.snapshots import take_snapshot
from napari_sam2.session.view import RED, Channel
from napari_sam2.widget import SegmentWidget
from napari_sam2.widget.settings import load_settings
from tests.fakes import SquarePredict

PLACE = {"scale": (2, 0.5, 0.5)}


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brightness is remembered, and the next test must begin as usual."""
    monkeypatch.setattr(
        "napari_sam2.widget.settings.settings_path", lambda: tmp_path / "settings.json"
    )


@pytest.fixture
def annotated(qtbot: QtBot, panel: SegmentWidget, predict: SquarePredict) -> SegmentWidget:
    """A panel whose image is annotated, and looked at by the model."""
    panel.panel.annotate.click()
    qtbot.waitUntil(lambda: bool(predict.asked) and not panel.controller.busy)
    return panel


@pytest.fixture
def showing(qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel) -> SegmentWidget:
    """With the model's input on screen."""
    toggle(annotated)
    qtbot.waitUntil(lambda: model_input(viewer) is not None)
    return annotated


def toggle(panel: SegmentWidget) -> None:
    panel.panel.view._input.click()


def model_input(viewer: ViewerModel) -> Image | None:
    found = [layer for layer in viewer.layers if layer.name == "cells: model input"]
    return found[0] if found else None


def is_idle(panel: SegmentWidget) -> bool:
    view = panel._view
    return not (view._jobs.busy or view._pace.isActive() or panel._settle.isActive())


def settle(qtbot: QtBot, panel: SegmentWidget) -> None:
    qtbot.waitUntil(lambda: is_idle(panel) and not panel.controller.busy)


def test_it_is_not_shown_until_it_is_asked_for(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    settle(qtbot, annotated)
    assert model_input(viewer) is None
    assert not predict.looked


def test_it_lies_over_the_image(showing: SegmentWidget, viewer: ViewerModel, stack: Image) -> None:
    layer = model_input(viewer)
    assert layer.data.shape == (1, 8, 8, 3)
    np.testing.assert_allclose(
        layer.data_to_world((0, 7.5, 7.5)), stack.data_to_world((2, 39.5, 59.5)), atol=1e-6
    )


def test_it_is_no_image_to_annotate_nor_a_neighbour(
    showing: SegmentWidget, viewer: ViewerModel
) -> None:
    images, view = showing.panel.images, showing.panel.view
    assert [images.itemText(at) for at in range(images.count())] == ["cells"]
    assert images.image.name == "cells"
    assert view._channels.findText("several layers") == -1
    viewer.add_image(np.zeros((5, 40, 60)), name="other")
    assert [image.name for image in view._neighbours] == ["other"]


@pytest.mark.parametrize(
    "change", ["contrast", "gamma", "plane", "brightness", "channels", "pixels"]
)
def test_it_follows(
    qtbot: QtBot,
    showing: SegmentWidget,
    viewer: ViewerModel,
    predict: SquarePredict,
    stack: Image,
    change: str,
) -> None:
    settle(qtbot, showing)
    before = model_input(viewer).data.copy()
    if change == "contrast":
        stack.contrast_limits = (0.1, 0.2)
    elif change == "gamma":
        stack.gamma = 0.5
    elif change == "plane":
        viewer.dims.set_current_step(0, 4)
    elif change == "brightness":
        showing.panel.view.normalisation_changed.emit("min-max")
    elif change == "channels":
        showing.panel.view.choice_changed.emit(ChannelChoice(0, (1, 2)))
    else:
        stack.data = stack.data + 1
    qtbot.waitUntil(lambda: not np.array_equal(model_input(viewer).data, before))
    settle(qtbot, showing)
    assert predict.looked[-1].image == showing.controller.look().image


def test_while_a_slider_is_dragged_one_picture_is_made_at_a_time(
    qtbot: QtBot, showing: SegmentWidget, predict: SquarePredict, stack: Image
) -> None:
    settle(qtbot, showing)
    predict.may_answer.clear()
    count = len(predict.looked)
    stack.contrast_limits = (0.0, 0.5)
    qtbot.waitUntil(lambda: len(predict.looked) > count)
    for high in np.linspace(0.1, 0.9, 30):
        stack.contrast_limits = (0.0, high)
    qtbot.waitUntil(lambda: showing._view._is_late)
    assert len(predict.looked) == count + 1
    predict.may_answer.set()
    settle(qtbot, showing)
    assert count + 2 <= len(predict.looked) <= count + 4
    assert predict.looked[-1].image.view.limits == (0.0, 0.9)


def test_it_goes_when_it_is_not_wanted(showing: SegmentWidget, viewer: ViewerModel) -> None:
    toggle(showing)
    assert model_input(viewer) is None


def test_it_goes_with_the_panel(showing: SegmentWidget, viewer: ViewerModel) -> None:
    showing.close()
    assert [layer.name for layer in viewer.layers][:2] == ["cells", "cells: objects"]


def test_it_goes_with_another_image(
    qtbot: QtBot, showing: SegmentWidget, viewer: ViewerModel
) -> None:
    viewer.add_image(np.zeros((30, 30)), name="other")
    showing.panel.images.setCurrentText("other")
    showing.panel.images.activated.emit(1)
    assert model_input(viewer) is None
    assert not showing.panel.view.shows_input


def test_deleted_by_hand_it_is_off(
    qtbot: QtBot, showing: SegmentWidget, viewer: ViewerModel, stack: Image
) -> None:
    viewer.layers.remove(model_input(viewer))
    assert not showing.panel.view.shows_input
    stack.gamma = 0.5
    settle(qtbot, showing)
    assert model_input(viewer) is None
    toggle(showing)
    qtbot.waitUntil(lambda: model_input(viewer) is not None)


def test_in_3d_it_waits(qtbot: QtBot, showing: SegmentWidget, viewer: ViewerModel) -> None:
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: model_input(viewer) is None)
    assert showing.panel.view.shows_input
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: model_input(viewer) is not None)


def test_what_cannot_be_shown_is_told_once(
    qtbot: QtBot, showing: SegmentWidget, viewer: ViewerModel, predict: SquarePredict, stack: Image
) -> None:
    settle(qtbot, showing)
    predict.error = PromptError("The plane must be readable, got none.")
    stack.gamma = 0.5
    qtbot.waitUntil(lambda: model_input(viewer) is None)
    settle(qtbot, showing)
    assert showing.panel.status.text == "The plane must be readable, got none."


def test_a_model_that_has_not_answered_is_not_loaded_for_it(
    qtbot: QtBot, panel: SegmentWidget, predict: SquarePredict
) -> None:
    """Else a download would begin without a word."""
    predict.may_answer.clear()
    panel.panel.annotate.click()
    toggle(panel)
    qtbot.waitUntil(lambda: bool(predict.asked))
    assert not predict.looked
    predict.may_answer.set()
    qtbot.waitUntil(lambda: bool(predict.looked))


# What was chosen


def add_other(viewer: ViewerModel) -> Image:
    return viewer.add_image(np.ones((5, 40, 60)), name="other", colormap="red", **PLACE)


def choose(qtbot: QtBot, panel: SegmentWidget, choice: ChannelChoice) -> None:
    panel.panel.view.choice_changed.emit(choice)
    settle(qtbot, panel)


def test_the_model_is_asked_about_what_was_chosen(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    choose(qtbot, annotated, ChannelChoice(others=(add_other(viewer),)))
    qtbot.waitUntil(lambda: len(predict.asked[-1].image.view.channels) == 2)
    assert predict.asked[-1].image.view.channels[1] == Channel((0, 1), 1.0, RED)


def test_it_is_saved_and_told(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel, stack: Image
) -> None:
    settings = snapshot_settings(annotated, stack)
    assert "model_view" not in settings
    assert settings["contrast_limits"] == list(stack.contrast_limits)
    other = add_other(viewer)
    choose(qtbot, annotated, ChannelChoice(others=(other,)))
    other.contrast_limits = (0.25, 0.5)
    annotated.panel.view.normalisation_changed.emit("percentile")
    view = snapshot_settings(annotated, stack)["model_view"]
    assert view["normalisation"] == "percentile"
    assert [layer["name"] for layer in view["layers"]] == ["cells", "other"]
    assert view["layers"][1]["contrast_limits"] == [0.25, 0.5]
    assert annotated.panel.groups["view"]._header.note == "2 layers, percentile"


def snapshot_settings(panel: SegmentWidget, image: Image) -> Any:
    return take_snapshot(panel.controller.document, image, "").settings


@pytest.mark.parametrize("kind", ["axis", "layers"])
def test_it_is_there_again_when_the_panel_is_opened_again(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel, predict: SquarePredict, kind: str
) -> None:
    other = add_other(viewer)
    choice = ChannelChoice(0, (2, None, 1)) if kind == "axis" else ChannelChoice(others=(other,))
    choose(qtbot, annotated, choice)
    annotated.close()
    again = SegmentWidget(viewer, predict)
    qtbot.addWidget(again)
    again.panel.images.setCurrentText("cells")
    again.panel.images.activated.emit(0)
    assert again._source.channels.choice == choice
    again.close()


def test_a_session_is_seen_as_it_was(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel, stack: Image
) -> None:
    other = add_other(viewer)
    choose(qtbot, annotated, ChannelChoice(others=(other,)))
    annotated.panel.view.normalisation_changed.emit("percentile")
    saved = json.loads(json.dumps(snapshot_settings(annotated, stack)))
    choose(qtbot, annotated, ALONE)
    annotated.panel.view.normalisation_changed.emit("full")
    channels = annotated._source.channels

    assert annotated._view.see_as(saved) == ""
    assert channels.choice == ChannelChoice(others=(other,))
    assert channels.normalisation == "percentile"
    assert annotated.panel.view._normalisation.currentText().startswith("percentile")
    assert load_settings().normalisation == "full", "what the user prefers stays"

    viewer.layers.remove(other)
    assert annotated._view.see_as(saved) == " The model saw 'other' as well, not open now."
    assert channels.choice == ALONE
    del saved["model_view"]
    assert annotated._view.see_as(saved) == ""
    assert channels.normalisation == "limits"


@pytest.mark.parametrize(
    "noted",
    [
        7,
        {"axis": "z", "indices": [0]},
        {"axis": 0, "indices": ["red"]},
        {"axis": 9, "indices": [0]},
        {"axis": 0, "indices": 1},
        {"layers": 3},
        {"layers": [{"colour": "red"}, 5], "normalisation": "bright"},
    ],
)
def test_nonsense_in_a_session_shows_the_image_alone(
    annotated: SegmentWidget, noted: object
) -> None:
    assert annotated._view.see_as({"model_view": noted}) == ""
    assert annotated._source.channels.choice == ALONE
    assert annotated._source.channels.normalisation == "limits"


def test_another_image_is_seen_alone_and_the_first_as_before(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel
) -> None:
    choose(qtbot, annotated, ChannelChoice(0, (1, 2)))
    viewer.add_image(np.zeros((5, 30, 30)), name="other")
    images = annotated.panel.images
    images.setCurrentText("other")
    images.activated.emit(1)
    assert annotated._source.channels.choice == ALONE
    images.setCurrentText("cells")
    images.activated.emit(0)
    assert annotated._source.channels.choice == ChannelChoice(0, (1, 2))


def test_the_users_image_keeps_its_metadata(
    qtbot: QtBot, annotated: SegmentWidget, stack: Image, viewer: ViewerModel
) -> None:
    choose(qtbot, annotated, ChannelChoice(0, (1, 2)))
    assert stack.metadata == {}
    layers = find_layers(viewer, stack)
    assert layers.objects.metadata["napari_sam2"]["model_view"]["indices"] == [1, 2]


def test_brightness_is_remembered_for_the_next_start(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    annotated.panel.view.normalisation_changed.emit("full")
    settle(qtbot, annotated)
    assert load_settings().normalisation == "full"
    annotated.close()
    again = SegmentWidget(viewer, predict)
    qtbot.addWidget(again)
    assert again._source.channels.normalisation == "full"
    assert again.panel.view._normalisation.currentText() == "full range of the type"
    again.close()


def test_axes_on_screen_are_not_offered(
    qtbot: QtBot, annotated: SegmentWidget, viewer: ViewerModel
) -> None:
    view = annotated.panel.view
    assert view._channels.itemText(1) == "along axis 0 (5)"
    viewer.dims.order = (1, 0, 2)
    settle(qtbot, annotated)
    assert view._channels.itemText(1) == "along axis 1 (40)"
