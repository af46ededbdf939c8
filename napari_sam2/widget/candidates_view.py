"""All candidates of an answer side by side; a click chooses one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from psygnal import Signal
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_sam2.session.cleanup import RAW, Cleanup
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.objects import Answer
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.keys import DEFAULT_KEYS, Keys
from napari_sam2.widget.look import leave_focus
from napari_sam2.widget.thumbnails import common_box, pixel_count, thumbnail

_SIDE = 72  # pixels of a thumbnail on screen
_TEXT, _GAP = 16, 4
_NO_MASK = "No mask yet"
_DEFAULT_COLOR = "#4c9be8"


class CandidatesView(QWidget):
    """Which mask is shown, of how many, and what the others look like.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    chosen = Signal(int)  # a candidate was clicked
    cycled = Signal(int)  # an arrow was clicked: 1 for the next candidate, -1 for the one before

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._summary = QLabel()
        self._previous = IconButton("left", tip="Previous mask", shows_key=False)
        self._next = IconButton("right", tip="Next mask", shows_key=False)
        self._strip = _Strip()
        self._strip.clicked.connect(self.chosen.emit)
        self._previous.clicked.connect(lambda: self.cycled.emit(-1))
        self._next.clicked.connect(lambda: self.cycled.emit(1))
        head = QHBoxLayout()
        head.setSpacing(2)
        head.addWidget(self._summary, stretch=1)
        head.addWidget(self._previous)
        head.addWidget(self._next)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(head)
        layout.addWidget(self._strip)
        self.show_answer(None)
        self.show_keys(DEFAULT_KEYS)

    def show_answer(self, answer: Answer | None, cleanup: Cleanup = RAW) -> None:
        """Show the candidates of an answer, tidied; None, or one without any, shows none."""
        count = 0 if answer is None else len(answer.candidates)
        self._summary.setText(describe_answer(answer))
        for arrow in (self._previous, self._next):
            arrow.setEnabled(count > 1)
        self._strip.show_answer(answer if count else None, cleanup)

    def set_color(self, color: str) -> None:
        """Draw the masks in a colour, the object's."""
        self._strip.color = QColor(color)
        self._strip.update()

    def show_keys(self, keys: Keys) -> None:
        """Show other keys."""
        self._next.set_key(keys["next_candidate"])
        self._previous.set_key(keys["previous_candidate"])


def describe_answer(answer: Answer | None) -> str:
    """Describe the chosen candidate, such as "Mask 2 of 3 · score 0.91"."""
    if answer is None or not answer.candidates:
        return _NO_MASK
    place = f"Mask {answer.chosen + 1} of {len(answer.candidates)}"
    return place if math.isnan(answer.score) else f"{place} · score {answer.score:.2f}"


@dataclass(frozen=True)
class _Item:
    """One candidate as it is drawn."""

    shape: QImage
    caption: str


class _Strip(QWidget):
    """Draws the thumbnails itself: three of them are not worth nine widgets."""

    clicked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.color = QColor(_DEFAULT_COLOR)
        self._items: list[_Item] = []
        self._chosen = 0
        self._candidates: tuple[PackedMask, ...] = ()
        self._cleanup = RAW
        leave_focus(self)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("All masks that the model offers. Click on the one you mean.")

    def show_answer(self, answer: Answer | None, cleanup: Cleanup) -> None:
        if answer is None:
            self._candidates, self._items = (), []
        elif answer.candidates is not self._candidates or cleanup != self._cleanup:
            self._candidates, self._cleanup = answer.candidates, cleanup
            masks = tuple(answer.tidied(mask, cleanup) for mask in answer.candidates)
            box = common_box(masks)
            pairs = zip(masks, answer.scores, strict=True)
            self._items = [_Item(_image(mask, box), _caption(mask, s)) for mask, s in pairs]
        self._chosen = 0 if answer is None else answer.chosen
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(3 * _SIDE + 2 * _GAP, _SIDE + _TEXT)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        assert event is not None
        at = self._at(event.position().x())
        if at is not None and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(at)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        assert event is not None
        is_on_item = self._at(event.position().x()) is not None
        shape = Qt.CursorShape.PointingHandCursor if is_on_item else Qt.CursorShape.ArrowCursor
        self.setCursor(shape)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        if not self._items:
            self._draw_nothing(painter, text)
        for index, item in enumerate(self._items):
            self._draw(painter, self._cell(index), item, text, is_chosen=index == self._chosen)
        painter.end()

    def _draw_nothing(self, painter: QPainter, text: QColor) -> None:
        painter.setPen(QPen(_faint(text, 60), 1, Qt.PenStyle.DashLine))
        for index in range(3):
            cell = self._cell(index)
            painter.drawRoundedRect(cell.adjusted(0.5, 0.5, -0.5, -_TEXT - 0.5), 3, 3)

    def _draw(
        self, painter: QPainter, cell: QRectF, item: _Item, text: QColor, *, is_chosen: bool
    ) -> None:
        frame = cell.adjusted(1, 1, -1, -_TEXT - 1)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_faint(text, 26))
        painter.drawRoundedRect(frame, 3, 3)
        self._draw_mask(painter, frame.adjusted(3, 3, -3, -3), item.shape, is_chosen=is_chosen)
        if is_chosen:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(text, 2))
            painter.drawRoundedRect(frame, 3, 3)
        font = painter.font()
        font.setPixelSize(10)
        font.setBold(is_chosen)
        painter.setFont(font)
        painter.setPen(text if is_chosen else _faint(text, 170))
        below = QRectF(cell.left() - 2, cell.bottom() - _TEXT, cell.width() + 4, _TEXT)
        painter.drawText(below, int(Qt.AlignmentFlag.AlignCenter), item.caption)

    def _draw_mask(
        self, painter: QPainter, into: QRectF, shape: QImage, *, is_chosen: bool
    ) -> None:
        scale = min(into.width() / shape.width(), into.height() / shape.height())
        size = (shape.width() * scale, shape.height() * scale)
        where = QRectF(0, 0, *size)
        where.moveCenter(into.center())
        shape.setColorTable(_ramp(self.color if is_chosen else _faint(self.color, 150)))
        painter.drawImage(where, shape)

    def _cell(self, index: int) -> QRectF:
        count = max(3, len(self._items))
        width = min(_SIDE + 24.0, (self.width() - _GAP * (count - 1)) / count)
        return QRectF(index * (width + _GAP), 0, width, _SIDE + _TEXT)

    def _at(self, x: float) -> int | None:
        cells = ((index, self._cell(index)) for index in range(len(self._items)))
        return next((index for index, cell in cells if cell.left() <= x <= cell.right()), None)


def _image(mask: PackedMask, box: Box) -> QImage:
    shown = thumbnail(mask, box)
    height, width = shown.shape
    return QImage(shown.tobytes(), width, height, width, QImage.Format.Format_Indexed8).copy()


def _ramp(color: QColor) -> list[int]:
    """Give a table of colours from nothing (0) to the colour (255)."""
    table = [0] * 256
    table[255] = color.rgba()
    return table


def _caption(mask: PackedMask, score: float) -> str:
    area = f"{pixel_count(mask):,} px".replace(",", "\u2009")
    return area if math.isnan(score) else f"{score:.2f} · {area}"


def _faint(color: QColor, alpha: int) -> QColor:
    faint = QColor(color)
    faint.setAlpha(alpha)
    return faint
