"""A process that annotates is killed; another one offers its work back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QPushButton

from napari_sam2.session.objects import ObjectClass
from napari_sam2.widget import SegmentWidget
from tests.fakes import SquarePredict
from tests.widget.annotate_until_killed import READY, cells

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
Open = Callable[..., SegmentWidget]


@pytest.fixture(scope="module")
def left_behind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a killed process has left."""
    folder = tmp_path_factory.mktemp("recovery")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.widget.annotate_until_killed", str(folder)],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == READY
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    return folder


@pytest.fixture
def recovery(left_behind: Path, recovery_folder: Path) -> Path:
    return shutil.copytree(left_behind, recovery_folder)


@pytest.fixture
def open_panel(
    qtbot: QtBot, viewer: ViewerModel, predict: SquarePredict, recovery: Path
) -> Iterator[Open]:
    panels = []

    def open_on(data: np.ndarray) -> SegmentWidget:
        viewer.layers.clear()
        viewer.add_layer(Image(data, name="cells again", scale=(2, 0.5, 0.5)))
        panel = SegmentWidget(viewer, predict)
        qtbot.addWidget(panel)
        panel.show()
        panels.append(panel)
        qtbot.waitUntil(lambda: not panel._jobs.busy)
        return panel

    yield open_on
    for panel in panels:
        panel.close()


def press(panel: SegmentWidget, title: str) -> None:
    button = next(b for b in panel.findChildren(QPushButton) if b.text().startswith(title))
    assert button.isVisible()
    button.click()


def labels(viewer: ViewerModel, content: str) -> Labels:
    return next(layer for layer in viewer.layers if layer.name.endswith(f": {content}"))


def keep_one(
    qtbot: QtBot, viewer: ViewerModel, panel: SegmentWidget, at: tuple[int, int, int]
) -> None:
    """Annotate, click there, and keep what comes."""
    panel.panel.annotate.click()
    next(layer for layer in viewer.layers if isinstance(layer, Points)).add(at)
    qtbot.waitUntil(lambda: panel.controller.can_commit)
    panel.controller.commit()


def test_everything_comes_back(qtbot: QtBot, viewer: ViewerModel, open_panel: Open) -> None:
    """nninteractive 17: a crash means to start again."""
    panel = open_panel(cells())
    press(panel, "Restore")
    qtbot.waitUntil(lambda: panel.controller.can_commit)
    kept = np.zeros((5, 40, 60), int)
    kept[1, 7:14, 17:24] = 1
    kept[3, 26:35, 36:45] = 2
    np.testing.assert_array_equal(labels(viewer, "objects").data, kept)
    at_work = np.zeros((5, 40, 60), int)
    at_work[3, 6:15, 6:15] = 3
    np.testing.assert_array_equal(labels(viewer, "mask").data, at_work)
    points = next(layer for layer in viewer.layers if isinstance(layer, Points))
    assert points.data.tolist() == [[3, 10, 10], [3, 10.25, 15]]
    assert points.features["polarity"].tolist() == [1, 0]

    state = panel.controller.document.state
    assert state.classes == (ObjectClass("nucleus", "#0072b2"),)
    assert (state.objects[2].name, state.objects[2].class_name) == ("the dividing one", "nucleus")
    assert state.objects[2].work.prompts.points[0].position == (3, 30, 40)
    assert state.objects[2].work.planes.popitem()[1].answer.chosen == 1
    assert state.objects[1].score == pytest.approx(0.91)


def test_the_model_sees_what_it_saw(qtbot: QtBot, open_panel: Open) -> None:
    panel = open_panel(cells())
    panel.panel.view.normalisation_changed.emit("limits")
    press(panel, "Restore")
    qtbot.waitUntil(lambda: panel.controller.can_commit)
    assert panel._source.channels.normalisation == "min-max"


def test_restoring_is_one_step_that_can_be_undone(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open
) -> None:
    panel = open_panel(cells())
    press(panel, "Restore")
    qtbot.waitUntil(lambda: panel.controller.can_commit)
    restored = labels(viewer, "objects").data.copy()
    panel.controller.undo()
    assert not labels(viewer, "objects").data.any()
    assert not labels(viewer, "mask").data.any()
    assert not panel.controller.document.state.objects
    panel.controller.redo()
    np.testing.assert_array_equal(labels(viewer, "objects").data, restored)
    assert np.count_nonzero(labels(viewer, "mask").data) == 81


def test_work_is_not_brought_back_onto_an_image_chosen_meanwhile(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open
) -> None:
    panel = open_panel(cells())
    press(panel, "Restore")
    viewer.add_layer(Image(cells() + 1, name="another", scale=(2, 0.5, 0.5)))
    images = panel.panel.images
    images.setCurrentText("another")
    images.activated.emit(images.currentIndex())
    panel.panel.annotate.click()
    qtbot.waitUntil(lambda: not panel._jobs.busy)
    assert not panel.controller.document.state.objects
    images.setCurrentText("cells again")
    images.activated.emit(images.currentIndex())
    qtbot.waitUntil(panel.panel.banner.isVisible)


def test_what_was_restored_is_kept_on_until_it_is_saved(
    qtbot: QtBot, open_panel: Open, recovery: Path
) -> None:
    panel = open_panel(cells())
    press(panel, "Restore")
    qtbot.waitUntil(lambda: panel._safety.is_safe and not panel._jobs.busy)
    assert len(list(recovery.glob("*/*"))) == 1  # its own, and no longer that of the dead
    panel.close()
    again = open_panel(cells())
    assert again.panel.banner.isVisible()


