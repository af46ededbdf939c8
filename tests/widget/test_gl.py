"""A real viewer: the only tests that need a display."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels, Points
from napari.viewer import Viewer
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt, QThreadPool
from qtpy.QtWidgets import QLabel, QPushButton, QWidget

from napari_sam2.weights.registry import REGISTRY, Entry
from tests.fakes import SquarePredict

pytestmark = [
    pytest.mark.gl,
    # napari's own, while it starts and closes.
    pytest.mark.filterwarnings("ignore::DeprecationWarning:napari"),
]


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(
        np.random.default_rng(0).random((5, 40, 60)), scale=(2, 0.5, 0.5), translate=(0, 10, 20)
    )
    viewer.dims.set_point(0, 4)
    return viewer


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> SquarePredict:
    predict = SquarePredict()
    monkeypatch.setattr("napari_sam2.widget.main_widget.LazyPredict", lambda: predict)
    return predict


def dock(viewer: Viewer) -> QWidget:
    _, panel = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    return panel


def press_button(panel: QWidget, title: str) -> None:
    next(b for b in panel.findChildren(QPushButton) if b.text().startswith(title)).click()


def layer(viewer: Viewer, kind: type) -> Any:
    return next(layer for layer in viewer.layers if isinstance(layer, kind))


def count(viewer: Viewer, label: int) -> int:
    return int(np.count_nonzero(layer(viewer, Labels).data == label))


def canvas(viewer: Viewer) -> QWidget:
    return viewer.window._qt_viewer.canvas.native


def click(qtbot: QtBot, viewer: Viewer, y: float, x: float) -> None:
    """Click on the middle of the canvas, where this pixel of the image is brought."""
    viewer.scene.camera.center = (0, *viewer.layers[0].data_to_world((2, y, x))[1:])
    middle = QPoint(canvas(viewer).width() // 2, canvas(viewer).height() // 2)
    qtbot.mouseClick(canvas(viewer), Qt.MouseButton.LeftButton, pos=middle)


def test_from_the_plugin_menu_to_a_committed_object(
    qtbot: QtBot, viewer: Viewer, predict: SquarePredict
) -> None:
    panel = dock(viewer)
    press_button(panel, "Annotate")
    click(qtbot, viewer, 20, 30)
    qtbot.waitUntil(lambda: count(viewer, 1) == 49)
    assert layer(viewer, Labels).data[2, 17:24, 27:34].all()
    qtbot.keyClick(canvas(viewer), Qt.Key.Key_N)
    assert count(viewer, 1) == 81
    qtbot.keyClick(canvas(viewer), Qt.Key.Key_Q)
    click(qtbot, viewer, 20, 50)
    qtbot.waitUntil(lambda: predict.asked[-1].prompts.polarity == (1, 0))
    qtbot.keyClick(canvas(viewer), Qt.Key.Key_W)
    qtbot.waitUntil(lambda: len(layer(viewer, Points).data) == 0)
    assert layer(viewer, Labels).selected_label == 2
    assert count(viewer, 1) == 49


def test_a_real_model_answers(
    qtbot: QtBot, viewer: Viewer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REGISTRY, "micro", Entry("micro", str(_save_tiny_model(tmp_path))))
    panel = dock(viewer)
    press_button(panel, "Annotate")
    click(qtbot, viewer, 20, 30)

    def texts() -> str:
        return " ".join(label.text() for label in panel.findChildren(QLabel))

    def has_answered() -> None:
        assert "1 of 3" in texts()

    qtbot.waitUntil(has_answered, timeout=120_000)
    assert "Computes on" in texts()


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_closing_while_the_worker_runs(
    qtbot: QtBot, viewer: Viewer, predict: SquarePredict, what: str
) -> None:
    predict.may_answer.clear()
    panel = dock(viewer)
    press_button(panel, "Annotate")
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
