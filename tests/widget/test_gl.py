"""A real viewer: the only tests that need a display."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from napari.viewer import Viewer
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtWidgets import QApplication, QLabel, QMenu, QPushButton, QTableView

from napari_sam2.session.export import FORMATS
from napari_sam2.session.project import load_session
from napari_sam2.weights.registry import REGISTRY, Entry
from napari_sam2.widget import SegmentWidget
from tests.fakes import SquarePredict
from tests.widget.dialogs import FakeDialogs
from tests.widget.hand import Hand

pytestmark = [
    pytest.mark.gl,
    # napari's own, while it starts and closes.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:napari"),
]
Key = Qt.Key
SHIFT = Qt.KeyboardModifier.ShiftModifier
COMMAND = Qt.KeyboardModifier.ControlModifier


@pytest.fixture
def empty_viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    return make_napari_viewer(show=True)


@pytest.fixture
def viewer(empty_viewer: Viewer) -> Viewer:
    empty_viewer.add_image(
        np.random.default_rng(0).random((5, 40, 60)), scale=(2, 0.5, 0.5), translate=(0, 10, 20)
    )
    empty_viewer.dims.set_point(0, 4)
    return empty_viewer


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> SquarePredict:
    predict = SquarePredict()
    monkeypatch.setattr("napari_sam2.widget.main_widget.LazyPredict", lambda: predict)
    return predict


def dock(viewer: Viewer) -> SegmentWidget:
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    return panel


def layer(viewer: Viewer, content: str) -> Any:
    return next(layer for layer in viewer.layers if layer.name.endswith(f": {content}"))


def count(viewer: Viewer, label: int, content: str = "mask") -> int:
    return int(np.count_nonzero(layer(viewer, content).data == label))


def test_a_whole_session(
    qtbot: QtBot,
    empty_viewer: Viewer,
    predict: SquarePredict,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From an empty viewer to exported files, with nothing but mouse, keys and buttons."""
    viewer, hand, dialogs = empty_viewer, Hand(qtbot, empty_viewer), FakeDialogs()
    monkeypatch.setattr("napari_sam2.widget.main_widget.FileDialogs", lambda _parent: dialogs)
    (tmp_path / "out").mkdir()
    tifffile.imwrite(
        tmp_path / "cells.tif", np.random.default_rng(0).integers(0, 255, (5, 40, 60), np.uint8)
    )
    panel = dock(viewer)
    viewer.open(tmp_path / "cells.tif", scale=(2, 0.5, 0.5), translate=(0, 10, 20))
    viewer.dims.set_point(0, 4)
    hand.press(panel, "Annotate")

    _annotate_by_points(qtbot, viewer, hand, predict, panel)
    _annotate_by_shapes(qtbot, viewer, hand, predict, panel)
    _annotate_another_plane(qtbot, viewer, hand)
    _go_round_in_the_table(qtbot, viewer, hand, panel)
    _paint(qtbot, viewer, hand)
    labels = layer(viewer, "objects").data.copy()
    _export(qtbot, hand, panel, dialogs, tmp_path)
    viewer.close()
    _check_files(tmp_path, labels)


def _annotate_by_points(
    qtbot: QtBot, viewer: Viewer, hand: Hand, predict: SquarePredict, panel: SegmentWidget
) -> None:
    """Object 1: a square of 9 around (20, 30) on plane 2."""
    hand.click(20, 30)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    assert layer(viewer, "mask").data[2, 17:24, 27:34].all()
    hand.click(20, 50, SHIFT)
    qtbot.waitUntil(lambda: predict.asked[-1].prompts.polarity == (1, 0))
    qtbot.waitUntil(lambda: not panel.controller.busy)
    hand.key(Key.Key_N)
    assert count(viewer, 1) == 81
    hand.key(Key.Key_N, SHIFT)
    assert count(viewer, 1) == 49
    hand.key(Key.Key_Z, COMMAND)
    assert count(viewer, 1) == 81
    for _ in range(3):
        hand.key(Key.Key_Z, COMMAND)
    assert count(viewer, 1) == 0
    assert len(layer(viewer, "points").data) == 0
    for _ in range(3):
        hand.key(Key.Key_Z, COMMAND | SHIFT)
    assert layer(viewer, "points").data.shape == (2, 3)
    assert count(viewer, 1) == 81
    hand.key(Key.Key_W)
    qtbot.waitUntil(lambda: count(viewer, 1, "objects") == 81)
    assert count(viewer, 1) == 0
    assert len(layer(viewer, "points").data) == 0


