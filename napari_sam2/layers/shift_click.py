"""Shift and a click: a point of the other polarity, just this once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from napari.layers import Points

from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.prompts import NEGATIVE, POSITIVE


class ShiftClick:
    """Changes the polarity while the mouse is down with Shift held, if that places a point.

    Parameters
    ----------
    prompts : PromptLayers
        Whose points layer is clicked on.
    """

    def __init__(self, prompts: PromptLayers) -> None:
        self._prompts = prompts
        prompts.points.events.mode.connect(self._come_last)
        self._come_last()

    def close(self) -> None:
        """Take the callback off the layer."""
        self._prompts.points.events.mode.disconnect(self._come_last)
        self._prompts.points.mouse_drag_callbacks.remove(self._on_mouse_pressed)

    def _come_last(self) -> None:
        # napari places the point when the mouse comes up, in the order of the callbacks, and
        # appends its own whenever the mode changes. The polarity must not be back before.
        callbacks = self._prompts.points.mouse_drag_callbacks
        if self._on_mouse_pressed in callbacks:
            callbacks.remove(self._on_mouse_pressed)
        callbacks.append(self._on_mouse_pressed)

    def _on_mouse_pressed(self, points: Points, event: Any) -> Iterator[None]:
        if points.mode != "add" or "Shift" not in event.modifiers:
            return
        usual = self._prompts.polarity
        self._prompts.polarity = NEGATIVE if usual == POSITIVE else POSITIVE
        yield
        while event.type == "mouse_move":
            yield
        self._prompts.polarity = usual
