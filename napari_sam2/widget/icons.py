"""Small drawings for buttons, in whatever colour the theme's text has."""

from __future__ import annotations

from functools import lru_cache

from qtpy.QtCore import QByteArray, QRectF
from qtpy.QtGui import QColor, QPainter
from qtpy.QtSvg import QSvgRenderer

# What is inside the <svg> of 24 x 24: lines of width 2, not filled unless it says so.
_DRAWINGS = {
    "object": '<circle cx="12" cy="12" r="9"/><path d="M12 8v8M8 12h8"/>',
    "background": '<circle cx="12" cy="12" r="9"/><path d="M8 12h8"/>',
    "points": (
        '<g fill="{color}" stroke="none"><circle cx="7" cy="15" r="3"/><circle cx="16" cy="7"'
        ' r="3"/><circle cx="18" cy="18" r="2"/></g>'
    ),
    "box": '<rect x="3.5" y="6" width="17" height="12" rx="1"/>',
    "ellipse": '<ellipse cx="12" cy="12" rx="9" ry="6.5"/>',
    "polygon": (
        '<path d="M8 19c-4-2-6-7-3-11s11-5 14-1 1 9-4 10-8-2-7 2" stroke-dasharray="3.4 3.2"/>'
        '<circle cx="8" cy="19.5" r="1.6" fill="{color}"/>'
    ),
    "scribble": '<path d="M3 16c2-8 6-11 7-8s-3 9 0 9 4-9 7-9 0 6 4 6"/>',
    "undo": '<path d="M8 4L4 8l4 4M4 8h10a5.5 5.5 0 0 1 0 11H8"/>',
    "redo": '<path d="M16 4l4 4-4 4M20 8H10a5.5 5.5 0 0 0 0 11h6"/>',
    "save": '<path d="M4 4h12l4 4v12H4zM8 4v5h7V4M7.5 20v-6h9v6"/>',
    "open": '<path d="M3 19V5h6l2.5 3H21v11z"/>',
    "export": '<path d="M12 15V4M8 8l4-4 4 4M4 14v6h16v-6"/>',
    "import": '<path d="M12 4v11M8 11l4 4 4-4M4 14v6h16v-6"/>',
    "copy": '<rect x="4" y="8" width="11" height="12" rx="1"/><path d="M9 4.5h10.5V16"/>',
    "delete": '<path d="M4 7h16M9 7V4h6v3M6.5 7l1 13h9l1-13M10.5 11v5M13.5 11v5"/>',
    "merge": '<path d="M12 7.3A6 6 0 1 0 12 16.7 6 6 0 1 0 12 7.3z"/>',
    "reopen": '<path d="M4 20l1-5L16 4l4 4L9 19zM13 7l4 4"/>',
    "tag": '<path d="M4 4h8l8 8-8 8-8-8z"/><circle cx="8.5" cy="8.5" r="1" fill="{color}"/>',
    "next": '<path d="M5 9l7 7 7-7"/>',
    "previous": '<path d="M5 15l7-7 7 7"/>',
    "right": '<path d="M9 5l7 7-7 7"/>',
    "left": '<path d="M15 5l-7 7 7 7"/>',
    "keep": '<path d="M4 13l5 5L20 6"/>',
    "cancel": '<path d="M6 6l12 12M18 6L6 18"/>',
    "add": '<path d="M12 4v16M4 12h16"/>',
    "predict": '<path d="M7 4l13 8-13 8z"/>',
    "layers": '<path d="M12 4l9 5-9 5-9-5zM4 14.5l8 4.5 8-4.5"/>',
    "find": '<circle cx="10" cy="10" r="6"/><path d="M15 15l6 6"/>',
    "reset": '<path d="M5 5v5h5M5.5 10a8 8 0 1 1-1 5"/>',
}
ICONS = tuple(_DRAWINGS)


def draw_icon(painter: QPainter, name: str, into: QRectF, color: QColor) -> None:
    """Draw one of `ICONS` into a square."""
    painter.save()
    painter.setOpacity(painter.opacity() * color.alphaF())
    _renderer(name, color.name()).render(painter, into)
    painter.restore()


@lru_cache(maxsize=256)
def _renderer(name: str, color: str) -> QSvgRenderer:
    drawing = _DRAWINGS[name].format(color=color)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" '
        f'stroke="{color}" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">'
        f"{drawing}</svg>"
    )
    return QSvgRenderer(QByteArray(svg.encode()))
