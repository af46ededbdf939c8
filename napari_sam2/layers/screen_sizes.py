"""Points and edges that are as large on screen at any zoom: napari's grow with the image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer, Points, Shapes

_POINT, _EDGE = 22.0, 2.5  # pixels on screen
_TOLERANCE = 1.2  # they are drawn anew when they are off by more than this factor


class PixelSize:
    """Tells how large a pixel on screen is in the data of a layer, whenever that has changed much.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    layer : Layer
        In the viewer.
    tell : callable
        Gets the size: now, and again when it is off.
    """

    def __init__(self, viewer: ViewerModel, layer: Layer, tell: Callable[[float], None]) -> None:
        scene = getattr(viewer, "scene", viewer)  # where the camera is since napari 0.9
        self._camera, self._dims = scene.camera, viewer.dims
        self._layer, self._tell = layer, tell
        self._told = np.inf
        self._camera.events.zoom.connect(self._follow)
        self._follow()

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._camera.events.zoom.disconnect(self._follow)

    def _follow(self) -> None:
        size = 1 / (self._camera.zoom * self._world_per_step())
        if not 1 / _TOLERANCE <= size / self._told <= _TOLERANCE:
            self._told = size
            self._tell(size)

    def _world_per_step(self) -> float:
        """Give the length in the world of a step along the displayed axes of the data."""
        offset = self._dims.ndim - self._layer.ndim
        axes = [axis - offset for axis in self._dims.displayed if axis >= offset]
        origin = np.array(self._layer.data_to_world(np.zeros(self._layer.ndim)))
        steps = np.eye(self._layer.ndim)[axes]
        lengths = [np.linalg.norm(self._layer.data_to_world(step) - origin) for step in steps]
        return float(np.mean(lengths))


class ScreenSizes:
    """Keeps points and shapes as large on screen as they are.

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
        self._points, self._shapes = points, shapes
        self._pixel = PixelSize(viewer, shapes, self._resize)

    def close(self) -> None:
        """Disconnect from the viewer; the sizes stay."""
        self._pixel.close()

    def _resize(self, pixel: float) -> None:
        self._points.size = self._points.current_size = _POINT * pixel
        self._shapes.edge_width = self._shapes.current_edge_width = _EDGE * pixel
