"""Shows what the model sees, exactly over the part of the image that it sees."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_sam2.layers.axes import linear_matrix
from napari_sam2.layers.create import add_quietly, new_mark
from napari_sam2.session.masks import Box
from napari_sam2.session.planes import Plane
from napari_sam2.session.view import Look


class ModelInput:
    """A layer of ours that is there while it is shown.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    image : Image
        That the model sees. Is never changed.
    below : Layer
        Above all images, as the layer of objects is.
    """

    def __init__(self, viewer: ViewerModel, image: Image, below: Layer) -> None:
        self._layers, self._image, self._below = viewer.layers, image, below
        self._layer: Image | None = None

    @property
    def layer(self) -> Image | None:
        """The layer, while it is in the viewer."""
        return self._layer if self._layer in self._layers else None

    def show(self, look: Look, plane: Plane) -> None:
        """Show what the model sees of a plane, at its place and nowhere else."""
        picture = _on_plane(look.picture, plane)
        place = place_of(self._image, plane, look.region, look.picture.shape[0])
        layer = self.layer
        if layer is None:
            self._layer = layer = self._make(picture)
            self._lay(layer, place)
            is_there = self._below in self._layers
            at = self._layers.index(self._below if is_there else self._image)
            add_quietly(self._layers, at if is_there else at + 1, layer)
        else:
            self._lay(layer, place)
            layer.data = picture

    def is_lost(self, removed: Layer) -> bool:
        """Tell whether this was the layer, and somebody else has removed it."""
        return self._layer is not None and removed == self._layer

    def hide(self) -> None:
        """Remove the layer."""
        layer, self._layer = self.layer, None
        if layer is not None:
            self._layers.remove(layer)

    def _make(self, picture: NDArray[np.float32]) -> Image:
        return Image(
            picture,
            rgb=True,
            name=f"{self._image.name}: model input",
            contrast_limits=(0, 1),
            visible=False,
            metadata=new_mark(self._image, "model input"),
        )

    def _lay(self, layer: Image, place: NDArray[np.float64]) -> None:
        if not np.array_equal(layer.affine.affine_matrix, place):
            layer.affine = place
        if layer.units != self._image.units:
            layer.units = self._image.units
        if layer.axis_labels != self._image.axis_labels:
            layer.axis_labels = self._image.axis_labels


def place_of(image: Image, plane: Plane, region: Box, side: int) -> NDArray[np.float64]:
    """Give the affine matrix that lays a square picture onto a region of a plane of an image.

    Parameters
    ----------
    image : Image
    plane : Plane
        Of its data.
    region : (y0, x0, y1, x1)
        In pixels of the plane.
    side : int
        Of the picture, in its own pixels.

    Returns
    -------
    float64, shape (D + 1, D + 1)
        From pixels of the picture, with one pixel along each hidden axis, to the world.
    """
    scale, start = np.ones(image.ndim), np.zeros(image.ndim)
    start[list(plane.hidden_axes)] = plane.index
    for axis, low, high in zip(plane.axes, region[:2], region[2:], strict=True):
        scale[axis] = (high - low) / side
        start[axis] = low - 0.5 + scale[axis] / 2  # 0 is the middle of the first pixel of both
    matrix = np.eye(image.ndim + 1)
    matrix[:-1, :-1] = linear_matrix(image) * scale
    matrix[:-1, -1] = image.data_to_world(start)
    return matrix


def _on_plane(picture: NDArray[np.float32], plane: Plane) -> NDArray[np.float32]:
    """Give a picture (S, S, 3) the axes of the image: one pixel along the hidden ones."""
    return np.expand_dims(picture, plane.hidden_axes)
