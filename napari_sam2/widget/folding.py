"""A group with a title that a click folds away."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_sam2.widget.icons import draw_icon
from napari_sam2.widget.look import leave_focus, line

_ARROW = 9


class FoldingGroup(QWidget):
    """A thin line, a title with an arrow, and a content that can be folded away.

    Parameters
    ----------
    title : str
        Of the group.
    content : QWidget
        What is shown when the group is open.
    folded : bool
        Whether it begins closed.
    parent : QWidget, optional
        As in Qt.
    """

    folded_changed = Signal(bool)  # by a click only

    def __init__(
        self, title: str, content: QWidget, folded: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._header = _Header(title)
        self._content = content
        self._header.clicked.connect(self._on_header_clicked)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(line())
        layout.addWidget(self._header)
        layout.addWidget(content)
        self.folded = folded

    @property
    def folded(self) -> bool:
        """Whether the content is hidden."""
        return self._header.folded

    @folded.setter
    def folded(self, folded: bool) -> None:
        self._header.folded = folded
        self._header.update()
        self._content.setVisible(not folded)

    def set_note(self, note: str) -> None:
        """Show a few quiet words at the right of the title, also while folded."""
        self._header.note = note
        self._header.update()

    def _on_header_clicked(self) -> None:
        self.folded = not self.folded
        self.folded_changed.emit(self.folded)


class _Header(QPushButton):
    def __init__(self, title: str) -> None:
        super().__init__(title)
        self.folded = False
        self.note = ""
        self.setStyleSheet("QPushButton { background: transparent; font-weight: bold; }")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setToolTip("Show or hide")
        leave_focus(self)

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(QFontMetrics(self.font()).horizontalAdvance(self.text()) + 24, 22)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        color = self.palette().color(QPalette.ColorRole.ButtonText)
        if not self.underMouse():
            color.setAlpha(215)
        arrow = QRectF(3, (self.height() - _ARROW) / 2, _ARROW, _ARROW)
        draw_icon(painter, "right" if self.folded else "next", arrow, color)
        painter.setPen(color)
        left = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.drawText(self.rect().adjusted(_ARROW + 9, 0, 0, 0), int(left), self.text())
        self._write_note(painter)
        painter.end()

    def _write_note(self, painter: QPainter) -> None:
        font = QFont(self.font())
        font.setBold(False)
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setOpacity(0.6)
        right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        painter.drawText(self.rect().adjusted(0, 0, -4, 0), int(right), self.note)
