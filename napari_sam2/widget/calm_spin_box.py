"""A field for numbers that does not get in the way."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QSpinBox


class CalmSpinBox(QSpinBox):
    """Turns with the wheel only while it is edited, and gives the keyboard back after Enter."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setKeyboardTracking(False)
        self.installEventFilter(self)
        edit = self.lineEdit()
        assert edit is not None
        edit.returnPressed.connect(self.clearFocus)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Let the panel scroll instead."""
        if event is not None and event.type() == QEvent.Type.Wheel and not self.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)
