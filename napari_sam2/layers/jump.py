"""Brings an object into view."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Labels

from napari_sam2.errors import PromptError
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.planes import Plane


def look_at(viewer: ViewerModel, source: ImageSource, labels: Labels, record: ObjectRecord) -> None:
    """Move the sliders to the object's middle plane, and the camera to its middle.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    source : ImageSource
        Of the image that is annotated.
    labels : Labels
        Where the object is drawn.
    record : ObjectRecord
        Tells where it is.
    """
    middle = (np.array(record.start) + np.array(record.stop) - 1) / 2
    try:
        axes = source.plane.axes
    except PromptError:  # in 3-D, or beside the image
        axes = (labels.ndim - 2, labels.ndim - 1)
    hidden = [axis for axis in range(labels.ndim) if axis not in axes]
    source.show(Plane(axes, tuple(int(np.round(middle[axis])) for axis in hidden)))
    world = np.zeros(viewer.dims.ndim)
    world[-labels.ndim :] = labels.data_to_world(middle)
    camera = getattr(viewer, "scene", viewer).camera  # napari 0.9 has moved it
    camera.center = (0.0, *(float(world[axis]) for axis in viewer.dims.displayed))
    _zoom_out_to(camera, labels, record, axes)


def is_on(plane: Plane, record: ObjectRecord) -> bool:
    """Tell whether an object may have pixels on a plane."""
    return all(
        record.start[axis] <= at < record.stop[axis]
        for axis, at in zip(plane.hidden_axes, plane.index, strict=True)
    )


def _zoom_out_to(camera: Any, labels: Labels, record: ObjectRecord, axes: tuple[int, int]) -> None:
    """Make room for the object; a view that has it is left as it is."""
    corners = np.array([labels.data_to_world(at) for at in (record.start, record.stop)])
    extent = np.abs(corners[1] - corners[0])[list(axes)].max()
    canvas = 600  # pixels; napari tells the canvas's true size only to its window
    if extent * camera.zoom > canvas:
        camera.zoom = 0.6 * canvas / extent
