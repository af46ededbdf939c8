"""The door in for labels: a label of any Labels layer as a mask on the plane on screen."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.layers.axes import map_positions
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.planes import Plane


def read_label(
    labels: Labels, value: int, image: Image, plane: Plane, shape: tuple[int, int]
) -> PackedMask:
    """Give a label where it lies on a plane of an image, whatever the two layers' transforms.

    Parameters
    ----------
    labels : Labels
        Any layer of the viewer; the finest level of a multiscale one.
    value : int
        The label.
    image : Image
        Whose plane it is.
    plane : Plane
        Of the image's data.
    shape : (H, W)
        Size of the plane.

    Raises
    ------
    PromptError
        If the label has no pixel there.
    """
    data = labels.data[0] if labels.multiscale else labels.data
    positions = _positions(labels, image, plane, shape)  # (H, W, D)
    at = np.round(positions).astype(np.intp)
    inside = np.all((at >= 0) & (at < np.array(data.shape)), axis=-1)
    mask = np.zeros(shape, bool)
    if inside.any():
        first, last = at[inside].min(axis=0), at[inside].max(axis=0)
        box = np.asarray(data[tuple(map(slice, first, last + 1))])  # no more of a lazy array
        mask[inside] = box[tuple((at[inside] - first).T)] == value
    if value == 0 or not mask.any():
        raise PromptError(
            f"Label {value} of {labels.name!r} must have pixels on the plane on screen, got none. "
            "Pick a label with napari's colour picker (L), or move the slider to it."
        )
    return PackedMask.of(mask)


def _positions(
    labels: Labels, image: Image, plane: Plane, shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Give the position of every pixel of the plane in the data of the labels, (H, W, D)."""
    corners = np.zeros((3, image.ndim))
    corners[:, list(plane.hidden_axes)] = plane.index
    corners[1, plane.axes[0]] = corners[2, plane.axes[1]] = 1
    origin, down, right = map_positions(image, labels, corners)  # all transforms are affine
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    positions: NDArray[np.float64] = (
        origin + rows[:, None, None] * (down - origin) + columns[None, :, None] * (right - origin)
    )
    return positions
