"""A viewer with the panel at work, for pictures: of the demo, and of the documents."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_sam2._sample_data import LayerData
from napari_sam2.session.objects import RECTANGLE, PlacedPrompts

_PATIENCE = 120.0  # seconds that one answer may take before we give up
_DOCK_WIDTH = 300
_LIST_HEIGHT = 300
_WINDOW = (1400, 860)
_TOOLS = {"rectangle": "box", "path": "scribble"}  # the others have napari's names


class Stage:
    """A real viewer with the panel open on one picture, used as a user would.

    Parameters
    ----------
    sample : LayerData
        The picture, as napari takes sample data.
    folder : Path
        For settings and recovery files, in place of the user's own.
    model : str
        Name or path.
    theme : str
        "dark" or "light".
    window : (width, height)
        Size of the window in pixels.

    Attributes
    ----------
    viewer : napari.Viewer
    widget : SegmentWidget
    dock : QDockWidget
        Holds the widget.
    """

    def __init__(
        self,
        sample: LayerData,
        folder: Path,
        model: str = "micro",
        theme: str = "dark",
        window: tuple[int, int] = _WINDOW,
    ) -> None:
        use_private_folders(folder)
        import napari
        from napari.settings import get_settings

        from napari_sam2.layers.create import ensure_layers
        from napari_sam2.session.recovery import Recovery
        from napari_sam2.widget import SegmentWidget

        get_settings().appearance.theme = theme
        image, layer, _ = sample
        self.viewer = napari.Viewer(show=False)
        shown = self.viewer.add_image(image, **layer)
        self.widget = SegmentWidget(self.viewer, recovery=Recovery(folder / "recovery"))
        self.dock = self.viewer.window.add_dock_widget(self.widget, name="Segment with SAM 2")
        self.dock.setFixedWidth(_DOCK_WIDTH)
        self.widget.controller.model = model
        self.widget.panel.annotate.click()
        self._layers = ensure_layers(self.viewer, shown)
        self.viewer.window.show()
        self.viewer.window.resize(*window)  # after `show`, which brings back the last one's size

    def mark(self, prompts: PlacedPrompts) -> None:
        """Place prompts with the tools of the panel, and wait for the mask."""
        tools = self.widget.panel.prompts
        for shape in prompts.shapes:
            tools.tool_chosen.emit(_TOOLS.get(shape.kind, shape.kind))
            if shape.kind != RECTANGLE:
                tools.polarity_chosen.emit(shape.polarity)
            self._layers.shapes.add(np.array(shape.vertices), shape_type=shape.kind)
        for point in prompts.points:
            tools.tool_chosen.emit("points")
            tools.polarity_chosen.emit(point.polarity)
            self._layers.points.add(point.position)
        controller = self.widget.controller
        self.wait(lambda: bool(controller.can_commit and not controller.busy))

    def keep(self) -> None:
        """Keep the object at work, if it has a mask."""
        if self.widget.controller.can_commit:
            self.widget.controller.commit()

    def look_at(self, center: tuple[float, float], zoom: float) -> None:
        """Bring a position in pixels, (y, x), to the middle of the canvas."""
        camera = getattr(self.viewer, "scene", self.viewer).camera  # napari 0.9 has moved it
        camera.center, camera.zoom = center, zoom
        self.wait()

    def photograph(self) -> NDArray[np.uint8]:
        """Give a picture of the whole window, (H, W, 4), with all our layers in the list."""
        from qtpy.QtCore import Qt
        from qtpy.QtWidgets import QDockWidget

        window = self.dock.window()
        window.resizeDocks(
            [window.findChild(QDockWidget, "layer list")], [_LIST_HEIGHT], Qt.Orientation.Vertical
        )
        self.wait()
        picture: NDArray[np.uint8] = self.viewer.screenshot(canvas_only=False, flash=False)
        return picture

    def wait(self, condition: Callable[[], bool] = lambda: True) -> None:
        """Let Qt work until the condition holds, and what it caused has been drawn."""
        from qtpy.QtWidgets import QApplication

        deadline = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"The viewer gave no mask within {_PATIENCE:.0f} seconds.")
            QApplication.processEvents()
            time.sleep(0.01)
        for _ in range(20):
            QApplication.processEvents()
            time.sleep(0.01)


def use_private_folders(folder: Path) -> None:
    """Let settings, of napari's and of ours, and recovery files be looked for elsewhere.

    Parameters
    ----------
    folder : Path
        Where; before napari is imported, which looks once.
    """
    from qtpy.QtCore import QStandardPaths

    os.environ |= {
        "NAPARI_CONFIG": str(folder / "napari.yaml"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    if sys.platform in ("win32", "darwin"):  # Qt does not ask the environment there
        QStandardPaths.setTestModeEnabled(True)


def corners(y0: float, x0: float, y1: float, x1: float) -> tuple[tuple[float, float], ...]:
    """Give the corners of a box, in the order in which a rectangle is drawn."""
    return ((y0, x0), (y0, x1), (y1, x1), (y1, x0))
