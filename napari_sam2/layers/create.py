"""The layers that we add: points, shapes, the mask at work and objects, exactly on an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_sam2.session.prompts import POSITIVE

POLARITY = "polarity"
_OURS = "napari_sam2"  # key in a layer's metadata, by which we know it whatever its name
_NEW = "is_new"
_POINT_FRACTION = 1 / 30  # diameter of a point, in longest sides of the image; see `ScreenSizes`
_EDGE_FRACTION = 1 / 250  # width of a shape's edge, in the same
_FRAME_COLOR = "#f0b000"  # on bright and on dark pictures
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
        size=max(1.0, max(_shape(image)) * _POINT_FRACTION),
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
        edge_width=max(1.0, max(_shape(image)) * _EDGE_FRACTION),
        **_lying_on(image, "shapes"),
    )


def create_mask(image: Image) -> Labels:
    """Make an empty layer for the mask of the object at work, before it is one of the objects."""
    return Labels(np.zeros(_shape(image), np.int32), opacity=0.7, **_lying_on(image, "mask"))


def create_objects(image: Image) -> Labels:
    """Make an empty layer for the objects in `image` that are kept."""
    return Labels(np.zeros(_shape(image), np.int32), opacity=0.5, **_lying_on(image, "objects"))


def create_frame(image: Image) -> Shapes:
    """Make an empty layer for a frame on `image`."""
    return Shapes(
        ndim=image.ndim,
        opacity=0.8,
        face_color="transparent",
        edge_color=_FRAME_COLOR,
        **_lying_on(image, "region"),
    )


def find_layers(viewer: ViewerModel, image: Image) -> OurLayers | None:
    """Give the layers that were made for an image, if all are in the viewer and still fit it."""
    found = [_find(viewer, image, content) for content in OurLayers._fields]
    return None if any(layer is None for layer in found) else OurLayers(*found)


def ensure_layers(viewer: ViewerModel, image: Image) -> OurLayers:
    """Give the layers for an image; those that are not in the viewer are made and added."""
    found: list[Layer] = []
    for content in reversed(OurLayers._fields):
        layer = _find(viewer, image, content)
        if layer is None:
            layer = _CREATE[content](image)
            layer.metadata[_OURS]["layer"] = str(layer.unique_id)
            at = viewer.layers.index(found[-1]) if found else len(viewer.layers)
            viewer.layers.insert(at, layer)  # below the one that belongs on top of it
        found.append(layer)
    return OurLayers(*reversed(found))


def ensure_frame(viewer: ViewerModel, image: Image, below: Layer) -> Shapes:
    """Give the layer that frames what the model sees; one that is made is not selected."""
    layer = _find(viewer, image, "region")
    if layer is None:
        layer = create_frame(image)
        selected, active = list(viewer.layers.selection), viewer.layers.selection.active
        viewer.layers.insert(viewer.layers.index(below), layer)
        viewer.layers.selection.clear()
        viewer.layers.selection.update(selected)
        if active is not None:
            viewer.layers.selection.active = active
    return layer


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
        return bool(layer.data.shape == _shape(image))
    return bool(layer.ndim == image.ndim)


def _shape(image: Image) -> tuple[int, ...]:
    """Give the image's shape without colours."""
    return tuple(int(size) for size in image.data.shape[: image.ndim])


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
    "objects": create_objects,
    "mask": create_mask,
    "shapes": create_shapes,
    "points": create_points,
}
_KINDS: dict[str, type[Layer]] = {
    "objects": Labels,
    "mask": Labels,
    "shapes": Shapes,
    "points": Points,
    "region": Shapes,
}
