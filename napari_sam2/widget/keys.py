"""All keys, in one place: what they are at first, and what they may be."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from napari.components import ViewerModel
from napari.layers import Labels, Points, Shapes
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QApplication, QMenuBar

COMMAND = "Meta" if sys.platform == "darwin" else "Ctrl"  # as napari spells the menus' modifier
Keys = Mapping[str, str]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Key:
    """A key and what it does.

    Attributes
    ----------
    key : str
        As napari spells it, unless the user has chosen another.
    action : str
        Which action it starts.
    meaning : str
        For the user, in a few words.
    """

    key: str
    action: str
    meaning: str


# None of them is a key of napari 0.9 for the viewer or for any kind of layer, except that undo and
# redo are what they are everywhere. Shift takes the way back.
KEYS = (
    Key("Q", "polarity", "object or background"),
    Key("G", "tool", "next tool: points, box, ..."),
    Key("N", "next_candidate", "next mask"),
    Key("Shift+N", "previous_candidate", "previous mask"),
    Key("W", "commit", "keep the object, begin the next"),
    Key("Shift+W", "reopen", "open the selected object again"),
    Key("U", "cancel", "drop the object at work"),
    Key(f"{COMMAND}+Z", "undo", "undo"),
    Key(f"{COMMAND}+Shift+Z", "redo", "redo"),
    Key("J", "next_object", "look at the next object"),
    Key("Shift+J", "previous_object", "look at the one before"),
    Key("K", "predict", "ask the model now"),
    Key("H", "live", "live on or off"),
)
DEFAULT_KEYS: Keys = {key.action: key.key for key in KEYS}
_MEANINGS = {key.action: key.meaning for key in KEYS}
_QT_NAMES = {
    "Return": "Enter",
    "Del": "Delete",
    "Ins": "Insert",
    "PgUp": "PageUp",
    "PgDown": "PageDown",
}
_AS_EVERYWHERE = ("undo", "redo")  # may have napari's own key for the same thing


def keys_with(changed: Keys) -> dict[str, str]:
    """Give the key of every action: the user's where it can be used, else the default."""
    usable = {action: key for action, key in changed.items() if action in DEFAULT_KEYS}
    while True:
        keys = {**DEFAULT_KEYS, **usable}
        problems = {action: problem_with(usable[action], action, keys) for action in usable}
        unusable = {action: problem for action, problem in problems.items() if problem}
        if not unusable:
            return {action: spelled(key) for action, key in keys.items()}
        for action, problem in unusable.items():
            _log.warning("The default key of '%s' is used. %s", _MEANINGS[action], problem)
            del usable[action]


def spelled(key: str) -> str:
    """Give a key as napari spells it, such as "Ctrl+Shift+Z"; empty for what is none."""
    parts = coerce_keybinding(key).parts
    is_key = len(parts) == 1 and not parts[0].is_modifier_key()
    return str(parts[0]) if is_key else ""


def from_qt(name: str) -> str:
    """Give a key as napari spells it, from Qt's portable spelling; empty for what is none."""
    modifiers, plus, key = name.rpartition("+")
    return spelled(_swapped(f"{modifiers}{plus}{_QT_NAMES.get(key, key)}"))


def problem_with(key: str, action: str, keys: Keys) -> str:
    """Tell in a sentence why an action cannot have a key; empty if it can.

    Parameters
    ----------
    key : str
        In any of napari's spellings.
    action : str
        One of `KEYS`.
    keys : mapping of str to str
        The keys of all actions, by action.
    """
    name = spelled(key)
    if not name:
        return f"A key is a letter with or without modifiers, such as Shift+N, got {key!r}."
    for other, taken in keys.items():
        if other != action and taken == name:
            return f"{name} is taken by '{_MEANINGS[other]}'. Choose another key."
    owner = "" if _is_as_everywhere(name, action) else _owner_of(name)
    return f"{name} belongs to {owner}. Choose another key." if owner else ""


def _is_as_everywhere(name: str, action: str) -> bool:
    return action in _AS_EVERYWHERE and name == DEFAULT_KEYS[action]


def _owner_of(name: str) -> str:
    """Tell who else has a key; empty if nobody."""
    for action, keys in get_settings().shortcuts.shortcuts.items():
        if name in map(str, keys):
            return f"napari ({action.rpartition(':')[2].replace('_', ' ')})"
    if any(name in map(str, kind.class_keymap) for kind in (ViewerModel, Labels, Points, Shapes)):
        return "napari"
    return f"the menu ({title})" if (title := _menu_item(name)) else ""


def _menu_item(name: str) -> str:
    """Give the menu item that has a key: menus hear it before the canvas does."""
    wanted = QKeySequence(_swapped(name))
    for window in QApplication.topLevelWidgets():
        for bar in window.findChildren(QMenuBar):
            for item in _items(bar.actions()):
                if item.shortcut() == wanted:
                    return str(item.text().replace("&", ""))
    return ""


def _items(actions: Iterable[QAction]) -> Iterator[QAction]:
    """Go through menus and the menus in them: napari's items are no children of its window."""
    for action in actions:
        yield action
        menu = action.menu()
        if menu is not None:
            yield from _items(menu.actions())


def _swapped(name: str) -> str:
    """Qt calls a Mac's command key Ctrl and its control key Meta; napari does not."""
    if sys.platform != "darwin":
        return name
    return name.replace("Ctrl+", "_+").replace("Meta+", "Ctrl+").replace("_+", "Meta+")
