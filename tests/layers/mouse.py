"""A mouse over a layer, as napari's canvas would pass it on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
from napari.layers import Layer
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

_ZOOM = 20  # pixels of the canvas per pixel of the image


class Mouse:
    """Goes where it is told, in data coordinates of the layer."""

    def __init__(self, layer: Layer, modifiers: Sequence[str] = ()) -> None:
        self._layer = layer
        self._event = SimpleNamespace(
            modifiers=tuple(modifiers),
            is_dragging=False,
            handled=False,
            button=1,
            view_direction=None,
            up_direction=None,
            dims_displayed=[1, 2],
            dims_point=np.zeros(3),
        )

    def press(self, *at: float) -> None:
        self._go("mouse_press", at)
        mouse_press_callbacks(self._layer, self._event)
        self._event.is_dragging = True

    def move(self, *at: float) -> None:
        self._go("mouse_move", at)
        mouse_move_callbacks(self._layer, self._event)

    def release(self, *at: float) -> None:
        self._go("mouse_release", at)
        self._event.is_dragging = False
        mouse_release_callbacks(self._layer, self._event)

    def click(self, *at: float) -> None:
        self.press(*at)
        self.release(*at)

    def drag(self, *way: Sequence[float]) -> None:
        """Press at the first place, go on in small steps, and release at the last."""
        self.press(*way[0])
        for start, end in pairwise(way):
            for part in np.linspace(start, end, 9)[1:]:
                self.move(*part)
        self.release(*way[-1])

    def _go(self, kind: str, at: Sequence[float]) -> None:
        self._event.type = kind
        self._event.position = self._layer.data_to_world(at)
        self._event.pos = np.array(at[-2:]) * _ZOOM