def _annotate_by_shapes(
    qtbot: QtBot, viewer: Viewer, hand: Hand, predict: SquarePredict, panel: SegmentWidget
) -> None:
    """Object 2: a box of 8 x 10 at (2, 40); a scribble and a lasso are tried and dropped."""
    hand.press(panel, "Scribble")
    hand.drag([(4, 4), (4, 14), (8, 14)])
    qtbot.waitUntil(lambda: count(viewer, 2) > 0)
    assert len(predict.asked[-1].prompts.points) >= 3
    hand.key(Key.Key_U)
    assert count(viewer, 2) == 0
    assert len(layer(viewer, "shapes").data) == 0
    hand.press(panel, "Lasso")
    hand.drag([(24, 4), (24, 14), (34, 14), (34, 4), (24.5, 4)])
    qtbot.waitUntil(lambda: count(viewer, 2) > 80)
    assert predict.asked[-1].prompts.mask_prompt is not None
    hand.key(Key.Key_U)
    hand.press(panel, "Box")
    hand.drag([(10, 50), (2, 40)])
    qtbot.waitUntil(lambda: predict.asked[-1].prompts.box is not None and count(viewer, 2) > 0)
    assert layer(viewer, "mask").data[2, 3:9, 41:49].all()
    hand.key(Key.Key_W)
    qtbot.waitUntil(lambda: count(viewer, 2, "objects") == 80)


def _annotate_another_plane(qtbot: QtBot, viewer: Viewer, hand: Hand) -> None:
    """Object 3: a square of 7 around (30, 10) on plane 4."""
    viewer.dims.set_point(0, 8)
    hand.activate(viewer.layers[0])
    hand.key(Key.Key_G)  # on a layer that is not ours
    assert layer(viewer, "points") == viewer.layers.selection.active
    hand.click(30, 10)
    qtbot.waitUntil(lambda: count(viewer, 3) == 49)
    hand.activate(layer(viewer, "objects"))
    hand.key(Key.Key_W)
    qtbot.waitUntil(lambda: count(viewer, 3, "objects") == 49)
    assert (layer(viewer, "objects").data[4] == 3).sum() == 49


def _go_round_in_the_table(qtbot: QtBot, viewer: Viewer, hand: Hand, panel: SegmentWidget) -> None:
    """Select a row, go to the next object, open it again, and keep it with another candidate."""
    table = panel.findChild(QTableView)
    hand.click_on_row(table, 1)
    assert layer(viewer, "objects").selected_label == 2
    hand.key(Key.Key_J, on=table)  # the table has the keyboard now
    assert viewer.dims.current_step[0] == 4
    assert layer(viewer, "objects").selected_label == 3
    hand.key(Key.Key_J, SHIFT, on=table)
    hand.key(Key.Key_J, SHIFT, on=table)
    assert viewer.dims.current_step[0] == 2
    hand.key(Key.Key_W, SHIFT, on=table)
    assert count(viewer, 1) == 81
    assert count(viewer, 1, "objects") == 0
    assert layer(viewer, "points").data[:, 1:].round().tolist() == [[20, 30], [20, 50]]
    hand.key(Key.Key_N)
    assert count(viewer, 1) == 25
    hand.key(Key.Key_W, on=table)
    qtbot.waitUntil(lambda: count(viewer, 1, "objects") == 25)


def _paint(qtbot: QtBot, viewer: Viewer, hand: Hand) -> None:
    """Paint on the mask of object 4, and on kept object 2."""
    hand.activate(layer(viewer, "points"))
    hand.click(32, 32)
    qtbot.waitUntil(lambda: count(viewer, 4) == 49)
    mask, objects = layer(viewer, "mask"), layer(viewer, "objects")
    hand.activate(mask)
    mask.brush_size = 1
    hand.key(Key.Key_2)  # napari's key for the brush
    hand.drag([(28, 32), (28, 36)])
    assert count(viewer, 4) == 54
    hand.key(Key.Key_W)
    qtbot.waitUntil(lambda: count(viewer, 4, "objects") == 54)
    hand.activate(objects)
    objects.brush_size, objects.selected_label = 1, 2
    hand.key(Key.Key_2)
    hand.drag([(12, 42), (12, 47)])
    assert count(viewer, 2, "objects") == 86
    hand.key(Key.Key_Z, COMMAND)
    assert count(viewer, 2, "objects") == 80
    hand.key(Key.Key_Z, COMMAND | SHIFT)
    assert count(viewer, 2, "objects") == 86


def _export(
    qtbot: QtBot, hand: Hand, panel: SegmentWidget, dialogs: FakeDialogs, folder: Path
) -> None:
    """Save the session, and export to every format there is."""
    hand.press(panel, "Files")
    dialogs.answers = [folder / "day 1.sam2.zip"]
    hand.press(panel, "Save session")
    qtbot.waitUntil(lambda: panel.panel.status.text == "Saved as day 1.sam2.zip.")
    for at, entry in enumerate(FORMATS.values()):
        name = f"cells{entry.suffix}"
        dialogs.answers = [folder / "out" / name]
        hand.press(panel, "Export")
        menu = QApplication.activePopupWidget()
        assert isinstance(menu, QMenu)
        hand.choose(menu, at)
        sentence = f"Exported 4 objects to {name}."
        qtbot.waitUntil(lambda sentence=sentence: panel.panel.status.text == sentence)


