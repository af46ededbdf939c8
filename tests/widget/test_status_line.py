from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QProgressBar

from napari_sam2.widget import status_line
from napari_sam2.widget.status_line import StatusLine


@pytest.fixture
def line(qtbot: QtBot) -> StatusLine:
    line = StatusLine()
    qtbot.addWidget(line)
    return line


def bar(line: StatusLine) -> QProgressBar:
    return line.findChild(QProgressBar)


def test_a_download_shows_how_far_it_is(line: StatusLine) -> None:
    line.show_stage("loading")
    assert bar(line).maximum() == 0  # moves, without an end
    line.show_stage("downloading 35 %")
    assert line.text == "Downloading the model ... 35 %"
    assert (bar(line).value(), bar(line).maximum()) == (35, 100)
    line.show_stage("embedding")
    assert bar(line).maximum() == 0
    assert line.text == "Looking at the image ..."


def test_the_activity_dock_follows_one_download_with_one_bar(line: StatusLine) -> None:
    line.show_stage("downloading 1 %")
    activity = line._activity
    line.show_stage("downloading 80 %")
    assert line._activity is activity
    assert activity.n == 80
    line.rest()
    assert line._activity is None


def test_no_bar_spins_for_ever_when_the_next_stage_comes_while_one_is_made(
    line: StatusLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """napari processes Qt's events while it makes a bar."""
    napari_progress = status_line.progress
    before = set(napari_progress._all_instances)
    queued = ["embedding"]

    def progress(**arguments):
        made = napari_progress(**arguments)
        if queued:
            line.show_stage(queued.pop())
        return made

    monkeypatch.setattr(status_line, "progress", progress)
    line.show_stage("loading")
    assert line._activity.desc.endswith("Looking at the image ...")
    line.rest()
    assert set(napari_progress._all_instances) == before


def test_the_detail_says_what_computes_and_how_long_it_took(line: StatusLine) -> None:
    line.show_detail("micro", "cpu (2 threads)", "embedding cached", 0.0234)
    assert line.detail == "micro · cpu (2 threads) · embedding cached · 23 ms"
    line.show_detail("large", seconds=12.34)
    assert line.detail == "large · 12.3 s"
    line.show_detail()
    assert line.detail == ""


def test_a_long_detail_does_not_widen_the_dock(line: StatusLine) -> None:
    before = line.minimumSizeHint().width()
    line.show_detail("a model with a very long name, " * 9)
    assert line.minimumSizeHint().width() == before


def test_stages_that_are_over_at_once_leave_the_sentence_alone(
    qtbot: QtBot, line: StatusLine
) -> None:
    line.show()
    line.say("Click on an object.")
    for stage in ("starting", "decoding", ""):
        line.show_stage(stage)
        assert line.text == "Click on an object."
    line.show_stage("decoding")
    qtbot.waitUntil(lambda: line.text == "Drawing the mask ...")
    assert bar(line).isVisible()


def test_another_sentence_lays_nothing_out_anew_unless_it_needs_more_lines(
    qtbot: QtBot, line: StatusLine
) -> None:
    line.resize(200, 80)
    line.show()
    line.say("Click on an object.")
    line.show_detail("micro", seconds=0.012)
    qtbot.wait(1)
    watch = Watch()
    line.installEventFilter(watch)
    line.say("Object 1 is kept.")
    line.show_detail("micro", seconds=0.034)
    qtbot.wait(1)
    assert QEvent.Type.LayoutRequest not in watch.seen
    line.complain("A sentence that says in many words what cannot be done and why, " * 3)
    qtbot.wait(1)
    assert QEvent.Type.LayoutRequest in watch.seen


class Watch(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[QEvent.Type] = set()

    def eventFilter(self, _of: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        self.seen.add(event.type())
        return False
