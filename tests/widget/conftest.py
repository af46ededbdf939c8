"""A panel on a viewer without a window, with a real worker thread and a fake model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThreadPool

from napari_sam2.widget import SegmentWidget
from tests.fakes import SquarePredict


class PatientBot(QtBot):
    """Waits long enough for a machine that does other things as well; most waits end at once."""

    def waitUntil(  # noqa: N802
        self, callback: Callable[[], bool | None], *, timeout: int = 30_000
    ) -> None:
        super().waitUntil(callback, timeout=timeout)


@pytest.fixture
def qtbot(qapp, request: pytest.FixtureRequest) -> QtBot:
    return PatientBot(request)


@pytest.fixture(autouse=True)
def recovery_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for unsaved work, or one test would be offered what another has left."""
    folder = tmp_path / "recovery"
    monkeypatch.setattr("napari_sam2.session.recovery.default_folder", lambda: folder)
    return folder


@pytest.fixture(autouse=True)
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file for settings, or one test would begin with what another has chosen."""
    path = tmp_path / "settings" / "settings.json"
    monkeypatch.setattr("napari_sam2.widget.settings.settings_path", lambda: path)
    return path


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def predict() -> Iterator[SquarePredict]:
    predict = SquarePredict()
    yield predict
    predict.may_answer.set()
    assert QThreadPool.globalInstance().waitForDone(10_000)


@pytest.fixture
def stack(viewer: ViewerModel):
    return viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5), name="cells")


@pytest.fixture
def panel(
    qtbot: QtBot, viewer: ViewerModel, predict: SquarePredict, stack
) -> Iterator[SegmentWidget]:
    """The panel with a stack to segment, shown."""
    panel = SegmentWidget(viewer, predict)
    qtbot.addWidget(panel)
    panel.show()
    return panel
