from __future__ import annotations

import logging
from collections.abc import Callable
from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from pytestqt.qtbot import QtBot
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QMainWindow

from napari_sam2.widget.key_bindings import KeyBindings
from napari_sam2.widget.keys import (
    COMMAND,
    DEFAULT_KEYS,
    KEYS,
    keys_with,
    problem_with,
    spelled,
)

UNDO = {DEFAULT_KEYS["undo"], DEFAULT_KEYS["redo"]}


@pytest.fixture
def actions() -> dict[str, Mock]:
    return {key.action: Mock() for key in KEYS}


def bound(owner) -> set[str]:
    return {str(key) for key in owner.keymap}


@pytest.mark.parametrize("owner", [ViewerModel, Points, Shapes, Labels, Image])
def test_no_key_is_one_of_naparis_own(owner) -> None:
    taken = {str(key) for kind in owner.__mro__ for key in getattr(kind, "class_keymap", {})}
    assert not taken & ({key.key for key in KEYS} - UNDO)


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
    viewer.bind_key(DEFAULT_KEYS["commit"], mine)
    keys = KeyBindings(actions)
    keys.bind([viewer])
    keys.close()
    assert list(viewer.keymap.values()) == [mine]


def test_every_action_has_one_key() -> None:
    assert len({key.key for key in KEYS}) == len({key.action for key in KEYS}) == len(KEYS)


def press(owner, key: str) -> None:
    owner.bind_key(key, None)(owner)


def heard(owner, action: str) -> Callable[[], None]:
    return {str(key): act for key, act in owner.keymap.items()}[DEFAULT_KEYS[action]]


@pytest.mark.parametrize("first_to_close", [0, 1, 2])
def test_panels_on_one_viewer_close_in_any_order(
    actions: dict[str, Mock], first_to_close: int
) -> None:
    viewer, mine = ViewerModel(), Mock()
    viewer.bind_key(DEFAULT_KEYS["commit"], mine)
    commits = [Mock(), Mock(), Mock()]
    panels = [KeyBindings({**actions, "commit": commit}) for commit in commits]
    for panel in panels:
        panel.bind([viewer])
    order = [panels[first_to_close], *(p for p in panels if p is not panels[first_to_close])]
    left = list(zip(panels, commits, strict=True))
    for panel in order:
        heard(viewer, "commit")(viewer)
        left[-1][1].assert_called_once()
        left[-1][1].reset_mock()
        panel.close()
        left = [pair for pair in left if pair[0] is not panel]
    assert list(viewer.keymap.values()) == [mine]


def test_a_strangers_binding_on_top_of_ours_stays(actions: dict[str, Mock]) -> None:
    viewer, stranger = ViewerModel(), Mock()
    keys = KeyBindings(actions)
    keys.bind([viewer])
    viewer.bind_key(DEFAULT_KEYS["commit"], stranger, overwrite=True)
    keys.close()
    assert list(viewer.keymap.values()) == [stranger]


def test_a_layer_that_is_removed_meanwhile_is_unbound(actions: dict[str, Mock]) -> None:
    viewer = ViewerModel()
    points = viewer.add_points(ndim=2)
    keys = KeyBindings(actions)
    keys.bind([viewer, points])
    viewer.layers.remove(points)
    keys.close()
    assert not points.keymap
    assert not viewer.keymap


def test_rebinding_swaps_two_keys_and_leaves_the_others(actions: dict[str, Mock]) -> None:
    viewer = ViewerModel()
    keys = KeyBindings(actions)
    keys.bind([viewer])
    polarity = heard(viewer, "polarity")
    keys.rebind({**DEFAULT_KEYS, "commit": "N", "next_candidate": "W"})
    press(viewer, "N")
    actions["commit"].assert_called_once()
    press(viewer, "W")
    actions["next_candidate"].assert_called_once()
    assert heard(viewer, "polarity") is polarity
    keys.close()
    assert not viewer.keymap


def test_only_some_actions_may_be_bound(actions: dict[str, Mock]) -> None:
    """Undo of painting stays napari's on a layer that we do not draw in."""
    labels = Labels(np.zeros((2, 2), int))
    keys = KeyBindings(actions)
    keys.bind([labels], only={"commit"})
    assert bound(labels) == {"W"}


def test_an_action_that_nobody_does_has_no_key() -> None:
    viewer = ViewerModel()
    KeyBindings({"commit": Mock()}).bind([viewer])
    assert bound(viewer) == {"W"}


@pytest.mark.parametrize("action", DEFAULT_KEYS)
def test_the_default_keys_have_no_problem(action: str) -> None:
    assert problem_with(DEFAULT_KEYS[action], action, DEFAULT_KEYS) == ""


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "A key is a letter"),
        ("Shift", "A key is a letter"),
        ("nonsense", "A key is a letter"),
        ("Ctrl+K W", "A key is a letter"),
        ("shift+n", "Shift+N is taken by 'next mask'"),
        ("P", "P belongs to napari (activate labels paint mode)"),
        (f"{COMMAND}+Z", f"{COMMAND}+Z is taken by 'undo'"),
        ("Shift+Up", "Shift+Up belongs to napari."),
        (f"{COMMAND}+C", f"{COMMAND}+C belongs to napari"),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_in_a_sentence(key: str, says: str) -> None:
    keys = {**DEFAULT_KEYS, "next_candidate": "Shift+N", "previous_candidate": "N"}
    assert problem_with(key, "commit", keys).startswith(says)


def test_undo_on_naparis_key_is_for_undo_only() -> None:
    keys = {**DEFAULT_KEYS, "undo": "F5"}
    assert problem_with(f"{COMMAND}+Z", "undo", keys) == ""
    assert "belongs to napari" in problem_with(f"{COMMAND}+Z", "commit", keys)


def test_a_key_of_a_menu_is_refused(qtbot: QtBot) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    menu = window.menuBar().addMenu("&Tools").addMenu("More")
    item = QAction("&Measure")  # no child of the window: so are napari's own
    item.setShortcut("Ctrl+U")
    menu.addAction(item)
    sentence = problem_with(f"{COMMAND}+U", "cancel", DEFAULT_KEYS)
    assert sentence == f"{COMMAND}+U belongs to the menu (Measure). Choose another key."


def test_keys_of_the_user_are_taken_where_they_can_be(caplog: pytest.LogCaptureFixture) -> None:
    swapped = {"commit": "N", "next_candidate": "w", "yesterday": "F1", "predict": "P"}
    with caplog.at_level(logging.WARNING):
        keys = keys_with(swapped)
    assert keys == {**DEFAULT_KEYS, "commit": "N", "next_candidate": "W"}
    assert "P belongs to napari" in caplog.text


def test_a_key_for_two_actions_is_nobodys() -> None:
    assert keys_with({"commit": "F5", "cancel": "F5"}) == DEFAULT_KEYS


def test_spelling_is_naparis() -> None:
    assert spelled("shift+n") == "Shift+N"
    assert spelled("Control+A") == "Ctrl+A"
