"""The object at work: keep it or drop it; and the way back."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.keys import DEFAULT_KEYS, Keys
from napari_sam2.widget.look import PRIMARY


class ObjectsPanel(QWidget):
    """Keep, cancel, undo, redo: asks, and does nothing itself.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    commit_requested = Signal()
    cancel_requested = Signal()
    undo_requested = Signal()
    redo_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._commit = IconButton("keep", "Keep", "Keep the object and begin the next one")
        self._cancel = IconButton("cancel", "Cancel", "Drop the object at work: prompts and mask")
        self._undo = IconButton("undo", shows_key=False)
        self._redo = IconButton("redo", shows_key=False)
        self._commit.setStyleSheet(PRIMARY)
        self._commit.clicked.connect(lambda: self.commit_requested.emit())
        self._cancel.clicked.connect(lambda: self.cancel_requested.emit())
        self._undo.clicked.connect(lambda: self.undo_requested.emit())
        self._redo.clicked.connect(lambda: self.redo_requested.emit())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(_row(self._commit, self._cancel, self._undo, self._redo))
        self.show_history("", "")
        self.show_keys(DEFAULT_KEYS)

    def allow_commit(self, is_allowed: bool) -> None:
        """Allow to keep the mask, or not."""
        self._commit.setEnabled(is_allowed)

    def allow_cancel(self, is_allowed: bool) -> None:
        """Allow to drop the object at work, or not."""
        self._cancel.setEnabled(is_allowed)

    def show_history(self, undo_title: str, redo_title: str) -> None:
        """Tell what undo would take back and redo would do again; empty for nothing."""
        for button, word, title in (
            (self._undo, "Undo", undo_title),
            (self._redo, "Redo", redo_title),
        ):
            button.setEnabled(bool(title))
            button.set_tip(f"{word}: {title}" if title else f"Nothing to {word.lower()}")

    def show_keys(self, keys: Keys) -> None:
        """Show other keys."""
        self._commit.set_key(keys["commit"])
        self._cancel.set_key(keys["cancel"])
        self._undo.set_key(keys["undo"])
        self._redo.set_key(keys["redo"])


def _row(commit: QWidget, cancel: QWidget, *others: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    row.addWidget(commit, stretch=3)
    row.addWidget(cancel, stretch=2)
    for other in others:
        row.addWidget(other)
    return row
