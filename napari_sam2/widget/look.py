"""What makes the panels look alike, in napari's dark and light themes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFrame, QLabel, QWidget

OBJECT, BACKGROUND = "#2fb45a", "#e5484d"
ACCENT = "#4659c8"  # that of napari's themes: white is easy to read on it in both

_W = TypeVar("_W", bound=QWidget)

PRIMARY = f"""
QPushButton {{ background: {ACCENT}; color: white; font-weight: bold; padding: 7px; }}
QPushButton:hover {{ background: #5a6cd8; }}
QPushButton:pressed {{ background: #3949a8; }}
QPushButton:disabled {{ background: rgba(128, 128, 128, 60); color: rgba(128, 128, 128, 200); }}
"""
BAR = f"""
QProgressBar {{ border: none; border-radius: 2px; background: rgba(128, 128, 128, 60); }}
QProgressBar::chunk {{ border-radius: 2px; background: {ACCENT}; }}
"""


def quiet(label: QLabel) -> QLabel:
    """Make a label step back."""
    label.setStyleSheet("QLabel { color: rgba(140, 140, 140, 255); font-size: 11px; }")
    return label


def small(label: QLabel) -> QLabel:
    """Make a label small, in the theme's colour."""
    label.setStyleSheet("QLabel { font-size: 11px; }")
    return label


def wrapping_label() -> QLabel:
    """Make an empty label that breaks its lines instead of widening the dock."""
    label = QLabel()
    label.setWordWrap(True)
    return label


def delayed(parent: QWidget, milliseconds: int, act: Callable[[], None]) -> QTimer:
    """Make a timer that calls once, that long after it was last started."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(act)
    return timer


def heading(text: str) -> QLabel:
    """Make the title of a group."""
    label = QLabel(text)
    label.setStyleSheet("QLabel { font-weight: bold; }")
    return label


def line() -> QFrame:
    """Make a thin line between groups."""
    frame = QFrame()
    frame.setFixedHeight(1)
    frame.setStyleSheet("QFrame { background: rgba(128, 128, 128, 70); border: none; }")
    return frame


def leave_focus(widget: _W) -> _W:
    """Let the keyboard stay with the canvas when the widget is clicked."""
    widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return widget
