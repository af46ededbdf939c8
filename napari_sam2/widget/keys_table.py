"""What the keys are."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_sam2.widget.keys import KEYS
from napari_sam2.widget.look import keycap, line, small


class KeysTable(QWidget):
    """One row for each key.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(line(), 0, 0, 1, 2)
        layout.setVerticalSpacing(3)
        layout.setHorizontalSpacing(8)
        layout.setColumnStretch(1, 1)
        for row, key in enumerate(KEYS, start=1):
            layout.addWidget(keycap(key.key), row, 0, Qt.AlignmentFlag.AlignLeft)
            layout.addWidget(small(QLabel(key.meaning)), row, 1)
