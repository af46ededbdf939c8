"""The group "What the model sees", alone."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QListWidget

from napari_sam2.layers.channels import ALONE, ChannelChoice
from napari_sam2.session.view import NORMALISATIONS
from napari_sam2.widget.calm_spin_box import CalmSpinBox
from napari_sam2.widget.view_panel import ViewPanel

CZYX = Image(np.zeros((4, 5, 8, 9), np.uint8), axis_labels=("c", "z", "y", "x"))
UNNAMED = Image(np.zeros((2, 8, 9), np.uint8))
FIRST, SECOND = (Image(np.zeros((8, 9), np.uint8), name=name) for name in ("first", "second"))


@pytest.fixture
def panel(qtbot: QtBot) -> ViewPanel:
    panel = ViewPanel()
    qtbot.addWidget(panel)
    panel.show()
    panel.show_choice(CZYX, (0, 1), [FIRST, SECOND], ALONE)
    return panel


@pytest.fixture
def heard(panel: ViewPanel) -> Mock:
    heard = Mock()
    panel.choice_changed.connect(heard)
    return heard


def kinds(panel: ViewPanel) -> QComboBox:
    return panel.findChildren(QComboBox)[0]


def titles(panel: ViewPanel) -> list[str]:
    return [kinds(panel).itemText(at) for at in range(kinds(panel).count())]


def choose(panel: ViewPanel, title: str) -> None:
    kinds(panel).setCurrentText(title)
    kinds(panel).activated.emit(kinds(panel).currentIndex())


def boxes(panel: ViewPanel) -> list[CalmSpinBox]:
    return panel.findChildren(CalmSpinBox)


def test_what_there_is_to_choose_from(panel: ViewPanel) -> None:
    assert titles(panel) == ["this image", "along c (4)", "along z (5)", "several layers"]
    assert kinds(panel).currentText() == "this image"
    assert not any(box.isVisible() for box in boxes(panel))
    assert not panel.findChild(QListWidget).isVisible()


def test_what_is_not_there_is_not_offered(panel: ViewPanel) -> None:
    panel.show_choice(UNNAMED, (0,), [], ALONE)
    assert titles(panel) == ["this image", "along axis 0 (2)"]
    panel.show_choice(FIRST, (), [], ALONE)
    assert titles(panel) == ["this image"]


def test_an_axis_begins_with_its_first_three(panel: ViewPanel, heard: Mock) -> None:
    choose(panel, "along c (4)")
    heard.assert_called_once_with(ChannelChoice(0, (0, 1, 2)))
    assert [box.value() for box in boxes(panel)] == [0, 1, 2]
    assert all(box.isVisible() for box in boxes(panel))
    assert [box.maximum() for box in boxes(panel)] == [3, 3, 3]


@pytest.mark.parametrize("choice", [ChannelChoice(0, (0, 1, 2)), ChannelChoice(others=(FIRST,))])
def test_it_fits_a_narrow_dock_with_all_its_parts(panel: ViewPanel, choice: ChannelChoice) -> None:
    long = Image(np.zeros((8, 9)), name="a very long name of a layer that goes on and on")
    panel.show_choice(CZYX, (0, 1), [FIRST, long], choice)
    assert panel.minimumSizeHint().width() <= 280


def test_two_channels_leave_blue_out(panel: ViewPanel, heard: Mock) -> None:
    panel.show_choice(UNNAMED, (0,), [], ALONE)
    choose(panel, "along axis 0 (2)")
    heard.assert_called_once_with(ChannelChoice(0, (0, 1)))
    assert [box.text() for box in boxes(panel)] == ["0", "1", "none"]


def test_colours_are_chosen_one_by_one(panel: ViewPanel, heard: Mock) -> None:
    panel.show_choice(CZYX, (0, 1), [], ChannelChoice(0, (3, 1)))
    assert [box.value() for box in boxes(panel)] == [3, 1, -1]
    boxes(panel)[0].setValue(-1)
    boxes(panel)[2].setValue(2)
    assert heard.call_args.args == (ChannelChoice(0, (None, 1, 2)),)


def test_one_colour_is_always_left(panel: ViewPanel, heard: Mock) -> None:
    panel.show_choice(CZYX, (0, 1), [], ChannelChoice(0, (3,)))
    boxes(panel)[0].setValue(-1)
    heard.assert_not_called()
    assert boxes(panel)[0].value() == 3


def test_layers_are_checked_one_by_one(panel: ViewPanel, heard: Mock) -> None:
    choose(panel, "several layers")
    heard.assert_called_once_with(ChannelChoice(others=(FIRST, SECOND)))
    layers = panel.findChild(QListWidget)
    assert layers.isVisible()
    layers.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert heard.call_args.args == (ChannelChoice(others=(SECOND,)),)
    layers.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert heard.call_args.args == (ALONE,)
    assert kinds(panel).currentText() == "this image"


def test_back_to_the_image_alone(panel: ViewPanel, heard: Mock) -> None:
    panel.show_choice(CZYX, (0, 1), [], ChannelChoice(1, (0,)))
    assert kinds(panel).currentText() == "along z (5)"
    choose(panel, "this image")
    heard.assert_called_once_with(ALONE)


def test_choosing_again_what_is_chosen_changes_nothing(panel: ViewPanel, heard: Mock) -> None:
    panel.show_choice(CZYX, (0, 1), [FIRST], ChannelChoice(0, (3,)))
    choose(panel, "along c (4)")
    panel.show_choice(CZYX, (0, 1), [FIRST, SECOND], ChannelChoice(others=(FIRST,)))
    choose(panel, "several layers")
    heard.assert_not_called()


def test_an_axis_that_is_on_screen_now_is_not_shown_as_chosen(panel: ViewPanel) -> None:
    panel.show_choice(CZYX, (1,), [], ChannelChoice(0, (3,)))
    assert titles(panel) == ["this image", "along z (5)"]
    assert not any(box.isVisible() for box in boxes(panel))


@pytest.mark.parametrize("at", range(4))
def test_brightness_is_chosen(panel: ViewPanel, at: int) -> None:
    heard = Mock()
    panel.normalisation_changed.connect(heard)
    brightness = panel.findChildren(QComboBox)[1]
    brightness.activated.emit(at)
    heard.assert_called_once_with(NORMALISATIONS[at])
    panel.show_normalisation(NORMALISATIONS[at])
    assert brightness.currentIndex() == at
    assert heard.call_count == 1


def test_the_input_is_asked_for_by_hand_only(panel: ViewPanel) -> None:
    heard = Mock()
    panel.input_toggled.connect(heard)
    panel.show_input(True)
    assert panel.shows_input
    heard.assert_not_called()
    panel.findChild(QCheckBox).click()
    heard.assert_called_once_with(False)