def _check_files(folder: Path, labels: np.ndarray) -> None:
    """Read everything back, each with a reader of its own."""
    session, out = load_session(folder / "day 1.sam2.zip"), folder / "out"
    for plane in range(5):
        np.testing.assert_array_equal(session.read_block((plane,)), labels[plane])
    assert set(session.state.objects) == {1, 2, 3, 4}
    np.testing.assert_array_equal(tifffile.imread(out / "cells.tif"), labels)
    np.testing.assert_array_equal(zarr.open(out / "cells.zarr/labels/objects/0")[:], labels)
    areas = [int((labels == value).sum()) for value in (1, 2, 3, 4)]
    coco = json.loads((out / "cells.json").read_text("utf-8"))
    assert sorted(entry["area"] for entry in coco["annotations"]) == sorted(areas)
    outlines = json.loads((out / "cells.geojson").read_text("utf-8"))
    assert len(outlines["features"]) == 4
    with (out / "cells.csv").open(encoding="utf-8", newline="") as file:
        assert [int(row["pixels"]) for row in csv.DictReader(file)] == areas


def test_a_real_model_answers(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, "micro", Entry("micro", str(_save_tiny_model(tmp_path))))
    panel, hand = dock(viewer), Hand(qtbot, viewer)
    hand.press(panel, "Annotate")
    hand.click(20, 30)

    def has_answered() -> None:
        assert any("1 of 3" in label.text() for label in panel.findChildren(QLabel))

    qtbot.waitUntil(has_answered, timeout=120_000)
    assert "micro" in panel.panel.status.detail


def test_follow_correct_follow_again_and_undo(
    qtbot: QtBot, viewer: Viewer, predict: SquarePredict
) -> None:
    """A stack of five planes, of which the middle one is clicked and the last one corrected."""
    panel, hand = dock(viewer), Hand(qtbot, viewer)
    part = panel.panel.propagation
    hand.press(panel, "Annotate")
    hand.click(20, 20)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    predict.track_scores = {4: 0.3}
    _press_propagate(qtbot, panel)
    qtbot.waitUntil(lambda: count(viewer, 1) == 5 * 49)
    qtbot.waitUntil(lambda: not panel.controller.tracking.running)
    before = layer(viewer, "mask").data.copy()

    hand.press(panel, "Weakest")
    assert viewer.dims.current_step[0] == 4
    hand.click(30, 40)
    mask = layer(viewer, "mask")
    qtbot.waitUntil(lambda: mask.data[4, 30, 40] == 1)
    qtbot.waitUntil(lambda: not panel.controller.busy)
    _press_propagate(qtbot, panel)
    qtbot.waitUntil(lambda: len(predict.jobs) == 2)
    qtbot.waitUntil(lambda: not panel.controller.tracking.running)
    assert set(predict.jobs[1].objects[0].prompts) == {2, 4}
    assert predict.jobs[1].options.first == 3
    np.testing.assert_array_equal(mask.data[:3], before[:3])
    assert [cell.kind for cell in part.strip._cells] == [
        *("tracked", "tracked", "own", "tracked", "own")
    ]

    document = panel.controller.document
    assert document is not None
    while document.undo_title:
        hand.key(Key.Key_Z, COMMAND)
    assert not mask.data.any()
    assert len(layer(viewer, "points").data) == 0
    while document.redo_title:
        hand.key(Key.Key_Z, COMMAND | SHIFT)
    assert count(viewer, 1) == 5 * 49


def _press_propagate(qtbot: QtBot, panel: SegmentWidget) -> None:
    """Press the button, not the title of its group."""
    button = [b for b in panel.findChildren(QPushButton) if b.text() == "Propagate"][-1]
    qtbot.waitUntil(lambda: button.isVisible() and button.isEnabled())
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_closing_while_the_worker_runs(
    qtbot: QtBot, viewer: Viewer, predict: SquarePredict, what: str
) -> None:
    predict.may_answer.clear()
    panel = dock(viewer)
    Hand(qtbot, viewer).press(panel, "Annotate")
    qtbot.waitUntil(lambda: len(predict.asked) == 1)
    if what == "dock":
        viewer.window.remove_dock_widget(panel)
    else:
        viewer.close()
    assert not viewer.keymap
    predict.may_answer.set()
    assert QThreadPool.globalInstance().waitForDone(10_000)
    qtbot.wait(1)
    assert len(predict.asked) == 1


def _save_tiny_model(folder: Path) -> Path:
    from napari_sam2.model import build_sam2
    from napari_sam2.weights.loading import save_weights
    from tests.configs import TINY

    path = folder / "micro.safetensors"
    save_weights(build_sam2(TINY), path)
    return path
