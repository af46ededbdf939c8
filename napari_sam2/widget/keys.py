"""All keys, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer


@dataclass(frozen=True)
class Key:
    """A key and what it does.

    Attributes
    ----------
    key : str
        As napari spells it.
    action : str
        Which action it starts.
    meaning : str
        For the user, in a few words.
    """

    key: str
    action: str
    meaning: str


# None of them is a key of napari 0.9 for the viewer, or for points, shapes or labels.
KEYS = (
    Key("Q", "polarity", "next point: object or background"),
    Key("G", "tool", "points or box"),
    Key("N", "next_candidate", "next mask"),
    Key("Shift+N", "previous_candidate", "previous mask"),
    Key("W", "commit", "keep the object, begin the next"),
    Key("U", "clear", "clear its points, box and mask"),
)


def key_of(action: str) -> str:
    """Give the key that starts an action."""
    return next(key.key for key in KEYS if key.action == action)


class KeyBindings:
    """Binds the keys to a viewer and to layers, and puts back what was there before.

    napari asks the active layer first and the viewer last. So a layer's own keys would win over
    the viewer's: our layers are bound as well.

    Parameters
    ----------
    actions : dict of str to callable
        What the action of each of `KEYS` does.
    """

    def __init__(self, actions: dict[str, Callable[[], None]]) -> None:
        self._actions = actions
        self._replaced: list[tuple[Any, str, Any]] = []

    def bind(self, owners: Iterable[ViewerModel | Layer]) -> None:
        """Bind every key to each owner, a viewer or a layer."""
        for owner in owners:
            for key in KEYS:
                act = _ignoring_owner(self._actions[key.action])
                before = owner.bind_key(key.key, None)
                owner.bind_key(key.key, act)
                self._replaced.append((owner, key.key, before))

    def close(self) -> None:
        """Unbind everything that was bound, and bind what was bound before."""
        while self._replaced:
            owner, key, before = self._replaced.pop()
            owner.bind_key(key, before, overwrite=True)


def _ignoring_owner(action: Callable[[], None]) -> Callable[[Any], None]:
    def act(_owner: Any) -> None:  # a function: napari asks for its name, which a partial lacks
        action()

    return act
