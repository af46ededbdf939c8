from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPainter

from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.icons import ICONS, draw_icon

RED = QColor("#ff0000")


def drawn(name: str, color: QColor = RED) -> QImage:
    image = QImage(24, 24, QImage.Format.Format_ARGB32)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    draw_icon(painter, name, QRectF(0, 0, 24, 24), color)
    painter.end()
    return image


def colors(image: QImage) -> set[str]:
    return {
        image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())
    }


@pytest.mark.parametrize("name", ICONS)
def test_every_icon_draws_something_in_the_colour_that_is_asked_for(qapp, name: str) -> None:
    image = drawn(name)
    opaque = [
        image.pixelColor(x, y)
        for x in range(24)
        for y in range(24)
        if image.pixelColor(x, y).alpha() == 255
    ]
    assert 10 < len(opaque) < 400
    assert {color.name() for color in opaque} == {"#ff0000"}


def test_a_faint_colour_gives_a_faint_icon(qapp) -> None:
    faint = QColor(RED)
    faint.setAlpha(100)
    image = drawn("keep", faint)
    assert max(image.pixelColor(x, y).alpha() for x in range(24) for y in range(24)) <= 101


def test_a_button_follows_the_theme(qtbot: QtBot) -> None:
    button = IconButton("keep", "Keep", "Keep it", "W")
    qtbot.addWidget(button)
    button.setStyleSheet("QPushButton { background: black; color: #00ff00; border: 0px; }")
    assert "#00ff00" in colors(button.grab().toImage())
    button.setStyleSheet("QPushButton { background: black; color: #0000ff; border: 0px; }")
    shown = colors(button.grab().toImage())
    assert "#0000ff" in shown
    assert "#00ff00" not in shown


def test_a_button_says_its_key(qtbot: QtBot) -> None:
    button = IconButton("keep", "Keep", "Keep it", "W")
    qtbot.addWidget(button)
    assert button.toolTip() == "Keep it (W)"
    assert button.text() == "Keep"
    width = button.sizeHint().width()
    button.set_key("Ctrl+Shift+W")
    assert button.toolTip() == "Keep it (Ctrl+Shift+W)"
    assert button.sizeHint().width() > width
    button.set_key("")
    assert button.toolTip() == "Keep it"
    assert button.focusPolicy() == Qt.FocusPolicy.NoFocus


def test_an_accent_is_seen_when_the_button_is_pressed(qtbot: QtBot) -> None:
    button = IconButton("object", "Object", accent="#00cc00")
    qtbot.addWidget(button)
    button.setCheckable(True)
    unpressed = button.grab().toImage().pixelColor(3, button.sizeHint().height() // 2)
    button.setChecked(True)
    pressed = button.grab().toImage().pixelColor(3, button.sizeHint().height() // 2)
    assert pressed.green() > pressed.red() + 100
    assert abs(unpressed.green() - unpressed.red()) < 10
