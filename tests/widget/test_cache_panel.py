"""What is kept, and a stack in advance."""

from __future__ import annotations

import re
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from pytestqt.qtbot import QtBot

from napari_sam2.session.cache_folder import VARIABLE, CacheFolder
from napari_sam2.widget import SegmentWidget, cache_link
from napari_sam2.widget.cache_panel import CachePanel
from napari_sam2.widget.settings import Settings, load_settings
from tests.fakes import SquarePredict


@pytest.fixture
def cache(qtbot: QtBot) -> CachePanel:
    panel = CachePanel()
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CacheFolder:
    """A folder with something in it."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    folder = CacheFolder(tmp_path / "kept")
    folder.write("something", b"x" * 20_000_000)
    return folder


def text_of(panel: CachePanel) -> str:
    return str(panel._use.text())


def test_settings_are_shown_without_an_echo_and_changed(cache: CachePanel) -> None:
    told: list[Settings] = []
    cache.changed.connect(told.append)
    cache.show_settings(Settings(cache_on_disk=False, cache_gigabytes=7))
    assert told == []
    assert not cache._bound.isEnabled(), "without a disk there is nothing to bound"
    cache._disk.setChecked(True)
    assert told[-1].cache_on_disk
    assert told[-1].cache_gigabytes == 7


def test_progress_says_how_fast_and_how_long(cache: CachePanel) -> None:
    cache.show_progress(0, 8)
    cache._began -= 4
    cache.show_progress(2, 8)
    assert cache._speed.text().startswith("plane 2 of 8, 0.5 a second, 0:1")
    cache.show_progress(8, 8)
    assert cache._stop.isHidden()
    assert not cache._stack.isHidden()


def test_place_and_size_are_shown_and_one_click_clears(
    qtbot: QtBot, kept: CacheFolder, panel: SegmentWidget, predict: SquarePredict
) -> None:
    shown = panel.panel.cache
    qtbot.waitUntil(lambda: text_of(shown).startswith("0.02 GB in"))
    assert str(kept.path) in text_of(shown)
    shown._clear.click()
    qtbot.waitUntil(lambda: predict.cleared == 1)


def test_settings_reach_the_predictor_and_are_remembered(
    panel: SegmentWidget, predict: SquarePredict
) -> None:
    panel.panel.cache._half.setChecked(True)
    panel.panel.cache._bound.setValue(9)
    assert predict.cache.half
    assert predict.cache.max_bytes == 9 * 10**9
    assert load_settings().cache == predict.cache
    panel.panel.cache._neighbours.setChecked(False)
    assert not panel.controller.ahead.neighbours


def test_a_stack_is_made_ready_by_a_click(
    qtbot: QtBot, panel: SegmentWidget, predict: SquarePredict
) -> None:
    assert not panel.panel.cache._stack.isEnabled()
    panel.panel.annotate.click()
    panel.panel.cache._stack.click()
    wanted = {(plane,) for plane in range(5)}
    qtbot.waitUntil(lambda: {request.plane for request in predict.asked} == wanted)
    qtbot.waitUntil(lambda: "whole stack is ready" in panel.panel.status.text)


def test_a_stack_that_the_disk_cannot_hold_is_stopped_and_gone_on_with(
    qtbot: QtBot, panel: SegmentWidget, predict: SquarePredict
) -> None:
    """Planes that were made ready would have to go again for the next ones."""
    predict.displaced = time.time() - 60  # of another image, some time ago
    panel.panel.annotate.click()
    shown, ahead = panel.panel.cache, panel.controller.ahead

    def fill(done: int, _total: int) -> None:
        if done == 2:
            predict.displaced = time.time()

    ahead.progressed.connect(fill)
    shown._stack.click()
    qtbot.waitUntil(lambda: "do not fit into 4 GB" in panel.panel.status.text)
    assert re.match(r"Stopped at plane [23] of 5", panel.panel.status.text)
    assert not ahead.embeds_stack
    assert not shown._stack.isHidden()
    assert panel._cache._activity is None
    ahead.progressed.disconnect(fill)
    shown._stack.click()
    qtbot.waitUntil(lambda: "whole stack is ready" in panel.panel.status.text)


def test_a_stack_that_is_ready_at_once_leaves_no_activity_behind(
    panel: SegmentWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """napari lets Qt work while it shows an activity, and planes are embedded meanwhile."""
    begun: list[Mock] = []
    ahead = panel.controller.ahead

    def show(**_: object) -> Mock:
        begun.append(activity := Mock(n=0))
        if len(begun) == 1:
            ahead.progressed.emit(1, 2)
            ahead.progressed.emit(2, 2)
        return activity

    monkeypatch.setattr(cache_link, "progress", show)
    ahead.progressed.emit(0, 2)
    assert len(begun) == 2
    assert all(activity.close.called for activity in begun)
    assert panel._cache._activity is None


def test_trouble_with_the_disk_is_told_and_stays(
    qtbot: QtBot, panel: SegmentWidget, predict: SquarePredict
) -> None:
    panel.panel.annotate.click()
    predict.trouble = "Embeddings are not kept on disk, it is full."
    points = next(layer for layer in panel._viewer.layers if layer.name.endswith("points"))
    points.add((0, 10, 20))
    qtbot.waitUntil(lambda: text_of(panel.panel.cache) == predict.trouble)
