"""The object at work: its candidates, keeping it, clearing it."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_sam2.session.results import Prediction
from napari_sam2.widget.keys import key_of
from napari_sam2.widget.look import PRIMARY, leave_focus


class ObjectsPanel(QWidget):
    """Shows which mask is on screen and how good the model believes it is.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    cycled = Signal(int)
    commit_requested = Signal()
    clear_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._score = QLabel()
        self._previous = _button("◀", "Previous mask", "previous_candidate")
        self._next = _button("▶", "Next mask", "next_candidate")
        self._commit = _button(
            "Keep", "Keep the mask and begin the next object", "commit", with_key=True
        )
        self._clear = _button(
            "Clear", "Remove the object's points, box and mask", "cancel", with_key=True
        )
        self._previous.clicked.connect(lambda: self.cycled.emit(-1))
        self._next.clicked.connect(lambda: self.cycled.emit(1))
        self._commit.clicked.connect(lambda: self.commit_requested.emit())
        self._clear.clicked.connect(lambda: self.clear_requested.emit())
        self._commit.setStyleSheet(PRIMARY)
        for arrow in (self._previous, self._next):
            arrow.setFixedWidth(30)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(_row((self._score, 1), (self._previous, 0), (self._next, 0)))
        layout.addLayout(_row((self._commit, 1), (self._clear, 1)))
        self.show_prediction(None)

    def show_prediction(self, prediction: Prediction | None) -> None:
        """Show a prediction's chosen candidate; None or one without masks reads as nothing."""
        count = 0 if prediction is None else len(prediction.masks)
        self._score.setText(describe_candidate(prediction))
        self._previous.setEnabled(count > 1)
        self._next.setEnabled(count > 1)

    def allow_commit(self, is_allowed: bool) -> None:
        """Allow to keep the mask, or not."""
        self._commit.setEnabled(is_allowed)


def describe_candidate(prediction: Prediction | None) -> str:
    """Describe the chosen candidate, such as "2 of 3 · IoU 0.91"."""
    if prediction is None or len(prediction.masks) == 0:
        return "No mask yet"
    iou = prediction.iou_predictions[prediction.chosen]
    return f"{prediction.chosen + 1} of {len(prediction.masks)} · IoU {iou:.2f}"


def _button(title: str, tip: str, action: str, *, with_key: bool = False) -> QPushButton:
    key = key_of(action)
    button = leave_focus(QPushButton(f"{title}  ({key})" if with_key else title))
    button.setToolTip(f"{tip}: {key}")
    return button


def _row(*widgets: tuple[QWidget, int]) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(4)
    for widget, stretch in widgets:
        row.addWidget(widget, stretch=stretch)
    return row
