from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton

from napari_sam2.errors import WeightsError
from napari_sam2.weights.registry import own_folder
from napari_sam2.widget import SegmentWidget
from napari_sam2.widget.image_choice import ImageChoice
from napari_sam2.widget.keys import KEYS
from napari_sam2.widget.model_panel import ModelPanel
from napari_sam2.widget.status_line import StatusLine
from tests.fakes import SquarePredict


def button(panel: SegmentWidget, title: str) -> QPushButton:
    return next(b for b in panel.findChildren(QPushButton) if b.text().startswith(title))


def annotate(panel: SegmentWidget) -> None:
    button(panel, "Annotate").click()


def status(panel: SegmentWidget) -> str:
    return panel.findChild(StatusLine).text


def texts(panel: SegmentWidget) -> set[str]:
    return {label.text() for label in panel.findChildren(QLabel) if label.isVisibleTo(panel)}


OURS = ("objects", "mask", "region", "shapes", "points")  # from the bottom to the top


def layer(viewer: ViewerModel, kind: type) -> Image:
    found = (layer for layer in viewer.layers if isinstance(layer, kind))
    return next(layer for layer in found if not layer.name.endswith(": region"))


def count(viewer: ViewerModel, label: int) -> int:
    """Count an object's pixels, whether it is at work or kept."""
    layers = [each for each in viewer.layers if isinstance(each, Labels)]
    return sum(int(np.count_nonzero(each.data == label)) for each in layers)


def click(viewer: ViewerModel, y: float, x: float) -> None:
    layer(viewer, Points).add((viewer.dims.current_step[0], y, x))


def press(viewer: ViewerModel, key: str, owner: object = None) -> None:
    owner = viewer if owner is None else owner
    next(act for bound, act in owner.keymap.items() if str(bound) == key)(owner)


def test_an_empty_viewer_says_what_to_do(
    qtbot: QtBot, viewer: ViewerModel, predict: SquarePredict
) -> None:
    panel = SegmentWidget(viewer, predict)
    qtbot.addWidget(panel)
    assert status(panel) == "Open an image to begin."
    assert not button(panel, "Annotate").isEnabled()
    viewer.add_image(np.zeros((20, 30)))
    assert button(panel, "Annotate").isEnabled()
    assert status(panel).startswith("Press Annotate")
    panel.close()


def test_opening_the_panel_changes_no_layer(panel: SegmentWidget, viewer: ViewerModel) -> None:
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert not viewer.keymap


def test_annotate_makes_the_layers_and_takes_the_point_tool(
    panel: SegmentWidget, viewer: ViewerModel
) -> None:
    annotate(panel)
    names = [layer.name for layer in viewer.layers]
    assert names == ["cells", *(f"cells: {content}" for content in OURS)]
    points = layer(viewer, Points)
    assert viewer.layers.selection.active == points
    assert points.mode == "add"
    assert button(panel, "Object").isChecked()
    assert not button(panel, "Annotate").isVisible()


