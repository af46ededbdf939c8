"""What is kept of planes that were looked at: where, how much, and a whole stack ahead."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QProgressBar, QSpinBox, QWidget

from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.look import BAR, leave_focus, quiet, small, wrapping_label
from napari_sam2.widget.settings import MAX_CACHE_GIGABYTES, Settings

_DISK_TIP = "What was looked at once is there at once the next time, also after napari was closed"
_HALF_TIP = "Takes half the space; masks differ in single pixels at most"
_BOUND_TIP = "At most so much: what was not used for the longest time goes first"
_NEIGHBOURS_TIP = "While you look at a plane, get those beside it ready, where that is quick"
_GIGABYTE = 1e9


class CachePanel(QWidget):
    """Edits what is kept; what is shown is changed by `show_...` without an echo.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    changed = Signal(Settings)
    clear_requested = Signal()
    stack_requested = Signal()
    stop_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = Settings()
        self._disk = _check("Keep on disk", _DISK_TIP)
        self._half = _check("Half precision", _HALF_TIP)
        self._neighbours = _check("Get neighbouring planes ready", _NEIGHBOURS_TIP)
        self._bound = leave_focus(QSpinBox())
        self._bound.setRange(1, MAX_CACHE_GIGABYTES)
        self._bound.setSuffix(" GB")
        self._bound.setToolTip(_BOUND_TIP)
        self._use = quiet(wrapping_label())
        self._clear = IconButton("delete", "Clear", "Remove all that is kept; nothing of yours")
        self._stack = IconButton(
            "layers", "Get the whole stack ready", "Look at every plane now: clicks are quick then"
        )
        self._stop = IconButton("cancel", "Stop", "What is ready stays ready; go on when you like")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setStyleSheet(BAR)
        self._bar.setFixedHeight(4)
        self._speed = small(QLabel())
        self._began = 0.0
        self._lay_out()
        self._connect()
        self.show_settings(self._settings)
        self.show_progress(0, 0)
        self.allow_stack(False)

    def show_settings(self, settings: Settings) -> None:
        """Show settings; nothing is emitted."""
        self._settings = settings
        for box, is_on in (
            (self._disk, settings.cache_on_disk),
            (self._half, settings.cache_half),
            (self._neighbours, settings.embed_neighbours),
        ):
            with QSignalBlocker(box):
                box.setChecked(is_on)
        with QSignalBlocker(self._bound):
            self._bound.setValue(settings.cache_gigabytes)
        for part in (self._half, self._bound):
            part.setEnabled(settings.cache_on_disk)

    def show_use(self, folder: str, nbytes: int, trouble: str = "") -> None:
        """Show where features are kept, and how much they take, or why they are not."""
        kept = f"{nbytes / _GIGABYTE:.2f} GB" if nbytes else "Nothing yet"
        self._use.setText(trouble or f"{kept} in {folder}")
        self._use.setToolTip(folder)
        self._clear.setEnabled(nbytes > 0)

    def allow_stack(self, is_allowed: bool) -> None:
        """Allow to get a stack ready, or not: there is only one plane."""
        self._stack.setEnabled(is_allowed)

    def show_progress(self, done: int, total: int) -> None:
        """Show how much of a stack is ready; equal numbers end it."""
        if done == 0:
            self._began = time.monotonic()
        runs = done < total
        self._bar.setRange(0, max(total, 1))
        self._bar.setValue(done)
        for part in (self._bar, self._speed, self._stop):
            part.setVisible(runs)
        self._stack.setVisible(not runs)
        self._speed.setText(_speed(done, total, time.monotonic() - self._began))

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.setColumnStretch(0, 1)
        layout.addWidget(self._disk, 0, 0)
        layout.addWidget(self._bound, 0, 1)
        layout.addWidget(self._half, 1, 0)
        layout.addWidget(self._clear, 1, 1)
        layout.addWidget(self._use, 2, 0, 1, 2)
        layout.addWidget(self._neighbours, 3, 0, 1, 2)
        layout.addWidget(self._stack, 4, 0, 1, 2)
        layout.addWidget(self._bar, 5, 0, 1, 2)
        layout.addWidget(self._speed, 6, 0)
        layout.addWidget(self._stop, 6, 1)

    def _connect(self) -> None:
        self._disk.toggled.connect(self._setting("cache_on_disk"))
        self._half.toggled.connect(self._setting("cache_half"))
        self._neighbours.toggled.connect(self._setting("embed_neighbours"))
        self._bound.valueChanged.connect(self._setting("cache_gigabytes"))
        self._clear.clicked.connect(lambda: self.clear_requested.emit())
        self._stack.clicked.connect(lambda: self.stack_requested.emit())
        self._stop.clicked.connect(lambda: self.stop_requested.emit())

    def _setting(self, name: str) -> Callable[[Any], None]:
        def change(value: Any) -> None:
            self._settings = replace(self._settings, **{name: value})
            self.changed.emit(self._settings)

        return change


def _speed(done: int, total: int, seconds: float) -> str:
    if not done or not seconds:
        return f"plane {done} of {total}"
    minutes, rest = divmod(round(seconds / done * (total - done)), 60)
    return f"plane {done} of {total}, {done / seconds:.1f} a second, {minutes}:{rest:02} left"


def _check(title: str, tip: str) -> QCheckBox:
    box = leave_focus(QCheckBox(title))
    box.setToolTip(tip)
    return box
