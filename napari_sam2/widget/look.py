"""What makes the panels look alike, in napari's dark and light themes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from qtpy.QtCore import QPointF, QRectF, Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QFrame, QLabel, QWidget

OBJECT, BACKGROUND, BOX = "#2fb45a", "#e5484d", "#f0a500"
_ICON_PIXELS = 48  # drawn large, so that it is sharp on any screen

_W = TypeVar("_W", bound=QWidget)

# In the accent of napari's themes: white is easy to read on it in both.
PRIMARY = """
QPushButton { background: #4659c8; color: white; font-weight: bold; padding: 7px; }
QPushButton:hover { background: #5a6cd8; }
QPushButton:pressed { background: #3949a8; }
QPushButton:disabled { background: rgba(128, 128, 128, 60); color: rgba(128, 128, 128, 200); }
"""
CHOICE = "QPushButton { padding: 5px 4px; }"  # napari's themes show which one is pressed
BAR = """
QProgressBar { border: none; border-radius: 2px; background: rgba(128, 128, 128, 60); }
QProgressBar::chunk { border-radius: 2px; background: #4659c8; }
"""
_KEYCAP = """
QLabel { border: 1px solid rgba(128, 128, 128, 140); border-bottom-width: 2px; border-radius: 3px;
         background: rgba(128, 128, 128, 40); padding: 0px 4px; font-size: 10px; }
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


def keycap(key: str) -> QLabel:
    """Make a label that looks like a key."""
    label = QLabel(key)
    label.setStyleSheet(_KEYCAP)
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    return label


def leave_focus(widget: _W) -> _W:
    """Let the keyboard stay with the canvas when the widget is clicked."""
    widget.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    return widget


def tool_icon(tool: str) -> QIcon:
    """Draw what a tool leaves on the canvas: + in green, - in red, a yellow box."""
    pixmap = QPixmap(_ICON_PIXELS, _ICON_PIXELS)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    if tool == "box":
        painter.setPen(QPen(QColor(BOX), 6))
        painter.drawRect(QRectF(6, 9, 36, 30))
    else:
        _draw_sign(painter, is_plus=tool == "object")
    painter.end()
    return QIcon(pixmap)


def _draw_sign(painter: QPainter, is_plus: bool) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(OBJECT if is_plus else BACKGROUND))
    painter.drawEllipse(QRectF(3, 3, 42, 42))
    painter.setPen(QPen(QColor("white"), 6))
    painter.drawLine(QPointF(14, 24), QPointF(34, 24))
    if is_plus:
        painter.drawLine(QPointF(24, 14), QPointF(24, 34))
