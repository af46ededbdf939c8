"""Edges of shapes that are as thin on screen, whatever the zoom: napari's grow with the image."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Shapes

_PIXELS = 2.5  # on screen
_TOLERANCE = 1.25  # edges are drawn anew when they are off by more than this factor


class EdgeWidth:
    """Follows the zoom, as long as the user sets no width of his own.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    shapes : Shapes
        In the viewer.
    """

    def __init__(self, viewer: ViewerModel, shapes: Shapes) -> None:
        scene = getattr(viewer, "scene", viewer)  # where the camera is since napari 0.9
        self._camera, self._dims, self._shapes = scene.camera, viewer.dims, shapes
        self._width = 0.0
        self._camera.events.zoom.connect(self._follow)
        self._follow()

    def close(self) -> None:
        """Disconnect from the viewer; the width stays."""
        self._camera.events.zoom.disconnect(self._follow)

    def _follow(self) -> None:
        width = _PIXELS / (self._camera.zoom * self._world_per_step())
        if not 1 / _TOLERANCE <= width / (self._width or np.inf) <= _TOLERANCE:
            self._width = width
            self._shapes.edge_width = width
            self._shapes.current_edge_width = width

    def _world_per_step(self) -> float:
        """Give the length in the world of a step along the displayed axes of the data."""
        offset = self._dims.ndim - self._shapes.ndim
        axes = [axis - offset for axis in self._dims.displayed if axis >= offset]
        origin = np.array(self._shapes.data_to_world(np.zeros(self._shapes.ndim)))
        steps = np.eye(self._shapes.ndim)[axes]
        lengths = [np.linalg.norm(self._shapes.data_to_world(step) - origin) for step in steps]
        return float(np.mean(lengths))
