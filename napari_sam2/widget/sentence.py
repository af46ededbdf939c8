"""A label whose text may change at any moment at little cost."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QWidget

from napari_sam2.widget.look import BACKGROUND

_COMPLAINT = f"QLabel {{ color: {BACKGROUND}; }}"


class Sentence(QWidget):
    """Text that breaks its lines, and moves what is below it only when it needs more lines.

    Whenever the text of a `QLabel` changes, all layouts around it are worked out anew, up to
    napari's window, which is drawn again each time: several times for a click.

    Parameters
    ----------
    height : int
        The least, in pixels.
    """

    def __init__(self, height: int) -> None:
        super().__init__()
        self._label = QLabel(self)  # in no layout
        self._label.setWordWrap(True)
        self._label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setMinimumHeight(height)
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    @property
    def text(self) -> str:
        """What is said."""
        return str(self._label.text())

    def say(self, text: str, *, is_complaint: bool = False) -> None:
        """Say something else."""
        before = self.heightForWidth(self.width())
        style = _COMPLAINT if is_complaint else ""
        if self._label.styleSheet() != style:
            self._label.setStyleSheet(style)
        self._label.setText(text)
        if self.heightForWidth(self.width()) != before:
            self.updateGeometry()

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """Tell Qt that narrow text is high."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Give the height that all lines need."""
        return max(self.minimumHeight(), int(self._label.heightForWidth(width)))

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for no width, and the height at the present one."""
        return QSize(0, self.heightForWidth(self.width()))

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fill the room."""
        super().resizeEvent(event)
        self._label.resize(self.size())
