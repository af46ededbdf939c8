"""The layers that we add: points, shapes, the mask at work and objects, exactly on an image."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_sam2.layers.label_data import new_labels, new_mask, shape_of
from napari_sam2.session.prompts import POSITIVE

POLARITY = "polarity"
_OURS = "napari_sam2"  # key in a layer's metadata, by which we know it whatever its name
_NEW = "is_new"
_POINT_FRACTION = 1 / 30  # diameter of a point, in longest sides of the image; see `ScreenSizes`
_EDGE_FRACTION = 1 / 250  # width of a shape's edge, in the same
_BORDER = 0.07  # width of a point's border, in its diameters


class OurLayers(NamedTuple):
    """What is annotated with and into, from the bottom to the top of the viewer."""

    objects: Labels
    mask: Labels
    shapes: Shapes
    points: Points


def create_points(image: Image) -> Points:
    """Make an empty layer for positive and negative points on `image`."""
    return Points(
        ndim=image.ndim,
        features={POLARITY: np.empty(0, int)},
        feature_defaults={POLARITY: POSITIVE},
        size=max(1.0, max(shape_of(image)) * _POINT_FRACTION),
        border_color="black",  # on bright objects as well
        border_width=_BORDER,
        **_lying_on(image, "points"),
    )


def create_shapes(image: Image) -> Shapes:
    """Make an empty layer for boxes, outlines and scribbles on `image`."""
    return Shapes(
        ndim=image.ndim,
        features={POLARITY: np.empty(0, int)},
        feature_defaults={POLARITY: POSITIVE},
        opacity=1,
        face_color="transparent",
        edge_width=max(1.0, max(shape_of(image)) * _EDGE_FRACTION),
        **_lying_on(image, "shapes"),
    )


def create_mask(image: Image) -> Labels:
    """Make an empty layer for the mask of the object at work, before it is one of the objects."""
    return Labels(new_mask(image), opacity=0.7, **_lying_on(image, "mask"))


def create_objects(image: Image, folder: str = "") -> Labels:
    """Make an empty layer for the objects in `image` that are kept; see `new_labels`."""
    return Labels(new_labels(image, folder), opacity=0.5, **_lying_on(image, "objects"))


def find_layers(viewer: ViewerModel, image: Image) -> OurLayers | None:
    """Give the layers that were made for an image, if all are in the viewer and still fit it."""
    found = [_find(viewer, image, content) for content in OurLayers._fields]
    return None if any(layer is None for layer in found) else OurLayers(*found)


def ensure_layers(viewer: ViewerModel, image: Image, folder: str = "") -> OurLayers:
    """Give the layers for an image; those that are not in the viewer are made and added.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    image : Image
        That they lie on.
    folder : str
        Where large labels are written and stay; empty for a temporary folder.

    Raises
    ------
    Sam2Error
        If large labels cannot be written.
    """
    create = _CREATE | {"objects": partial(create_objects, folder=folder)}
    found: list[Layer] = []
    for content in reversed(OurLayers._fields):
        layer = _find(viewer, image, content)
        if layer is None:
            layer = create[content](image)
            layer.metadata[_OURS]["layer"] = str(layer.unique_id)
            at = viewer.layers.index(found[-1]) if found else len(viewer.layers)
            viewer.layers.insert(at, layer)  # below the one that belongs on top of it
        found.append(layer)
    return OurLayers(*reversed(found))


def no_longer_new(layer: Layer) -> bool:
    """Tell once whether a layer has just been made, and is empty without a look at its data."""
    return bool(layer.metadata[_OURS].pop(_NEW, False))


def _find(viewer: ViewerModel, image: Image, content: str) -> Layer | None:
    """Find by the image's own mark; else take what was made for an image of its name, now gone."""
    fitting = [layer for layer in viewer.layers if _fits(layer, image, content)]
    fitting.sort(key=_is_copy)
    ids = {str(layer.unique_id) for layer in viewer.layers}
    for layer in fitting:
        if layer.metadata[_OURS]["image"] == str(image.unique_id):
            return layer
    for layer in fitting:  # both were saved and opened again
        mark = layer.metadata[_OURS]
        if mark["name"] == image.name and mark["image"] not in ids:
            mark["image"] = str(image.unique_id)
            return layer
    return None


def _is_copy(layer: Layer) -> bool:
    """Tell whether a layer has its mark from another one, which may be gone."""
    return bool(layer.metadata[_OURS].get("layer") != str(layer.unique_id))


def _fits(layer: Layer, image: Image, content: str) -> bool:
    mark = layer.metadata.get(_OURS)
    if not isinstance(layer, _KINDS[content]) or not isinstance(mark, dict):
        return False
    if {"image", "name", "content"} - set(mark) or mark["content"] != content:
        return False
    if isinstance(layer, Labels):
        return bool(tuple(layer.data.shape) == shape_of(image))
    return bool(layer.ndim == image.ndim)


def _lying_on(image: Image, content: str) -> dict[str, Any]:
    """Give the arguments that place a new layer exactly on an image, and mark it as ours."""
    mark = {"image": str(image.unique_id), "name": image.name, "content": content, _NEW: True}
    return {
        "name": f"{image.name}: {content}",
        "metadata": {_OURS: mark},
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
    }


_CREATE: dict[str, Callable[[Image], Layer]] = {
    "mask": create_mask,
    "shapes": create_shapes,
    "points": create_points,
}
_KINDS: dict[str, type[Layer]] = {
    "objects": Labels,
    "mask": Labels,
    "shapes": Shapes,
    "points": Points,
}
