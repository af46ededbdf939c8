"""What the mouse does on the canvas: place points, draw shapes, or neither."""

from __future__ import annotations

from typing import Literal, get_args

from napari.components import ViewerModel
from psygnal import Signal

from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.layers.screen_sizes import ScreenSizes
from napari_sam2.layers.shift_click import ShiftClick
from napari_sam2.session.prompts import NEGATIVE, POSITIVE

Tool = Literal["object", "background", "box", "ellipse", "polygon", "scribble", ""]
Kind = Literal["points", "box", "ellipse", "polygon", "scribble", ""]
_POINT_TOOLS: dict[int, Tool] = {POSITIVE: "object", NEGATIVE: "background"}
_MODES: dict[str, str] = {
    "box": "add_rectangle",
    "ellipse": "add_ellipse",
    "polygon": "add_polygon_lasso",  # by dragging, or from click to click of the button
    "scribble": "add_path",
}
_KINDS: dict[str, Kind] = {
    "add_rectangle": "box",
    "add_ellipse": "ellipse",
    "add_polygon_lasso": "polygon",
    "add_polygon": "polygon",
    "add_path": "scribble",
    "add_polyline": "scribble",
    "add_line": "scribble",
}
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind)


class Tools:
    """Chooses the active layer and its mode, and follows when the user does so in napari.

    A tool stays chosen until another is. Shift and a click places a point of the other polarity.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it, that holds the prompt layers.
    prompts : PromptLayers
        The points and shapes.

    Attributes
    ----------
    changed : Signal(str)
        Another tool, or the same of another polarity.
    """

    changed = Signal(str)

    def __init__(self, viewer: ViewerModel, prompts: PromptLayers) -> None:
        self._layers = viewer.layers
        self._prompts = prompts
        self._shift_click = ShiftClick(prompts)
        self._sizes = ScreenSizes(viewer, prompts.points, prompts.shapes)
        self._events = (
            viewer.layers.selection.events.active,
            prompts.points.events.mode,
            prompts.shapes.events.mode,
        )
        for event in self._events:
            event.connect(self._on_layers_changed)
        prompts.polarity_changed.connect(self._on_layers_changed)

    @property
    def kind(self) -> Kind:
        """What a click or a drag makes now; empty if it makes no prompt."""
        active, prompts = self._layers.selection.active, self._prompts
        if active == prompts.points and prompts.points.mode == "add":
            return "points"
        if active == prompts.shapes:
            return _KINDS.get(str(prompts.shapes.mode), "")
        return ""

    @property
    def polarity(self) -> int | None:
        """On the object (1), as boxes always are, or the background (0); None without a tool."""
        if self.kind == "box":
            return POSITIVE
        return self._prompts.polarity if self.kind else None

    @polarity.setter
    def polarity(self, value: int) -> None:
        self._prompts.polarity = value
        if self.kind in ("", "box"):  # where it would mean nothing
            self.tool = _POINT_TOOLS[value]

    @property
    def tool(self) -> Tool:
        """As `kind`, but points are told apart by their polarity."""
        kind = self.kind
        return _POINT_TOOLS[self._prompts.polarity] if kind == "points" else kind

    @tool.setter
    def tool(self, tool: Tool | Kind) -> None:
        if tool == "object":
            self._prompts.polarity = POSITIVE
        elif tool == "background":
            self._prompts.polarity = NEGATIVE
        mode = _MODES.get(tool)
        layer = self._prompts.points if mode is None else self._prompts.shapes
        layer.visible = True  # napari refuses to draw on a hidden one
        self._layers.selection.active = layer
        layer.mode = "add" if mode is None else mode
        self.changed.emit(self.tool)

    def next_tool(self) -> None:
        """Take the next kind of tool, round from the last to the first."""
        at = KINDS.index(self.kind) if self.kind else -1
        self.tool = KINDS[(at + 1) % len(KINDS)]

    def toggle_polarity(self) -> None:
        """Go on with prompts of the other polarity: with points, if the tool was for boxes."""
        self.polarity = NEGATIVE if self._prompts.polarity == POSITIVE else POSITIVE

    def close(self) -> None:
        """Disconnect from the viewer and the layers."""
        for event in self._events:
            event.disconnect(self._on_layers_changed)
        self._prompts.polarity_changed.disconnect(self._on_layers_changed)
        self._sizes.close()
        self._shift_click.close()

    def _on_layers_changed(self) -> None:
        self.changed.emit(self.tool)
