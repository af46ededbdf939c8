"""Where things are: between the data of layers, the world and the plane on screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.components import Dims
from napari.layers import Layer
from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.planes import Plane

_FEW = 12  # positions; napari takes 15 microseconds for each
_SAME_PIXEL = 0.25  # pixels that two layers of one picture may be apart
_OBLIQUE = 1e-6  # a plane's tilt below this, in voxels per voxel, is rounding


def displayed_plane(layer: Layer, dims: Dims) -> Plane:
    """Give the plane of an image's data that is on screen, its axes in the order of the data.

    Raises
    ------
    PromptError
        If the view is 3-D, or what it shows is not one whole plane of the data.
    """
    if dims.ndisplay != 2:
        raise PromptError("Prompts need the 2-D view, got the 3-D view. Press Ctrl+Y to go back.")
    offset = dims.ndim - layer.ndim  # layers share the last axes of the world
    # Seen with rows and columns exchanged, it is the same plane, and is asked about once.
    rows, columns = sorted(axis - offset for axis in dims.displayed)
    if rows < 0:
        raise PromptError(
            f"Two axes of {layer.name!r} must be on screen, got one that it does not have. "
            "Roll the axes (Ctrl+E) until you see it."
        )
    plane = Plane((rows, columns), (0,) * (layer.ndim - 2))
    _check_not_oblique(layer, plane)
    return Plane(plane.axes, _index_at(layer, plane, dims))


def world_of_plane(layer: Layer, plane: Plane, dims: Dims) -> dict[int, float]:
    """Give where the sliders must stand for a plane of a layer to be on screen: by world axis."""
    position = np.zeros(layer.ndim)
    position[list(plane.hidden_axes)] = plane.index
    rescale = _units_ratio(layer.units, getattr(dims, "units", None) or layer.units)
    world = np.array(_scaled(layer.data_to_world(position), rescale), np.float64)
    offset = dims.ndim - layer.ndim
    return {axis + offset: float(world[axis]) for axis in plane.hidden_axes}


def plane_below(image: Layer, plane: Plane, other: Layer) -> Plane:
    """Give the plane of another layer whose pixels lie exactly under those of an image's plane.

    Raises
    ------
    PromptError
        If there is none.
    """
    offset = image.ndim - other.ndim  # layers share the last axes of the world
    rows, columns = (axis - offset for axis in plane.axes)
    if offset >= 0 and rows >= 0:
        height, width = plane.shape_of(image.data.shape)
        yx = np.array([(0, 0), (height - 1, 0), (0, width - 1)])
        corners = np.zeros((3, image.ndim))
        corners[:, list(plane.hidden_axes)] = plane.index
        corners[:, list(plane.axes)] = yx
        at = map_positions(image, other, corners)  # (3, D)
        hidden = [axis for axis in range(other.ndim) if axis not in (rows, columns)]
        found = Plane((rows, columns), tuple(int(value) for value in np.round(at[0, hidden])))
        is_inside = all(
            0 <= value < other.data.shape[axis]
            for axis, value in zip(hidden, found.index, strict=True)
        )
        is_same = np.abs(at[:, [rows, columns]] - yx).max() <= _SAME_PIXEL
        is_same_size = found.shape_of(other.data.shape) == (height, width)
        if is_inside and is_same and is_same_size and found.holds(at).all():
            return found
    raise PromptError(
        f"Layers that are put together must have the same pixels in the same place, but those of "
        f"{other.name!r} are not below those of {image.name!r}. Resample it, or leave it out."
    )


def to_data(layer: Layer, dims: Dims, world: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry positions (N, D) of the viewer's world into a layer's data: (N, D')."""
    # Before 0.9, napari knew no units of the world.
    rescale = _units_ratio(getattr(dims, "units", None), layer.units)
    return np.array([layer.world_to_data(_scaled(position, rescale)) for position in world])


def map_positions(source: Layer, target: Layer, positions: ArrayLike) -> NDArray[np.float64]:
    """Carry positions from one layer's data over the world into another's: (N, D) to (N, D')."""
    rescale = _units_ratio(source.units, target.units)

    def carry(positions: NDArray[np.float64]) -> NDArray[np.float64]:
        mapped = [
            target.world_to_data(_scaled(source.data_to_world(position), rescale))
            for position in positions
        ]
        return np.array(mapped, np.float64).reshape(-1, target.ndim)

    positions = np.asarray(positions, np.float64)
    if len(positions) <= _FEW:
        return carry(positions)
    origin = carry(np.zeros((1, source.ndim)))  # the way is affine: its matrix saves time
    mapped: NDArray[np.float64] = positions @ (carry(np.eye(source.ndim)) - origin) + origin
    return mapped


def _index_at(layer: Layer, plane: Plane, dims: Dims) -> tuple[int, ...]:
    (position,) = to_data(layer, dims, np.array([dims.point]))
    index = tuple(int(np.round(position[axis])) for axis in plane.hidden_axes)
    for axis, value in zip(plane.hidden_axes, index, strict=True):
        if not 0 <= value < layer.data.shape[axis]:
            raise PromptError(
                f"The plane on screen must be one of the {layer.data.shape[axis]} planes of "
                f"{layer.name!r}, got number {value}. Move the slider until you see the image."
            )
    return index


def _check_not_oblique(layer: Layer, plane: Plane) -> None:
    linear = linear_matrix(layer)
    shown, hidden = list(plane.axes), list(plane.hidden_axes)
    mixed = np.abs([*linear[np.ix_(shown, hidden)].flat, *linear[np.ix_(hidden, shown)].flat])
    if mixed.size and mixed.max() > _OBLIQUE * np.abs(linear).max():
        raise PromptError(
            f"The plane on screen must be a plane of the data of {layer.name!r}, but the layer is "
            "rotated or sheared out of it. Resample the image, or look along another axis."
        )


def linear_matrix(layer: Layer) -> NDArray[np.float64]:
    """Give the data-to-world matrix (D, D) without its translation, by sending unit steps."""
    origin = np.array(layer.data_to_world(np.zeros(layer.ndim)))
    steps = [np.array(layer.data_to_world(step)) - origin for step in np.eye(layer.ndim)]
    return np.stack(steps, axis=1)


def _units_ratio(source: Sequence[Any] | None, target: Sequence[Any]) -> NDArray[np.float64] | None:
    """Give what world coordinates in `source` units are multiplied by to be in `target` units."""
    if source is None or tuple(source[-len(target) :]) == tuple(target[-len(source) :]):
        return None
    pairs = zip(source[::-1], target[::-1], strict=False)
    # Where there is no ratio, as between pixels and micrometres, napari takes numbers as they are.
    ratios = [(1 * a).to(b).magnitude if a.is_compatible_with(b) else 1 for a, b in pairs]
    return np.array(ratios, np.float64)[::-1]


def _scaled(
    position: Sequence[float] | NDArray[np.float64], ratio: NDArray[np.float64] | None
) -> Sequence[float] | NDArray[np.float64]:
    if ratio is None:
        return position
    scaled = np.array(position, np.float64)
    scaled[-len(ratio) :] *= ratio[-len(scaled) :]
    return scaled
