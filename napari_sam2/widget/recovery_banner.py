"""An offer to take up work that was never saved."""

from __future__ import annotations

from datetime import date, datetime

from psygnal import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.look import wrapping_label

_FRAME = """
QFrame#recovery { border: 1px solid rgba(240, 165, 0, 110); border-left: 4px solid #f0a500;
                  border-radius: 3px; background: rgba(240, 165, 0, 28); }
QFrame#recovery QLabel { background: transparent; }
"""


class RecoveryBanner(QFrame):
    """Says that there is unsaved work, and asks what to do with it; hidden until there is some.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    restore_requested = Signal()
    discard_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("recovery")
        self.setStyleSheet(_FRAME)
        self._text = wrapping_label()
        restore = IconButton("reset", "Restore", "Bring the unsaved work back as it was")
        discard = IconButton("delete", "Discard", "Throw the unsaved work away for good")
        restore.clicked.connect(self._on_restore)
        discard.clicked.connect(self._on_discard)
        buttons = QHBoxLayout()
        buttons.addWidget(restore, stretch=1)
        buttons.addWidget(discard, stretch=1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 6, 6, 6)
        layout.addWidget(self._text)
        layout.addLayout(buttons)
        self.hide()

    def offer(self, saved: datetime, objects: int) -> None:
        """Show the offer.

        Parameters
        ----------
        saved : datetime
            When the work was last written, in local time.
        objects : int
            How many were kept in it; there may be one at work beside them.
        """
        self._text.setText(describe_offer(saved, objects, date.today()))
        self.show()

    def _on_restore(self) -> None:
        self.hide()
        self.restore_requested.emit()

    def _on_discard(self) -> None:
        self.hide()
        self.discard_requested.emit()


def describe_offer(saved: datetime, objects: int, today: date) -> str:
    """Say what is offered, such as "Unsaved work on this image from 14:03, 12 objects."."""
    day = "" if saved.date() == today else f"{saved.day} {saved:%B %Y}, "
    count = {0: "one object not kept yet", 1: "1 object"}.get(objects, f"{objects} objects")
    return f"Unsaved work on this image from {day}{saved:%H:%M}, {count}."
