"""The planes of open images on which objects were kept, to be learnt from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_sam2.layers.create import find_layers
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.kept_document import known_document
from napari_sam2.session.objects import ObjectRecord, State
from napari_sam2.session.planes import Plane
from napari_sam2.training.tuning import LabelledPlane


def count_kept(viewer: ViewerModel) -> int:
    """Count the objects that were kept on the open images."""
    return sum(len(state.objects) for _, _, state in _annotated(viewer))


def kept_planes(viewer: ViewerModel) -> tuple[LabelledPlane, ...]:
    """Give every plane that has a kept object, with copies of its labels.

    What was painted by hand and is no object is left out, and so is an object on planes of another
    direction than those that it was marked on.
    """
    source = ImageSource(viewer)
    try:
        planes = []
        for image, objects, state in _annotated(viewer):
            source.select(image)
            for plane, ids in _planes(state, objects.ndim).items():
                labels = plane.as_displayed(np.asarray(objects.data[plane.key]))
                kept = np.where(np.isin(labels, sorted(ids)), labels, 0)
                if kept.any():
                    name = f"{image.name} {plane.axes} {plane.index}"
                    planes.append(LabelledPlane(name, source.read_plane(plane), kept))
        return _named_apart(planes)
    finally:
        source.close()


def _annotated(viewer: ViewerModel) -> Iterator[tuple[Image, Labels, State]]:
    for layer in list(viewer.layers):
        layers = find_layers(viewer, layer) if isinstance(layer, Image) else None
        document = None if layers is None else known_document(layers.objects)
        if layers is not None and document is not None:
            yield layer, layers.objects, document.state


def _planes(state: State, ndim: int) -> dict[Plane, set[int]]:
    """List the objects by the planes that they were marked on."""
    found: dict[Plane, set[int]] = {}
    for record in state.objects.values():
        for plane in _planes_of(record, ndim):
            found.setdefault(plane, set()).add(record.object_id)
    return found


def _planes_of(record: ObjectRecord, ndim: int) -> list[Plane]:
    work = None if record.work is None else record.work.planes
    if work:
        return list(work)
    ranges = (range(*ends) for ends in zip(record.start[:-2], record.stop[:-2], strict=True))
    return [Plane((ndim - 2, ndim - 1), index) for index in product(*ranges)]


def _named_apart(planes: list[LabelledPlane]) -> tuple[LabelledPlane, ...]:
    return tuple(
        LabelledPlane(f"{number} {plane.name}", plane.image, plane.labels)
        for number, plane in enumerate(planes)
    )
