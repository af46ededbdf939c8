"""What can be done with the selected objects, as a menu."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QMenu, QWidget

from napari_sam2.session.objects import ObjectClass

_NO_CLASS = ObjectClass("", "")


@dataclass(frozen=True)
class Item:
    """One line of the menu.

    Attributes
    ----------
    title, key : str
        What it is called; the key is shown only.
    act : callable
        What it does.
    is_enabled : bool
        Whether it can be chosen.
    """

    title: str
    key: str
    act: Callable[[], None]
    is_enabled: bool


def object_menu(parent: QWidget, items: Iterable[Item]) -> QMenu:
    """Make a menu that is gone once it is closed."""
    menu = QMenu(parent)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    for item in items:
        action = menu.addAction(f"{item.title}\t{item.key}")
        assert action is not None
        action.triggered.connect(lambda _=False, act=item.act: act())
        action.setEnabled(item.is_enabled)
    return menu


def add_classes(
    menu: QMenu | None, classes: Iterable[ObjectClass], choose: Callable[[str], None]
) -> None:
    """Add one line for each class, and one for none."""
    assert menu is not None
    for each in (*classes, _NO_CLASS):
        action = menu.addAction(_swatch(each.color), each.name or "no class")
        assert action is not None
        action.triggered.connect(lambda _=False, name=each.name: choose(name))


def _swatch(color: str) -> QIcon:
    if not color:
        return QIcon()
    pixmap = QPixmap(12, 12)
    pixmap.fill(QColor(color))
    return QIcon(pixmap)
