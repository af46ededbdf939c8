"""A small picture of how training goes: the loss falls, the IoU on what is held out rises."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_sam2.widget.look import ACCENT, OBJECT

_HEIGHT = 96
_TOP, _BOTTOM, _SIDE = 18, 6, 6
_SMOOTH = 0.9  # of the loss, which jumps from step to step
_LEAST_RANGE = 0.05  # of IoU: less is not to look like much

Point = tuple[float, float]


class LearningCurve(QWidget):
    """Draws the loss of each step, and the IoU of each check, against the steps.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._steps = 1
        self._losses: list[Point] = []
        self._ious: list[Point] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Below: steps. The loss should fall, the IoU on held-out objects rise.")

    def begin(self, steps: int) -> None:
        """Forget what is drawn; the width stands for so many steps."""
        self._steps, self._losses, self._ious = max(steps, 1), [], []
        self.update()

    def add_loss(self, step: int, loss: float) -> None:
        """Draw the loss of one step more, smoothed."""
        if self._losses:
            loss = _SMOOTH * self._losses[-1][1] + (1 - _SMOOTH) * loss
        self._losses.append((step, loss))
        self.update()

    def add_iou(self, step: int, iou: float) -> None:
        """Draw one check more."""
        self._ious.append((step, iou))
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for a small picture."""
        return QSize(180, _HEIGHT)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw both curves, each in a range of its own, with its last value above."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(_SIDE, _TOP, -_SIDE, -_BOTTOM)
        grid = QColor(128, 128, 128, 70)
        painter.setPen(QPen(grid, 1))
        for part in (0.0, 0.5, 1.0):
            y = area.top() + part * area.height()
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
        self._draw_curve(painter, area, self._losses, QColor(ACCENT).lighter(130), dots=False)
        self._draw_curve(painter, area, self._ious, QColor(OBJECT), dots=True)
        self._write(painter, "loss", self._losses, QColor(ACCENT).lighter(130), 2, left=True)
        self._write(painter, "IoU held out", self._ious, QColor(OBJECT), 3, left=False)
        painter.end()

    def _draw_curve(
        self, painter: QPainter, area: QRectF, points: Sequence[Point], color: QColor, dots: bool
    ) -> None:
        if not points:
            return
        values = [value for _, value in points]
        low, high = min(values), max(values)
        room = max(_LEAST_RANGE - (high - low), 0.0) / 2
        low, high = low - room, high + room
        places = [
            QPointF(
                area.left() + step / self._steps * area.width(),
                area.bottom() - (value - low) / (high - low) * area.height(),
            )
            for step, value in points
        ]
        painter.setPen(QPen(color, 1.6))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(places))
        if dots:
            painter.setBrush(color)
            for place in places:
                painter.drawEllipse(place, 2.5, 2.5)

    def _write(
        self,
        painter: QPainter,
        title: str,
        points: Sequence[Point],
        color: QColor,
        digits: int,
        left: bool,
    ) -> None:
        font = QFont(self.font())
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(color if points else self.palette().color(QPalette.ColorRole.Mid))
        side = Qt.AlignmentFlag.AlignLeft if left else Qt.AlignmentFlag.AlignRight
        value = f" {points[-1][1]:.{digits}f}" if points else ""
        place = QRectF(self.rect()).adjusted(_SIDE, 0, -_SIDE, 0)
        painter.drawText(place, int(side | Qt.AlignmentFlag.AlignTop), title + value)
