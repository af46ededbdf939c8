"""Which part of a plane is on screen."""

from __future__ import annotations

from itertools import product

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_sam2.layers.axes import to_data
from napari_sam2.session.boxes import clipped
from napari_sam2.session.masks import Box
from napari_sam2.session.planes import Plane


class VisiblePart:
    """Follows the camera.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.

    Attributes
    ----------
    moved : Signal
        The camera has moved; while the user drags, many times a second.
    """

    moved = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        scene = getattr(viewer, "scene", viewer)  # where the camera is since napari 0.9
        self._camera = scene.camera
        self._events = (self._camera.events.center, self._camera.events.zoom)
        for event in self._events:
            event.connect(self._on_camera_moved)

    def box_on(self, image: Image, plane: Plane) -> Box | None:
        """Give the box around what is on screen of a plane; None if nothing is.

        Of a rotated image it may hold pixels in its corners that are not on screen.
        """
        shape = plane.shape_of(image.level_shapes[0])
        if hasattr(self._viewer, "canvas"):
            box = self._within_canvas(image, plane)
        else:
            box = _within_corners(image, plane)
        return clipped(box, shape)

    def close(self) -> None:
        """Disconnect from the viewer."""
        for event in self._events:
            event.disconnect(self._on_camera_moved)

    def _within_canvas(self, image: Image, plane: Plane) -> Box:
        """Carry the corners of the canvas into the data."""
        dims, canvas = self._viewer.dims, self._viewer.canvas
        half = np.array(canvas.viewbox_size(self._viewer.layers)) / self._camera.zoom / 2
        corners = np.tile(np.array(dims.point, np.float64), (4, 1))  # (4, D)
        middle = np.array(self._camera.center[-2:])
        corners[:, list(dims.displayed)] = middle + half * list(product((-1, 1), repeat=2))
        positions = to_data(image, dims, corners)[:, list(plane.axes)]
        return _box_of(positions.min(axis=0) + 0.5, positions.max(axis=0) + 0.5)

    def _on_camera_moved(self) -> None:
        self.moved.emit()


def _within_corners(image: Image, plane: Plane) -> Box:
    """Take what napari has drawn last: before 0.9 it kept the canvas to itself."""
    axes = list(plane.axes)
    shapes = np.array(image.level_shapes)[:, axes]
    factors = shapes[0] / shapes[image.data_level]
    first, last = image.corner_pixels[:, axes]
    return _box_of(first * factors, (last + 1) * factors)


def _box_of(low: NDArray[np.float64], high: NDArray[np.float64]) -> Box:
    """Give the pixels that lie at least in part between two corners."""
    (y0, x0), (y1, x1) = np.floor(low), np.ceil(high)
    return int(y0), int(x0), int(y1), int(x1)
