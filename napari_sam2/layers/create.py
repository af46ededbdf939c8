"""The layers that we add: points, boxes and objects that lie exactly on an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_sam2.session.prompts import POSITIVE

POLARITY = "polarity"
_OURS = "napari_sam2"  # key in a layer's metadata, by which we know it whatever its name
_POINT_PIXELS = (16, 22)  # smallest and largest diameter on screen
_EDGE_FRACTION = 1 / 250  # width of a box's edge, in longest sides of the image


class OurLayers(NamedTuple):
    """What is annotated with and into, from the bottom to the top of the viewer."""

    objects: Labels
    boxes: Shapes
    points: Points


def create_points(image: Image) -> Points:
    """Make an empty layer for positive and negative points on `image`."""
    return Points(
        ndim=image.ndim,
        features={POLARITY: np.empty(0, int)},
        feature_defaults={POLARITY: POSITIVE},
        canvas_size_limits=_POINT_PIXELS,
        **_lying_on(image, "points"),
    )


def create_boxes(image: Image) -> Shapes:
    """Make an empty layer for boxes on `image`."""
    return Shapes(
        ndim=image.ndim,
        opacity=1,
        face_color="transparent",
        edge_color="#ffc02e",
        edge_width=max(1.0, max(_shape(image)) * _EDGE_FRACTION),
        **_lying_on(image, "boxes"),
    )


def create_objects(image: Image) -> Labels:
    """Make an empty layer for the masks of objects in `image`."""
    return Labels(np.zeros(_shape(image), np.int32), opacity=0.5, **_lying_on(image, "objects"))


def find_layers(viewer: ViewerModel, image: Image) -> OurLayers | None:
    """Give the layers that were made for an image, if all are in the viewer and still fit it."""
    found = [_find(viewer, image, kind) for kind in _CREATE]
    return None if any(layer is None for layer in found) else OurLayers(*found)


def ensure_layers(viewer: ViewerModel, image: Image) -> OurLayers:
    """Give the layers for an image; those that are not in the viewer are made and added."""
    return OurLayers(
        *(
            _find(viewer, image, kind) or viewer.add_layer(create(image))
            for kind, create in _CREATE.items()
        )
    )


def _find(viewer: ViewerModel, image: Image, kind: type[Layer]) -> Layer | None:
    return next((layer for layer in viewer.layers if _is_ours(layer, image, kind)), None)


def _is_ours(layer: Layer, image: Image, kind: type[Layer]) -> bool:
    if not isinstance(layer, kind) or layer.metadata.get(_OURS) != str(image.unique_id):
        return False
    if isinstance(layer, Labels):
        return bool(layer.data.shape == _shape(image))
    return bool(layer.ndim == image.ndim)


def _shape(image: Image) -> tuple[int, ...]:
    """Give the image's shape without colours."""
    return tuple(int(size) for size in image.data.shape[: image.ndim])


def _lying_on(image: Image, content: str) -> dict[str, Any]:
    """Give the arguments that place a new layer exactly on an image."""
    return {
        "name": f"{image.name}: {content}",
        "metadata": {_OURS: str(image.unique_id)},
        "scale": image.scale,
        "translate": image.translate,
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
        "axis_labels": image.axis_labels,
    }


_CREATE: dict[type[Layer], Callable[[Image], Layer]] = {
    Labels: create_objects,
    Shapes: create_boxes,
    Points: create_points,
}
