"""All keys, in one place: what they are at first, what they may be, and how they are bound."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels, Layer, Points, Shapes
from napari.settings import get_settings
from napari.utils.key_bindings import coerce_keybinding
from qtpy.QtGui import QAction, QKeySequence
from qtpy.QtWidgets import QApplication, QMainWindow

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


def key_of(action: str, keys: Keys = DEFAULT_KEYS) -> str:
    """Give the key that starts an action."""
    return keys[action]


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


class KeyBindings:
    """Binds the keys to a viewer and to layers, and puts back what was there before.

    napari asks the active layer first and the viewer last. So a layer's own keys would win over
    the viewer's: our layers are bound as well. Several may be bound to the same viewer: the last
    one is heard, and whichever closes first leaves the others as they are.

    Parameters
    ----------
    actions : dict of str to callable
        What the actions do. An action without a callable has no key.
    keys : mapping of str to str
        The key of each action.
    """

    def __init__(self, actions: dict[str, Callable[[], None]], keys: Keys = DEFAULT_KEYS) -> None:
        self._actions = actions
        self._keys = dict(keys)
        self._bound: list[_Bound] = []

    def bind(
        self, owners: Iterable[ViewerModel | Layer], only: Collection[str] | None = None
    ) -> None:
        """Bind the keys to each owner, a viewer or a layer; those of some actions, or all."""
        for owner in owners:
            for action in self._actions:
                if only is None or action in only:
                    self._bound.append(self._bind(owner, action))

    def rebind(self, keys: Keys) -> None:
        """Take other keys, on all that is bound."""
        changed = {action for action in self._actions if keys[action] != self._keys[action]}
        self._keys = dict(keys)
        moving = [bound for bound in self._bound if bound.action in changed]
        for bound in moving:  # all, before the first is bound: two keys may be swapped
            bound.unbind()
        self._bound = [bound for bound in self._bound if bound not in moving]
        self._bound += [self._bind(bound.owner, bound.action) for bound in moving]

    def close(self) -> None:
        """Unbind everything that was bound, and bind what was bound before."""
        while self._bound:
            self._bound.pop().unbind()

    def _bind(self, owner: Any, action: str) -> _Bound:
        return _Bound(owner, self._keys[action], action, self._actions[action])


class _Bound:
    """A key of an owner as long as it is ours; what it was before is known, not lost."""

    def __init__(self, owner: Any, key: str, action: str, act: Callable[[], None]) -> None:
        self.owner, self.key, self.action = owner, key, action
        self._before = owner.bind_key(key, None)
        self._function = _as_function(act, self)
        owner.bind_key(key, self._function)

    def unbind(self) -> None:
        """Put back what was there, also if somebody has bound the key since."""
        top = self.owner.bind_key(self.key, None)
        if top is self._function:
            top = self._before
        else:
            self._leave_chain(top)
        if top is not None:
            self.owner.bind_key(self.key, top)

    def _leave_chain(self, top: Any) -> None:
        above = _bound_by(top)
        while above is not None and above._before is not self._function:
            above = _bound_by(above._before)
        if above is not None:
            above._before = self._before


def _as_function(act: Callable[[], None], bound: _Bound) -> Callable[[Any], None]:
    """Make a real function: napari asks for its name, which a partial lacks."""

    def function(_owner: Any) -> None:
        act()

    function.__dict__["bound"] = bound
    return function


def _bound_by(function: Any) -> _Bound | None:
    bound = getattr(function, "bound", None)
    return bound if isinstance(bound, _Bound) else None


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
        if isinstance(window, QMainWindow):
            for item in window.findChildren(QAction):
                if item.shortcut() == wanted:
                    return str(item.text().replace("&", ""))
    return ""


def _swapped(name: str) -> str:
    """Qt calls a Mac's command key Ctrl and its control key Meta; napari does not."""
    if sys.platform != "darwin":
        return name
    return name.replace("Ctrl+", "_+").replace("Meta+", "Ctrl+").replace("_+", "Meta+")
