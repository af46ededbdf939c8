"""A strip with a bar for each plane: how far to trust the mask there. A click goes to the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_sam2.session.track_plan import OWN, TRACKED, Cell
from napari_sam2.widget.look import ACCENT, BACKGROUND, OBJECT

_HEIGHT, _MARK = 44, 7  # pixels; of all, and of what stands above the bars
_DOUBTFUL = "#e0a030"
_TRUSTED, _WEAK = 0.75, 0.5  # predicted IoU
_LEAST = 0.12  # height of a bar, of the highest: one of score 0 is still a mask


class ScoreStrip(QWidget):
    """Shows what is known of an object on the planes along an axis.

    Bars of the user's own planes are blue and full; those that were found by following the object
    are as high as their score. A triangle points at the weakest.
    """

    chosen = Signal(int)  # a plane

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cells: tuple[Cell, ...] = ()
        self._here: int | None = None
        self.setFixedHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Score of each plane")

    @property
    def weakest(self) -> int | None:
        """The plane of the lowest score among those that are not the user's."""
        found = [(cell.score, at) for at, cell in enumerate(self._cells) if cell.kind == TRACKED]
        return min(found)[1] if found else None

    def show_cells(self, cells: Sequence[Cell], here: int | None) -> None:
        """Show one bar a plane, and which plane is on screen."""
        if (tuple(cells), here) != (self._cells, self._here):
            self._cells, self._here = tuple(cells), here
            self.update()

    def plane_at(self, x: float) -> int | None:
        """Give the plane whose bar is at a place."""
        if not self._cells:
            return None
        at = int(x * len(self._cells) / max(self.width(), 1))
        return min(max(at, 0), len(self._cells) - 1)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for little width: bars may be thin."""
        return QSize(160, _HEIGHT)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Go to a plane."""
        self._choose(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Go on to the next planes while the button is down."""
        self._choose(event)

    def event(self, event: QEvent | None) -> bool:
        """Tell of the plane under the mouse."""
        if isinstance(event, QHelpEvent):
            at = self.plane_at(event.pos().x())
            if at is not None:
                QToolTip.showText(event.globalPos(), self.tip(at), self)
            return True
        return bool(super().event(event))

    def tip(self, at: int) -> str:
        """Give what there is to say of a plane."""
        cell = self._cells[at]
        if cell.stop:
            return f"Plane {at}: {cell.stop}"
        if cell.kind == OWN:
            return f"Plane {at}: yours, never overwritten"
        if cell.kind == TRACKED:
            weakest = ", the weakest" if at == self.weakest else ""
            return f"Plane {at}: followed, score {cell.score:.2f}{weakest}"
        return f"Plane {at}: not there"

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the bars."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        text = self.palette().color(self.foregroundRole())
        field = QRectF(0, _MARK, self.width(), self.height() - _MARK)
        _fill(painter, field, text, 0.07)
        pitch = self.width() / max(len(self._cells), 1)
        gap = 1.0 if pitch >= 4 else 0.0
        for at, cell in enumerate(self._cells):
            column = QRectF(at * pitch, _MARK, max(pitch - gap, 1), field.height())
            if at == self._here:
                _fill(painter, column, text, 0.28)
            self._draw_cell(painter, cell, column)
        if self.weakest is not None and len(self._cells) > 1:
            _draw_triangle(painter, (self.weakest + 0.5) * pitch, text)
        painter.end()

    def _draw_cell(self, painter: QPainter, cell: Cell, column: QRectF) -> None:
        if cell.stop:
            foot = QRectF(column.left(), column.bottom() - 3, column.width(), 3)
            _fill(painter, foot, QColor(BACKGROUND), 1)
        if not cell.kind:
            return
        share = 1.0 if cell.kind == OWN else _LEAST + (1 - _LEAST) * min(max(cell.score, 0), 1)
        bar = column.adjusted(0, column.height() * (1 - share), 0, 0)
        _fill(painter, bar, QColor(_color(cell)), 1)

    def _choose(self, event: QMouseEvent | None) -> None:
        at = None if event is None else self.plane_at(_x_of(event))
        if at is not None and at != self._here:
            self.chosen.emit(at)


def _color(cell: Cell) -> str:
    if cell.kind == OWN:
        return ACCENT
    if cell.score >= _TRUSTED:
        return OBJECT
    return _DOUBTFUL if cell.score >= _WEAK else BACKGROUND


def _fill(painter: QPainter, where: QRectF, color: QColor, opacity: float) -> None:
    painter.setOpacity(opacity)
    painter.fillRect(where, color)
    painter.setOpacity(1)


def _draw_triangle(painter: QPainter, x: float, color: QColor) -> None:
    painter.setBrush(color)
    corners = [QPointF(x - 4, 0), QPointF(x + 4, 0), QPointF(x, _MARK - 1)]
    painter.drawPolygon(QPolygonF(corners))


def _x_of(event: Any) -> float:
    position = event.position() if hasattr(event, "position") else event.localPos()
    return float(position.x())
