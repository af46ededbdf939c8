"""How the keys are bound to a viewer and its layers, and how they leave again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer

from napari_sam2.widget.keys import DEFAULT_KEYS, Keys


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
