"""The layers that we add: points, shapes, the mask at work and objects, exactly on an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from napari.components import LayerList, ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_sam2.layers.label_data import new_labels, new_mask, shape_of
from napari_sam2.layers.place import lay_on
from napari_sam2.session.prompts import POSITIVE

POLARITY = "polarity"
_DRAWN = ("region", "tracks")
_OURS = "napari_sam2"  # key in a layer's metadata, by which we know it whatever its name
_NEW = "is_new"
_POINT_FRACTION = 1 / 30  # diameter of a point, in longest sides of the image; see `ScreenSizes`
_EDGE_FRACTION = 1 / 250  # width of a shape's edge, in the same
_FRAME_COLOR = "#f0b000"  # on bright and on dark pictures
_BORDER = 0.07  # width of a point's border, in its diameters


_Layer = TypeVar("_Layer", bound=Layer)


class OurLayers(NamedTuple):
    """What is annotated with and into, from the bottom to the top of the viewer."""

    objects: Labels
    mask: Labels
    shapes: Shapes
    points: Points


def create_points(image: Image, *, visible: bool = True) -> Points:
    """Make an empty layer for positive and negative points on `image`."""
    points = Points(
        ndim=image.ndim,
        features={POLARITY: np.empty(0, int)},
        feature_defaults={POLARITY: POSITIVE},
        size=max(1.0, max(shape_of(image)) * _POINT_FRACTION),
        border_color="black",  # on bright objects as well
        border_width=_BORDER,
        **_ours(image, "points"),
    )
    return _laid_on(image, points, visible=visible)


def create_shapes(image: Image, *, visible: bool = True) -> Shapes:
    """Make an empty layer for boxes, outlines and scribbles on `image`."""
    shapes = Shapes(
        ndim=image.ndim,
        features={POLARITY: np.empty(0, int)},
        feature_defaults={POLARITY: POSITIVE},
        opacity=1,
        face_color="transparent",
        edge_width=max(1.0, max(shape_of(image)) * _EDGE_FRACTION),
        **_ours(image, "shapes"),
    )
    return _laid_on(image, shapes, visible=visible)


def create_mask(image: Image, *, visible: bool = True) -> Labels:
    """Make an empty layer for the mask of the object at work, before it is one of the objects."""
    mask = Labels(new_mask(image), opacity=0.7, **_ours(image, "mask"))
    return _laid_on(image, mask, visible=visible)


def create_objects(image: Image, folder: str = "", *, visible: bool = True) -> Labels:
    """Make an empty layer for the objects in `image` that are kept; see `new_labels`."""
    objects = Labels(new_labels(image, folder), opacity=0.5, **_ours(image, "objects"))
    return _laid_on(image, objects, visible=visible)


def create_frame(image: Image, *, visible: bool = True) -> Shapes:
    """Make an empty layer for a frame on `image`."""
    frame = Shapes(
        ndim=image.ndim,
        opacity=0.8,
        face_color="transparent",
        edge_color=_FRAME_COLOR,
        **_ours(image, "region"),
    )
    return _laid_on(image, frame, visible=visible)


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
            layer = create[content](image, visible=False)
            layer.metadata[_OURS]["layer"] = str(layer.unique_id)
            at = viewer.layers.index(found[-1]) if found else len(viewer.layers)
            viewer.layers.insert(at, layer)  # below the one that belongs on top of it
            layer.visible = True
        found.append(layer)
    return OurLayers(*reversed(found))


def new_mark(image: Image, content: str) -> dict[str, Any]:
    """Give the metadata by which we know a layer that was made for an image."""
    return {_OURS: {"image": str(image.unique_id), "name": image.name, "content": content}}


def read_note(layer: Layer, name: str) -> Mapping[str, Any]:
    """Give what `write_note` has kept; empty if there is nothing."""
    note = layer.metadata.get(_OURS, {}).get(name, {})
    return note if isinstance(note, Mapping) else {}


def write_note(layer: Layer, name: str, note: Mapping[str, Any]) -> None:
    """Keep something about an image, in words of JSON, with a layer that was made for it."""
    if isinstance(layer.metadata.get(_OURS), dict):
        layer.metadata[_OURS][name] = dict(note)


def is_ours(layer: Layer) -> bool:
    """Tell whether a layer was made by us, and is nothing to annotate."""
    return isinstance(layer.metadata.get(_OURS), dict)


def add_quietly(layers: LayerList, at: int, layer: Layer) -> None:
    """Insert a layer that was made hidden, and leave selected what is selected."""
    selected, active = list(layers.selection), layers.selection.active
    layers.insert(at, layer)
    layers.selection.clear()
    layers.selection.update(selected)
    if active is not None:
        layers.selection.active = active
    layer.visible = True


def ensure_frame(viewer: ViewerModel, image: Image, below: Layer) -> Shapes:
    """Give the layer that frames what the model sees; one that is made is not selected."""
    layer = _find(viewer, image, "region")
    if layer is None:
        layer = create_frame(image, visible=False)
        add_quietly(viewer.layers, viewer.layers.index(below), layer)
    return layer


def no_longer_new(layer: Layer) -> bool:
    """Tell once whether a layer has just been made, and is empty without a look at its data."""
    return bool(layer.metadata[_OURS].pop(_NEW, False))


def drawn_on(layers: Iterable[Layer], image: Image) -> list[Layer]:
    """Find those layers that are only drawn on an image, and that nobody edits: frame, tracks."""
    marked = [layer for layer in layers if isinstance(layer.metadata.get(_OURS), dict)]
    return [
        layer
        for layer in marked
        if layer.metadata[_OURS].get("image") == str(image.unique_id)
        and layer.metadata[_OURS].get("content") in _DRAWN
    ]


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


def _laid_on(image: Image, layer: _Layer, *, visible: bool) -> _Layer:
    """Place a new layer.

    It better stays hidden until the viewer has told it what is on screen: napari would first draw
    it along its last two axes, and warn if it is turned along others.
    """
    lay_on(layer, image)
    layer.visible = visible
    return layer


def _ours(image: Image, content: str) -> dict[str, Any]:
    """Give the arguments that name a new layer, hidden, and mark it as ours."""
    metadata = new_mark(image, content)
    metadata[_OURS][_NEW] = True
    return {"name": f"{image.name}: {content}", "metadata": metadata, "visible": False}


_CREATE: dict[str, Callable[..., Layer]] = {
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
