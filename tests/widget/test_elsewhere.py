from __future__ import annotations

import threading

from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_sam2.widget.elsewhere import _Errand, do_elsewhere


def test_work_is_done_on_another_thread_and_its_outcome_comes_back_here(qtbot: QtBot) -> None:
    here = threading.current_thread()
    told: list[object] = []
    do_elsewhere(
        threading.current_thread,
        lambda value: told.extend([value, threading.current_thread()]),
        told.append,
    )
    qtbot.waitUntil(lambda: len(told) == 2)
    assert told[0] is not here
    assert told[1] is here


def test_an_error_is_handed_over(qtbot: QtBot) -> None:
    told: list[object] = []
    do_elsewhere(lambda: 1 / 0, told.append, lambda error: told.append(type(error)))
    qtbot.waitUntil(lambda: told == [ZeroDivisionError])


def test_work_that_outlives_the_application_ends_quietly(qtbot: QtBot) -> None:
    done: list[int] = []
    errand = _Errand(lambda: done.append(1), print, print)
    errand.deleteLater()
    QApplication.sendPostedEvents(errand, QEvent.Type.DeferredDelete)
    errand.run()
    assert done == [1]
