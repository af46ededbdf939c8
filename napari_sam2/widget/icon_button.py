"""A button with an icon, a title and its key, in the colours of napari's theme."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QPushButton, QStyle, QStyleOptionButton, QWidget

from napari_sam2.widget.icons import draw_icon
from napari_sam2.widget.look import leave_focus

_ICON, _GAP, _PAD = 15, 5, 6
_KEY_PIXELS, _SMALL_PIXELS = 9, 10


class IconButton(QPushButton):
    """A button that draws its icon in its own text colour whenever it is painted.

    So it follows the theme, and what is disabled or pressed looks so, with nothing connected.

    Parameters
    ----------
    icon : str
        One of `icons.ICONS`, or empty.
    title : str
        May be empty; the tooltip tells all.
    tip : str
        One sentence.
    key : str
        Its key, or empty. It is drawn and named in the tooltip.
    below : bool
        The title is small and below the icon.
    shows_key : bool
        Whether the key is drawn, and not only named in the tooltip.
    accent : str
        Colour of the icon, and of the whole button when it is pressed; by default the theme's.
    parent : QWidget, optional
        As in Qt.
    """

    def __init__(
        self,
        icon: str,
        title: str = "",
        tip: str = "",
        key: str = "",
        *,
        below: bool = False,
        shows_key: bool = True,
        accent: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(title, parent)
        self._icon, self._tip, self._key = icon, tip, key
        self._is_below, self._shows_key, self._accent = below, shows_key, accent
        if accent:
            self.setStyleSheet(f"QPushButton:checked {{ background: {_deep(accent)}; }}")
        self.setAccessibleName(title or tip)
        self.set_key(key)
        leave_focus(self)

    @property
    def key(self) -> str:
        """Its key, or empty."""
        return self._key

    def set_key(self, key: str) -> None:
        """Show another key."""
        self._key = key
        self.set_tip(self._tip)
        self.updateGeometry()
        self.update()

    def set_tip(self, tip: str) -> None:
        """Show another sentence."""
        self._tip = tip
        self.setToolTip(f"{tip} ({self._key})" if self._key else tip)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Give the room for all that is drawn."""
        if self._is_below:
            return QSize(self._title_width() + 4, _ICON + _SMALL_PIXELS + 15)
        gaps = _GAP * (len(self._parts()) - 1)
        return QSize(sum(self._parts()) + gaps + 2 * _PAD, 28)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Give the same: a button that is cut off helps nobody."""
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        """Let the theme draw the button, and put icon, title and key onto it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        option = QStyleOptionButton()
        self.initStyleOption(option)
        option.text = ""
        style = self.style()
        assert style is not None
        style.drawControl(QStyle.ControlElement.CE_PushButton, option, painter, self)
        if self._is_below:
            self._draw_below(painter)
        else:
            self._draw_beside(painter)
        painter.end()

    def _draw_beside(self, painter: QPainter) -> None:
        parts = self._parts()
        x = (self.width() - sum(parts) - _GAP * (len(parts) - 1)) / 2
        middle = self.height() / 2
        if self._icon:
            draw_icon(painter, self._icon, QRectF(x, middle - _ICON / 2, _ICON, _ICON), self._ink())
            x += _ICON + _GAP
        if self.text():
            self._write(painter, QRectF(x, 0, self._title_width(), self.height()), self.font())
            x += self._title_width() + _GAP
        if self._is_key_drawn():
            width = key_width(self.font(), self._key)
            draw_key(
                painter, self.font(), self._key, QRectF(x, middle - 7, width, 14), self._text()
            )

    def _draw_below(self, painter: QPainter) -> None:
        icon = QRectF((self.width() - _ICON - 1) / 2, 6, _ICON + 1, _ICON + 1)
        draw_icon(painter, self._icon, icon, self._ink())
        below = QRectF(0, icon.bottom() + 2, self.width(), _SMALL_PIXELS + 5)
        self._write(painter, below, self._small_font())

    def _write(self, painter: QPainter, into: QRectF, font: QFont) -> None:
        painter.setFont(font)
        painter.setPen(self._text())
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextSingleLine
        painter.drawText(into, int(flags), self.text())

    def _parts(self) -> list[int]:
        """Give the widths of what lies side by side."""
        parts = [_ICON] if self._icon else []
        if self.text():
            parts.append(self._title_width())
        if self._is_key_drawn():
            parts.append(key_width(self.font(), self._key))
        return parts

    def _is_key_drawn(self) -> bool:
        return bool(self._key) and self._shows_key

    def _title_width(self) -> int:
        font = self._small_font() if self._is_below else self.font()
        return QFontMetrics(font).horizontalAdvance(self.text()) + 1

    def _small_font(self) -> QFont:
        font = QFont(self.font())
        font.setPixelSize(_SMALL_PIXELS)
        return font

    def _text(self) -> QColor:
        if self._accent and self.isChecked():
            return QColor("white")
        return self.palette().color(QPalette.ColorRole.ButtonText)

    def _ink(self) -> QColor:
        is_own = self._accent and self.isEnabled() and not self.isChecked()
        return QColor(self._accent) if is_own else self._text()


def draw_key(painter: QPainter, font: QFont, key: str, into: QRectF, color: QColor) -> None:
    """Draw what looks like a key of a keyboard."""
    painter.save()
    painter.setOpacity(painter.opacity() * 0.75)
    painter.setPen(QPen(_faint(color, 120), 1))
    painter.setBrush(_faint(color, 25))
    painter.drawRoundedRect(into.adjusted(0.5, 0.5, -0.5, -0.5), 3, 3)
    painter.setPen(color)
    painter.setFont(_key_font(font))
    painter.drawText(into, int(Qt.AlignmentFlag.AlignCenter), key)
    painter.restore()


def key_width(font: QFont, key: str) -> int:
    """Give the room that a drawn key needs."""
    return max(15, QFontMetrics(_key_font(font)).horizontalAdvance(key) + 8)


def _key_font(font: QFont) -> QFont:
    small = QFont(font)
    small.setPixelSize(_KEY_PIXELS)
    small.setBold(False)
    return small


def _faint(color: QColor, alpha: int) -> QColor:
    faint = QColor(color)
    faint.setAlpha(alpha)
    return faint


def _deep(color: str) -> str:
    """Give a colour on which white is easy to read."""
    return str(QColor(color).darker(135).name())
