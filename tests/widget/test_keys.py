from __future__ import annotations

from unittest.mock import Mock

import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes

from napari_sam2.widget.keys import KEYS, KeyBindings, key_of


@pytest.fixture
def actions() -> dict[str, Mock]:
    return {key.action: Mock() for key in KEYS}


def bound(owner) -> set[str]:
    return {str(key) for key in owner.keymap}


@pytest.mark.parametrize("owner", [ViewerModel, Points, Shapes, Labels, Image])
def test_no_key_is_one_of_naparis_own(owner) -> None:
    taken = {str(key) for kind in owner.__mro__ for key in getattr(kind, "class_keymap", {})}
    assert not taken & {key.key for key in KEYS}


def test_naparis_shortcuts_are_left_alone() -> None:
    from napari.settings import get_settings

    ours = {key.key for key in KEYS}
    theirs = {
        str(key) for action, keys in get_settings().shortcuts.shortcuts.items() for key in keys
    }
    assert theirs
    assert not ours & theirs


def test_keys_act_on_the_viewer_and_on_our_layers(actions: dict[str, Mock]) -> None:
    viewer, points = ViewerModel(), Points(ndim=2)
    keys = KeyBindings(actions)
    keys.bind([viewer, points])
    for owner in (viewer, points):
        assert bound(owner) == {key.key for key in KEYS}
        for act in owner.keymap.values():
            assert act.__name__  # napari asks for it
            act(owner)
    assert all(action.call_count == 2 for action in actions.values())


def test_close_puts_back_what_was_there(actions: dict[str, Mock]) -> None:
    viewer, mine = ViewerModel(), Mock()
    viewer.bind_key(key_of("commit"), mine)
    keys = KeyBindings(actions)
    keys.bind([viewer])
    keys.close()
    assert list(viewer.keymap.values()) == [mine]


def test_every_action_has_one_key() -> None:
    assert len({key.key for key in KEYS}) == len({key.action for key in KEYS}) == len(KEYS)
