"""Points and edges that are as large on screen at any zoom: napari's grow with the image."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points, Shapes

_POINT, _EDGE = 22.0, 2.5  # pixels on screen
_TOLERANCE = 1.2  # they are drawn anew when they are off by more than this factor


class ScreenSizes:
    """Follows the zoom of the viewer.

    napari's own limits for the size of points widen the border of those that it resizes, until a
    plus is a blot.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    points : Points
    shapes : Shapes
        In the viewer.
    """

    def __init__(self, viewer: ViewerModel, points: Points, shapes: Shapes) -> None:
        scene = getattr(viewer, "scene", viewer)  # where the camera is since napari 0.9
        self._camera, self._dims = scene.camera, viewer.dims
        self._points, self._shapes = points, shapes
        self._seen = 0.0
        self._camera.events.zoom.connect(self._follow)
        self._follow()

    def close(self) -> None:
        """Disconnect from the viewer; the sizes stay."""
        self._camera.events.zoom.disconnect(self._follow)

    def _follow(self) -> None:
        pixels_per_step = self._camera.zoom * self._world_per_step()
        if 1 / _TOLERANCE <= pixels_per_step / (self._seen or np.inf) <= _TOLERANCE:
            return
        self._seen = pixels_per_step
        self._points.size = self._points.current_size = _POINT / pixels_per_step
        self._shapes.edge_width = self._shapes.current_edge_width = _EDGE / pixels_per_step

    def _world_per_step(self) -> float:
        """Give the length in the world of a step along the displayed axes of the data."""
        offset = self._dims.ndim - self._shapes.ndim
        axes = [axis - offset for axis in self._dims.displayed if axis >= offset]
        origin = np.array(self._shapes.data_to_world(np.zeros(self._shapes.ndim)))
        steps = np.eye(self._shapes.ndim)[axes]
        lengths = [np.linalg.norm(self._shapes.data_to_world(step) - origin) for step in steps]
        return float(np.mean(lengths))