def test_from_click_to_mask_to_the_next_object(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    annotate(panel)
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    assert "Mask 1 of 3 · score 0.91" in texts(panel)
    assert "cpu (1 thread)" in panel.panel.status.detail
    panel.panel.candidates.cycled.emit(1)
    assert count(viewer, 1) == 81
    assert "Mask 2 of 3 · score 0.80" in texts(panel)
    button(panel, "Keep").click()
    assert "Object 2" in texts(panel)
    qtbot.waitUntil(lambda: status(panel).startswith("Object 1 is kept"))
    click(viewer, 30, 40)
    qtbot.waitUntil(lambda: count(viewer, 2) == 49)
    button(panel, "Cancel").click()
    assert count(viewer, 2) == 0
    assert count(viewer, 1) == 81


@pytest.mark.parametrize("active", [Image, Labels, Points, Shapes])
def test_the_keys_work_whichever_layer_is_active(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, active: type
) -> None:
    """napari issue 7302: a plugin's keys lose to the active layer's."""
    annotate(panel)
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    owner = viewer if active is Image else layer(viewer, active)
    press(viewer, "N", owner)
    assert count(viewer, 1) == 81
    press(viewer, "Shift+N", owner)
    assert count(viewer, 1) == 49
    press(viewer, "Q", owner)
    assert button(panel, "Background").isChecked()
    press(viewer, "G", owner)
    assert button(panel, "Box").isChecked()
    press(viewer, "W", owner)
    assert len(layer(viewer, Points).data) == 0
    assert count(viewer, 1) == 49


def test_the_key_table_names_every_key(panel: SegmentWidget) -> None:
    annotate(panel)
    panel.panel.groups["keys"].folded = False
    caps = {each.text() for each in panel.panel.keys.findChildren(QPushButton)}
    assert {key.key for key in KEYS} <= caps
    assert {key.meaning for key in KEYS} <= texts(panel)


def test_the_first_click_finds_its_plane_embedded(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    annotate(panel)
    qtbot.waitUntil(lambda: len(predict.asked) == 1)
    viewer.dims.set_point(0, 6)
    qtbot.waitUntil(lambda: len(predict.asked) == 2)
    assert predict.asked[-1].plane == (3,)
    assert not predict.asked[-1].prompts


def test_a_slider_that_is_dragged_embeds_where_it_stops(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    annotate(panel)
    qtbot.waitUntil(lambda: len(predict.asked) == 1)
    for step in (0, 1, 3, 4):
        viewer.dims.set_current_step(0, viewer.dims.nsteps[0] * step // 5)
    qtbot.waitUntil(lambda: len(predict.asked) == 2)
    assert predict.asked[-1].plane == (4,)


def test_a_model_that_must_be_downloaded_waits_for_annotate(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    models = next(box for box in panel.findChildren(QComboBox) if not isinstance(box, ImageChoice))
    models.setCurrentIndex(1)
    models.activated.emit(1)
    assert any(text.startswith("Downloads 156 MB") for text in texts(panel))
    predict.asked.clear()
    viewer.dims.set_point(0, 6)
    qtbot.wait(200)  # longer than the slider's rest
    assert predict.asked == []
    annotate(panel)
    qtbot.waitUntil(lambda: len(predict.asked) == 1)
    assert predict.asked[0].model == "tiny"


def test_errors_are_said_in_the_panel(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    predict.error = WeightsError("Downloading needs a network, got none. Choose micro.")
    annotate(panel)
    qtbot.waitUntil(lambda: status(panel).startswith("Downloading needs"))
    predict.error = None
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    assert status(panel).startswith("Good?")


def test_errors_are_a_notification_when_the_panel_is_hidden(
    qtbot: QtBot,
    panel: SegmentWidget,
    predict: SquarePredict,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warned = Mock()
    monkeypatch.setattr("napari_sam2.widget.speech.show_warning", warned)
    predict.error = WeightsError("no network")
    annotate(panel)
    panel.hide()
    qtbot.waitUntil(lambda: warned.called)
    warned.assert_called_once_with("no network")


def test_the_status_recovers_from_the_3d_view(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel
) -> None:
    annotate(panel)
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: "2-D view" in status(panel))
    viewer.dims.ndisplay = 2
    qtbot.waitUntil(lambda: status(panel).startswith("Click on an object"))


def test_images_are_followed_by_name_and_order(
    panel: SegmentWidget, viewer: ViewerModel, stack: Image
) -> None:
    choice = panel.findChild(ImageChoice)
    stack.name = "nuclei"
    assert choice.currentText() == "nuclei"
    other = viewer.add_image(np.zeros((20, 30)), name="other")
    assert choice.currentText() == "nuclei"
    viewer.layers.remove(stack)
    assert choice.currentText() == "other"
    assert choice.image == other
    viewer.layers.clear()
    assert choice.image is None
    assert status(panel) == "Open an image to begin."


def test_going_back_to_an_image_takes_up_its_layers(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    viewer.add_image(np.zeros((20, 30)), name="other")
    choice = panel.findChild(ImageChoice)
    annotate(panel)
    choice.setCurrentIndex(1)
    choice.activated.emit(1)
    assert button(panel, "Annotate").isVisible()
    assert not viewer.keymap
    choice.setCurrentIndex(0)
    choice.activated.emit(0)
    assert not button(panel, "Annotate").isVisible()
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    assert len(viewer.layers) == 7


@pytest.mark.parametrize("kind", [Points, Shapes, Labels])
def test_a_deleted_layer_is_made_again_by_annotate(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, kind: type
) -> None:
    """micro-sam issues 929 and 943: layers missing or duplicated."""
    annotate(panel)
    viewer.layers.remove(layer(viewer, kind))
    assert button(panel, "Annotate").isVisible()
    annotate(panel)
    assert len(viewer.layers) == 6
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)


def test_an_image_of_another_shape_asks_for_new_layers(
    panel: SegmentWidget, viewer: ViewerModel, stack: Image
) -> None:
    annotate(panel)
    stack.data = np.zeros((5, 20, 20))
    assert button(panel, "Annotate").isVisible()


def test_a_second_panel_takes_up_the_layers_of_the_first(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    annotate(panel)
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    button(panel, "Keep").click()
    panel.close()
    again = SegmentWidget(viewer, predict)
    qtbot.addWidget(again)
    assert len(viewer.layers) == 6
    click(viewer, 30, 40)
    qtbot.waitUntil(lambda: count(viewer, 2) == 49)
    assert count(viewer, 1) == 49
    again.close()


@pytest.mark.parametrize("how", ["close", "taken out of its dock"])
def test_closing_while_the_worker_runs_is_safe(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict, how: str
) -> None:
    predict.may_answer.clear()
    annotate(panel)
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: len(predict.asked) == 1)
    if how == "close":
        panel.close()
    else:
        from qtpy.QtWidgets import QWidget

        dock = QWidget()
        panel.setParent(dock)
        panel.setParent(None)
        dock.deleteLater()
    assert not viewer.keymap
    assert not layer(viewer, Points).keymap
    predict.may_answer.set()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(1)
    click(viewer, 12, 20)
    viewer.add_image(np.zeros((20, 30)))
    assert count(viewer, 1) == 0
    assert len(predict.asked) == 1


def test_a_panel_deleted_by_qt_while_the_worker_runs_is_safe(
    qtbot: QtBot, viewer: ViewerModel, predict: SquarePredict, stack: Image
) -> None:
    panel = SegmentWidget(viewer, predict)
    predict.may_answer.clear()
    annotate(panel)
    qtbot.waitUntil(lambda: len(predict.asked) == 1)
    panel.deleteLater()
    with qtbot.waitSignal(panel.destroyed):
        pass
    assert not viewer.keymap
    predict.may_answer.set()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(1)
    click(viewer, 12, 20)
    assert len(predict.asked) == 1


def test_nothing_takes_the_keyboard_from_the_canvas(panel: SegmentWidget) -> None:
    from qtpy.QtCore import Qt

    for each in panel.findChildren(QPushButton):
        assert each.focusPolicy() == Qt.FocusPolicy.NoFocus


def test_a_long_name_does_not_widen_the_dock(panel: SegmentWidget, stack: Image) -> None:
    before = panel.minimumSizeHint().width()
    stack.name = "a very long file name of a microscope, with the date and the time" * 3
    assert panel.minimumSizeHint().width() == before


def test_a_long_name_of_a_model_does_not_widen_the_dock(qtbot: QtBot) -> None:
    def width() -> int:
        model = ModelPanel()
        qtbot.addWidget(model)
        return model.minimumSizeHint().width()

    before = width()
    own_folder().mkdir(parents=True)  # of this test's own home
    (own_folder() / f"{'nuclei of the zebrafish ' * 5}.safetensors").write_bytes(b"")
    assert width() == before


def test_full_labels_grow(panel: SegmentWidget, viewer: ViewerModel) -> None:
    """micro-sam issue 671: label ids overflowed."""
    annotate(panel)
    objects = layer(viewer, Labels)
    viewer.layers.remove(layer(viewer, Points))
    objects.data = np.full(objects.data.shape, 255, np.uint8)
    annotate(panel)
    assert panel.controller.object_id == 256
    assert objects.data.dtype.itemsize > 1
    assert (objects.data == 255).all()


def test_looking_at_another_image_does_not_end_the_object(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, stack: Image, predict: SquarePredict
) -> None:
    annotate(panel)
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    press(viewer, "N")
    viewer.add_image(np.zeros((5, 40, 60)), name="other")
    choice = panel.findChild(QComboBox)
    for name in ("other", "cells"):
        choice.setCurrentText(name)
        choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: count(viewer, 1) == 81)  # as it was chosen
    press(viewer, "W")
    qtbot.waitUntil(lambda: status(panel).startswith("Object 1 is kept"))
    assert count(viewer, 1) == 81
    assert count(viewer, 2) == 0


def test_keeping_while_the_mask_is_made_is_answered_at_once(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel, predict: SquarePredict
) -> None:
    annotate(panel)
    qtbot.waitUntil(lambda: status(panel).startswith("Click on an object"))
    predict.may_answer.clear()
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: status(panel).startswith("Looking"))
    press(viewer, "W")
    assert status(panel) == "The object is kept as soon as its mask is there."
    predict.error = WeightsError("No network.")
    predict.may_answer.set()
    qtbot.waitUntil(lambda: status(panel) == "No network.")


def test_the_brush_draws_the_object_at_work(
    qtbot: QtBot, panel: SegmentWidget, viewer: ViewerModel
) -> None:
    annotate(panel)
    objects = layer(viewer, Labels)
    assert objects.selected_label == 1
    click(viewer, 10, 20)
    qtbot.waitUntil(lambda: panel.controller.can_commit)
    press(viewer, "W")
    assert objects.selected_label == 2
    panel.controller.undo()
    assert objects.selected_label == 1
    panel.controller.redo()
    panel.controller.reopen(1)
    assert objects.selected_label == 1
    objects.selected_label = 7  # the user's choice stays until the object is another
    click(viewer, 12, 20)
    assert objects.selected_label == 7
    qtbot.waitUntil(lambda: not panel.controller.busy)


def test_shuffled_colours_show_in_the_table(
    panel: SegmentWidget, viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate(panel)
    refreshed = Mock()
    monkeypatch.setattr(panel.panel.table, "refresh_colors", refreshed)
    layer(viewer, Labels).new_colormap(seed=7)
    assert refreshed.call_count == 1
