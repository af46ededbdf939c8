"""The hands of a user at a real viewer: mouse, keyboard and buttons, as Qt passes them on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from napari.layers import Layer
from napari.viewer import Viewer
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QMenu, QPushButton, QTableView, QWidget

_STEPS = 8  # of the mouse on each straight part of its way
_PAUSE_MS = 11  # vispy drops what comes sooner after the last movement
_LEFT, _NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
_PLAIN = Qt.KeyboardModifier.NoModifier


class Hand:
    """Works on the plane that is shown, in (y, x) of the image's pixels.

    Parameters
    ----------
    qtbot : QtBot
        Presses the keys.
    viewer : Viewer
        With a window, and an image as its first layer.
    """

    def __init__(self, qtbot: QtBot, viewer: Viewer) -> None:
        self._qtbot, self._viewer = qtbot, viewer

    @property
    def canvas(self) -> QWidget:
        return self._viewer.window._qt_viewer.canvas.native

    def click(self, y: float, x: float, modifier: Qt.KeyboardModifier = _PLAIN) -> None:
        self.drag([(y, x)], modifier)

    def drag(
        self, way: Sequence[tuple[float, float]], modifier: Qt.KeyboardModifier = _PLAIN
    ) -> None:
        """Press at the first place, go by the others, and release at the last."""
        self._qtbot.wait(_PAUSE_MS)  # a dock that was opened may still move the canvas
        places = [self._on_canvas(y, x) for y, x in way]
        self._mouse(QEvent.Type.MouseMove, places[0], modifier, held=False)
        self._mouse(QEvent.Type.MouseButtonPress, places[0], modifier)
        for start, end in pairwise(places):
            for part in np.linspace(0, 1, _STEPS + 1)[1:]:
                self._mouse(QEvent.Type.MouseMove, start + part * (end - start), modifier)
        self._mouse(QEvent.Type.MouseButtonRelease, places[-1], modifier, held=False)

    def key(
        self,
        key: Qt.Key,
        modifier: Qt.KeyboardModifier = _PLAIN,
        on: QWidget | None = None,
    ) -> None:
        """Press a key while a widget, by default the canvas, has the keyboard."""
        self._qtbot.keyClick(self.canvas if on is None else on, key, modifier)

    def press(self, panel: QWidget, title: str) -> None:
        """Press the button that begins with a title."""
        button = next(b for b in panel.findChildren(QPushButton) if b.text().startswith(title))
        self._qtbot.waitUntil(button.isVisible)
        self._qtbot.mouseClick(button, _LEFT)

    def click_on_row(self, table: QTableView, row: int) -> None:
        viewport, model = table.viewport(), table.model()
        assert viewport is not None
        assert model is not None
        at = table.visualRect(model.index(row, 0)).center()
        self._qtbot.mouseClick(viewport, _LEFT, pos=at)

    def choose(self, menu: QMenu, at: int) -> None:
        """Click on an item of a menu that is open."""
        place = menu.actionGeometry(menu.actions()[at]).center()
        self._qtbot.mouseClick(menu, _LEFT, pos=place)

    def activate(self, layer: Layer) -> None:
        """Choose a layer in the list."""
        self._viewer.layers.selection.active = layer

    def _on_canvas(self, y: float, x: float) -> QPointF:
        image, camera = self._viewer.layers[0], self._viewer.scene.camera
        index = (*self._viewer.dims.current_step[: image.ndim - 2], y, x)
        from_centre = np.subtract(image.data_to_world(index)[-2:], camera.center[-2:]) * camera.zoom
        size = self.canvas.size()
        return QPointF(size.width() / 2 + from_centre[1], size.height() / 2 + from_centre[0])

    def _mouse(
        self, kind: QEvent.Type, at: QPointF, modifier: Qt.KeyboardModifier, held: bool = True
    ) -> None:
        is_move = kind == QEvent.Type.MouseMove
        if is_move:
            self._qtbot.wait(_PAUSE_MS)
        button = _NONE if is_move else _LEFT
        event = QMouseEvent(
            kind, at, self.canvas.mapToGlobal(at), button, _LEFT if held else _NONE, modifier
        )
        QApplication.sendEvent(self.canvas, event)
