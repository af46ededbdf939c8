"""What the mouse does on the canvas: place points, draw boxes, or neither."""

from __future__ import annotations

from typing import Literal

from napari.components import ViewerModel
from psygnal import Signal

from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.prompts import NEGATIVE, POSITIVE

Tool = Literal["object", "background", "box", ""]
_POLARITY_OF: dict[str, int] = {"object": POSITIVE, "background": NEGATIVE}


class Tools:
    """Chooses the active layer and its mode, and follows when the user does so in napari.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it, that holds the prompt layers.
    prompts : PromptLayers
        The points and boxes.
    """

    changed = Signal(str)

    def __init__(self, viewer: ViewerModel, prompts: PromptLayers) -> None:
        self._layers = viewer.layers
        self._prompts = prompts
        self._events = (
            viewer.layers.selection.events.active,
            prompts.points.events.mode,
            prompts.shapes.events.mode,
        )
        for event in self._events:
            event.connect(self._on_layers_changed)
        prompts.polarity_changed.connect(self._on_layers_changed)

    @property
    def tool(self) -> Tool:
        """What a click does now; empty if it makes no prompt."""
        active, prompts = self._layers.selection.active, self._prompts
        if active == prompts.points and prompts.points.mode == "add":
            return self._point_tool()
        if active == prompts.shapes and prompts.shapes.mode == "add_rectangle":
            return "box"
        return ""

    @tool.setter
    def tool(self, tool: Tool) -> None:
        if tool == "box":
            self._layers.selection.active = self._prompts.shapes
            self._prompts.shapes.mode = "add_rectangle"
        else:
            self._prompts.polarity = _POLARITY_OF[tool]
            self._layers.selection.active = self._prompts.points
            self._prompts.points.mode = "add"
        self.changed.emit(self.tool)

    def toggle_polarity(self) -> None:
        """Place points of the other polarity."""
        self.tool = "background" if self._prompts.polarity == POSITIVE else "object"

    def toggle_box(self) -> None:
        """Change between points and boxes."""
        self.tool = self._point_tool() if self.tool == "box" else "box"

    def close(self) -> None:
        """Disconnect from the viewer and the layers."""
        for event in self._events:
            event.disconnect(self._on_layers_changed)
        self._prompts.polarity_changed.disconnect(self._on_layers_changed)

    def _point_tool(self) -> Tool:
        return "object" if self._prompts.polarity == POSITIVE else "background"

    def _on_layers_changed(self) -> None:
        self.changed.emit(self.tool)
