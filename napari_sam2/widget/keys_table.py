"""What the keys are, and how they are changed."""

from __future__ import annotations

from typing import Any

from psygnal import Signal
from qtpy.QtCore import QEvent, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFocusEvent, QKeyEvent, QKeySequence, QPainter, QPaintEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_sam2.widget.icon_button import IconButton, draw_key, key_width
from napari_sam2.widget.keys import DEFAULT_KEYS, KEYS, Keys, from_qt, problem_with
from napari_sam2.widget.look import ACCENT, BACKGROUND, leave_focus, small, wrapping_label

_MODIFIERS = (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta)
_WAITING = "press a key"


class KeysTable(QWidget):
    """One row for each key: click on it and press another.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    changed = Signal(dict)  # the keys that differ from the defaults, by action

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._keys: Keys = DEFAULT_KEYS
        self._caps = {key.action: _KeyCap() for key in KEYS}
        self._problem = small(wrapping_label())
        self._problem.setStyleSheet(f"QLabel {{ color: {BACKGROUND}; font-size: 11px; }}")
        self._reset = IconButton("reset", "Default keys", "Take back all changes of keys")
        self._reset.clicked.connect(lambda: self._change(DEFAULT_KEYS))
        self._lay_out()
        for action, cap in self._caps.items():
            cap.pressed_key.connect(lambda key, action=action: self._on_key_pressed(action, key))
        self.show_keys(DEFAULT_KEYS)

    def show_keys(self, keys: Keys) -> None:
        """Show the keys of all actions, by action; nothing is emitted."""
        self._keys = keys
        for action, cap in self._caps.items():
            cap.show_key(keys[action])
        self._reset.setVisible(keys != DEFAULT_KEYS)
        self._complain("")

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setVerticalSpacing(1)
        grid.setHorizontalSpacing(8)
        grid.setColumnStretch(1, 1)
        for row, key in enumerate(KEYS):
            grid.addWidget(self._caps[key.action], row, 0, Qt.AlignmentFlag.AlignLeft)
            grid.addWidget(small(QLabel(key.meaning)), row, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self._problem)
        layout.addWidget(self._reset)

    def _on_key_pressed(self, action: str, key: str) -> None:
        problem = problem_with(key, action, self._keys)
        self._complain(problem)
        if not problem and key != self._keys[action]:
            self._change({**self._keys, action: key})

    def _change(self, keys: Keys) -> None:
        self.show_keys(keys)
        self.changed.emit({a: key for a, key in keys.items() if key != DEFAULT_KEYS[a]})

    def _complain(self, problem: str) -> None:
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))


class _KeyCap(QPushButton):
    """A key that waits, once clicked, for the key that shall replace it."""

    pressed_key = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._is_waiting = False
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Click, then press another key. Esc leaves it as it is.")
        self.clicked.connect(self._on_clicked)
        leave_focus(self)

    def show_key(self, key: str) -> None:
        self.setText(key)
        self.updateGeometry()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(key_width(self.font(), self._shown()) + 2, 18)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self.palette().buttonText().color()
        into = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        if self._is_waiting:
            painter.setBrush(QColor(ACCENT))
            painter.drawRoundedRect(into, 3, 3)
            color = QColor("white")
        draw_key(painter, self.font(), self._shown(), into, color)
        painter.end()

    def event(self, event: QEvent | None) -> bool:
        """Hear a key before menus do, while one is awaited."""
        if event is not None and self._is_waiting and event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        assert event is not None
        if not self._is_waiting or event.key() in _MODIFIERS:
            return
        self._wait(False)
        if event.key() != Qt.Key.Key_Escape:
            self.pressed_key.emit(_spelled(event))

    def focusOutEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802
        self._wait(False)
        super().focusOutEvent(event)

    def _shown(self) -> str:
        return _WAITING if self._is_waiting else self.text()

    def _on_clicked(self) -> None:
        self._wait(not self._is_waiting)

    def _wait(self, is_waiting: bool) -> None:
        if is_waiting == self._is_waiting:
            return
        self._is_waiting = is_waiting
        if is_waiting:
            self.setFocus()
        else:
            self.clearFocus()
        self.updateGeometry()
        self.update()


def _spelled(event: QKeyEvent) -> str:
    modifiers: Any = event.modifiers()
    pressed = int(getattr(modifiers, "value", modifiers)) | event.key()  # Qt 6, or Qt 5
    return from_qt(QKeySequence(pressed).toString(QKeySequence.SequenceFormat.PortableText))
