from __future__ import annotations

from unittest.mock import Mock

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt

from napari_sam2.session.track_plan import Cell, Reach
from napari_sam2.session.tracks import NEVER_STOP, StopRules
from napari_sam2.widget.propagation_panel import Axis, PropagationPanel
from napari_sam2.widget.score_strip import ScoreStrip

CELLS = (
    Cell("tracked", 0.9),
    Cell("tracked", 0.4),
    Cell("own", 0.3),
    Cell("tracked", 0.8),
    Cell(stop="the object is gone"),
)


@pytest.fixture
def panel(qtbot: QtBot) -> PropagationPanel:
    panel = PropagationPanel()
    qtbot.addWidget(panel)
    panel.show_axes([Axis(0, "t", 10), Axis(1, "z", 5)], None)
    return panel


@pytest.fixture
def strip(qtbot: QtBot) -> ScoreStrip:
    strip = ScoreStrip()
    qtbot.addWidget(strip)
    strip.resize(100, 44)
    strip.show_cells(CELLS, 2)
    return strip


def test_the_weakest_plane_is_never_one_of_the_users(strip: ScoreStrip) -> None:
    assert strip.weakest == 1
    strip.show_cells(CELLS[2:3], 0)
    assert strip.weakest is None


def test_a_click_on_the_strip_goes_to_the_plane(qtbot: QtBot, strip: ScoreStrip) -> None:
    heard = Mock()
    strip.chosen.connect(heard)
    qtbot.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(70, 20))
    heard.assert_called_once_with(3)


@pytest.mark.parametrize(
    ("at", "tip"),
    [
        (1, "Plane 1: followed, score 0.40, the weakest"),
        (2, "Plane 2: yours, never overwritten"),
        (3, "Plane 3: followed, score 0.80"),
        (4, "Plane 4: the object is gone"),
    ],
)
def test_the_strip_tells_of_each_plane(strip: ScoreStrip, at: int, tip: str) -> None:
    assert strip.tip(at) == tip


def test_the_weakest_is_drawn_lower_than_the_best(qtbot: QtBot, strip: ScoreStrip) -> None:
    picture = strip.grab().toImage()
    assert picture.pixelColor(10, 16).name() == "#2fb45a"  # score 0.9: green, and high
    assert picture.pixelColor(30, 16).name() != "#e5484d"
    assert picture.pixelColor(30, 42).name() == "#e5484d"  # score 0.4: red, and low


def test_the_range_follows_the_axis(panel: PropagationPanel) -> None:
    assert (panel.axis, panel.reach) == (0, Reach("both", 0, 9))
    panel._axis.setCurrentIndex(1)
    assert (panel.axis, panel.reach) == (1, Reach("both", 0, 4))
    panel._range.setValue((1, 3))
    assert panel.reach == Reach("both", 1, 3)
    assert panel._span.text() == "1 to 3"


def test_the_same_axes_again_leave_the_range_as_it_is(panel: PropagationPanel) -> None:
    panel._range.setValue((2, 6))
    panel.show_axes([Axis(0, "t", 10), Axis(1, "z", 5)], None)
    assert panel.reach == Reach("both", 2, 6)


def test_stop_rules_are_what_is_ticked(panel: PropagationPanel) -> None:
    assert panel.options.stop == StopRules()
    panel._away.setChecked(False)
    panel._patience.setValue(3)
    assert panel.options.stop == StopRules(min_overlap=None, patience=3)
    assert panel.options.close_gaps
    panel._gone.setChecked(False)
    panel._jumps.setChecked(False)
    panel._fades.setChecked(False)
    assert panel.options.stop == NEVER_STOP


def test_why_the_mask_is_carried_on_is_said(panel: PropagationPanel) -> None:
    panel.show_method("carry", "micro", has_memory=False)
    assert panel._why.text() == "micro carries the mask on: its memory is not trained."
    panel.show_method("memory", "tiny", has_memory=True)
    assert panel._why.text() == "tiny follows by its memory."
    panel.show_method("carry", "tiny", has_memory=True)
    assert panel._why.text() == "tiny carries the mask on, as you chose."


def test_progress_gives_speed_and_time_left(panel: PropagationPanel) -> None:
    panel.show_progress(5, 20, 2.5)
    assert panel._speed.text() == "Plane 5 of 20, 2.0 a second, 0:08 left"
    assert panel._start.isHidden()
    assert not panel._stop.isHidden()
    panel.show_progress(0, 0, 0.0)
    assert not panel._start.isHidden()
    assert panel._stop.isHidden()


def test_where_and_why_it_ends_is_said(panel: PropagationPanel) -> None:
    panel.show_cells(CELLS, 2)
    assert panel._summary.text() == "Ends at plane 4: the object is gone."
    panel.show_cells(CELLS[:4], 2)
    assert panel._summary.text() == "Weakest: plane 1, score 0.40"


def test_the_weakest_plane_is_one_click_away(panel: PropagationPanel) -> None:
    heard = Mock()
    panel.plane_chosen.connect(heard)
    panel.show_cells(CELLS, 2)
    panel._weakest.click()
    heard.assert_called_once_with(1)
