"""The door in for labels: a label of any Labels layer as a mask on the plane on screen."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.layers.axes import map_positions
from napari_sam2.session.masks import Box, PackedMask, parts_of
from napari_sam2.session.parts import LARGE_BOX
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
        If the label has no pixel there, or the labels are too large to look for it.
    """
    data = labels.data[0] if labels.multiscale else labels.data
    box = _box_on_plane(labels, data.shape, image, plane, shape)
    _check_size(labels, box)
    mask = np.zeros((max(box[2] - box[0], 0), max(box[3] - box[1], 0)), bool)
    for part in parts_of(box):
        y, x = part[0] - box[0], part[1] - box[1]
        height, width = part[2] - part[0], part[3] - part[1]
        _mark(
            mask[y : y + height, x : x + width], data, value, _positions(labels, image, plane, part)
        )
    if value == 0 or not mask.any():
        raise PromptError(
            f"Label {value} of {labels.name!r} must have pixels on the plane on screen, got none. "
            "Pick a label with napari's colour picker (L), or move the slider to it."
        )
    return PackedMask.of(mask, box[:2], shape)


def _mark(mask: NDArray[np.bool_], data: Any, value: int, positions: NDArray[np.float64]) -> None:
    """Set those pixels of a mask (h, w) whose positions (h, w, D) in the data have the value."""
    at = np.round(positions).astype(np.intp)
    inside = np.all((at >= 0) & (at < np.array(data.shape)), axis=-1)
    if inside.any():
        first, last = at[inside].min(axis=0), at[inside].max(axis=0)
        found = np.asarray(data[tuple(map(slice, first, last + 1))])  # no more of a lazy array
        mask[inside] = found[tuple((at[inside] - first).T)] == value


def _box_on_plane(
    labels: Labels,
    data_shape: tuple[int, ...],
    image: Image,
    plane: Plane,
    shape: tuple[int, int],
) -> Box:
    """Give the box of the plane outside of which the labels have no pixel."""
    ends = [(-0.5, size - 0.5) for size in data_shape]
    corners = map_positions(labels, image, np.array(list(product(*ends))))[:, list(plane.axes)]
    low = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0)) + 1, shape).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _check_size(labels: Labels, box: Box) -> None:
    height, width = box[2] - box[0], box[3] - box[1]
    if height * width > LARGE_BOX:
        raise PromptError(
            f"{labels.name!r} lies over {height} x {width} pixels of the image, too many to look "
            "for one label in. Crop the labels to a part of the image."
        )


def _positions(labels: Labels, image: Image, plane: Plane, box: Box) -> NDArray[np.float64]:
    """Give the position of each pixel of a box in the data of the labels, (h, w, D)."""
    corners = np.zeros((3, image.ndim))
    corners[:, list(plane.hidden_axes)] = plane.index
    corners[1, plane.axes[0]] = corners[2, plane.axes[1]] = 1
    origin, down, right = map_positions(image, labels, corners)  # all transforms are affine
    rows, columns = np.arange(box[0], box[2]), np.arange(box[1], box[3])
    positions: NDArray[np.float64] = (
        origin + rows[:, None, None] * (down - origin) + columns[None, :, None] * (right - origin)
    )
    return positions