def test_what_was_discarded_is_not_offered_again(
    qtbot: QtBot, open_panel: Open, recovery: Path
) -> None:
    panel = open_panel(cells())
    press(panel, "Discard")
    qtbot.waitUntil(lambda: not panel._jobs.busy)
    assert not list(recovery.glob("*/*"))
    panel.close()
    again = open_panel(cells())
    assert not again.panel.banner.isVisible()


@pytest.mark.parametrize(
    "other", [cells()[:, :20], cells() + 1], ids=["another shape", "other pixels"]
)
def test_another_image_is_offered_nothing(open_panel: Open, other: np.ndarray) -> None:
    panel = open_panel(other)
    assert not panel.panel.banner.isVisible()


def test_closing_right_after_the_last_click_loses_nothing(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open
) -> None:
    another = cells() + 1
    panel = open_panel(another)
    keep_one(qtbot, viewer, panel, (2, 20, 30))
    panel.close()
    again = open_panel(another)
    press(again, "Restore")
    qtbot.waitUntil(lambda: again.controller.object_id == 2)
    assert np.count_nonzero(labels(viewer, "objects").data == 1) == 49


def test_objects_whose_layer_was_deleted_are_offered_back(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open
) -> None:
    """napari cannot undo that a layer was deleted."""
    panel = open_panel(cells() + 1)
    keep_one(qtbot, viewer, panel, (2, 20, 30))
    viewer.layers.remove(labels(viewer, "objects"))
    qtbot.waitUntil(panel.panel.banner.isVisible)
    press(panel, "Restore")
    qtbot.waitUntil(lambda: panel.controller.object_id == 2)
    assert np.count_nonzero(labels(viewer, "objects").data == 1) == 49


def test_objects_whose_layer_was_deleted_are_not_overwritten(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open, recovery: Path
) -> None:
    panel = open_panel(cells() + 1)
    for x in (10, 30):
        keep_one(qtbot, viewer, panel, (2, 20, x))
        viewer.layers.remove(labels(viewer, "objects"))
    qtbot.waitUntil(panel.panel.banner.isVisible)
    press(panel, "Restore")
    qtbot.waitUntil(lambda: panel.controller.object_id == 2)
    assert labels(viewer, "objects").data[2, 20, 30] == 1  # the latest
    qtbot.waitUntil(lambda: panel._safety.is_safe and not panel._jobs.busy)
    assert len(list(recovery.glob("*/*"))) == 3  # that, the other, and the killed one's


def test_an_image_that_is_opened_again_is_offered_its_work(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open
) -> None:
    panel = open_panel(cells() + 1)
    keep_one(qtbot, viewer, panel, (2, 20, 30))
    viewer.layers.clear()
    viewer.add_layer(Image(cells() + 1, name="again", scale=(2, 0.5, 0.5)))
    qtbot.waitUntil(panel.panel.banner.isVisible)


def test_a_panel_that_was_closed_and_opened_leaves_one_offer_or_none(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open, recovery: Path, predict: SquarePredict
) -> None:
    panel = open_panel(cells() + 1)
    panel.panel.annotate.click()
    for y in (10, 20, 30):
        next(layer for layer in viewer.layers if isinstance(layer, Points)).add((2, y, 30))
        qtbot.waitUntil(lambda panel=panel: panel.controller.can_commit)
        panel.controller.commit()
        panel.close()
        assert len(list(recovery.glob("*/*"))) == 2  # this, and what the killed one has left
        panel = SegmentWidget(viewer, predict)
        qtbot.addWidget(panel)
        qtbot.waitUntil(lambda panel=panel: not panel._jobs.busy)
    panel._safety.forget(panel.controller.document.state)
    qtbot.waitUntil(lambda: not panel._jobs.busy)
    assert len(list(recovery.glob("*/*"))) == 1
    panel.close()


def test_the_offer_waits_until_there_is_an_answer(
    qtbot: QtBot, viewer: ViewerModel, open_panel: Open
) -> None:
    """Going on without an answer loses nothing: neither the old work nor the new."""
    panel = open_panel(cells())
    keep_one(qtbot, viewer, panel, (2, 20, 30))
    assert panel.panel.banner.isVisible()
    press(panel, "Restore")
    qtbot.waitUntil(lambda: set(panel.controller.document.state.objects) == {1, 2})
    panel.controller.undo()
    assert labels(viewer, "objects").data[2, 20, 30] == 1


def test_a_folder_that_cannot_be_written_is_told_once_and_work_goes_on(
    qtbot: QtBot,
    viewer: ViewerModel,
    open_panel: Open,
    recovery: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_sam2.widget.autosave._DELAY_MS", 0)
    shutil.rmtree(recovery)
    recovery.write_text("a file where the folder should be", "utf-8")
    panel = open_panel(cells())
    told: list[str] = []
    panel._safety.failed.connect(told.append)
    panel.panel.annotate.click()
    points = next(layer for layer in viewer.layers if isinstance(layer, Points))
    points.add((0, 20, 30))
    qtbot.waitUntil(lambda: panel.controller.can_commit)
    qtbot.waitUntil(lambda: len(told) == 1 and not panel._jobs.busy)
    assert told[0].startswith("Your work could not be kept safe against a crash")
    panel.controller.commit()
    qtbot.waitUntil(lambda: not panel._safety._autosave._timer.isActive())
    qtbot.waitUntil(lambda: not panel._jobs.busy)
    assert len(told) == 1
    assert np.count_nonzero(labels(viewer, "objects").data) == 49
    recovery.unlink()  # there is room again
    panel.controller.undo()
    qtbot.waitUntil(lambda: panel._safety.is_safe)
    assert list(recovery.glob("*/*"))
