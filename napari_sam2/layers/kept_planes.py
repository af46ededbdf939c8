"""The planes of open images on which objects were kept, to be learnt from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_sam2.layers.create import find_layers
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.kept_document import known_document
from napari_sam2.session.document import Document
from napari_sam2.session.masks import Box
from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.planes import Plane
from napari_sam2.training.tuning import LabelledPlane

_MOST_PIXELS = 2**24  # of a plane that is learnt from as a whole
_SQUARE, _MARGIN = 2048, 256  # of parts of larger ones


def count_kept(viewer: ViewerModel) -> int:
    """Count the objects that were kept on the open images."""
    return sum(len(document.state.objects) for _, document in _annotated(viewer))


def kept_planes(viewer: ViewerModel) -> tuple[LabelledPlane, ...]:
    """Give every plane that has a kept object, with copies of its labels; of large ones, parts.

    What was painted by hand and is no object is left out, and so is an object on planes of another
    direction than those that it was marked on.
    """
    source = ImageSource(viewer)
    try:
        planes: list[LabelledPlane] = []
        for image, document in _annotated(viewer):
            source.select(image)
            for plane, records in _planes(document).items():
                whole = source.read_plane(plane)
                for region, ids in _regions(plane, whole.shape, records):
                    labels = _read(document, plane, region)
                    kept = np.where(np.isin(labels, ids), labels, 0)
                    if kept.any():
                        name = f"{len(planes)} {image.name} {plane.index}"
                        planes.append(LabelledPlane(name, whole, region, kept))
        return tuple(planes)
    finally:
        source.close()


def _annotated(viewer: ViewerModel) -> Iterator[tuple[Image, Document]]:
    for layer in list(viewer.layers):
        layers = find_layers(viewer, layer) if isinstance(layer, Image) else None
        document = None if layers is None else known_document(layers.objects)
        if document is not None:
            yield layer, document


def _planes(document: Document) -> dict[Plane, list[ObjectRecord]]:
    """List the objects by the planes that they were marked on."""
    found: dict[Plane, list[ObjectRecord]] = {}
    for record in document.state.objects.values():
        for plane in _planes_of(record, len(document.labels.shape)):
            found.setdefault(plane, []).append(record)
    return found


def _planes_of(record: ObjectRecord, ndim: int) -> list[Plane]:
    work = None if record.work is None else record.work.planes
    if work:
        return list(work)
    ranges = (range(*ends) for ends in zip(record.start[:-2], record.stop[:-2], strict=True))
    return [Plane((ndim - 2, ndim - 1), index) for index in product(*ranges)]


def _regions(
    plane: Plane, shape: tuple[int, int], records: Sequence[ObjectRecord]
) -> Iterator[tuple[Box, list[int]]]:
    """Give the plane, or of a large one the squares in which objects have their middle."""
    if shape[0] * shape[1] <= _MOST_PIXELS:
        yield (0, 0, *shape), [record.object_id for record in records]
        return
    squares: dict[tuple[int, int], list[int]] = {}
    for record in records:
        y, x = ((record.start[axis] + record.stop[axis]) // 2 // _SQUARE for axis in plane.axes)
        squares.setdefault((y, x), []).append(record.object_id)
    for (y, x), ids in squares.items():
        low, high = (y * _SQUARE, x * _SQUARE), ((y + 1) * _SQUARE, (x + 1) * _SQUARE)
        y0, x0 = (max(at - _MARGIN, 0) for at in low)
        y1, x1 = (min(at + _MARGIN, size) for at, size in zip(high, shape, strict=True))
        yield (y0, x0, y1, x1), ids


def _read(document: Document, plane: Plane, region: Box) -> NDArray[Any]:
    start, stop = [0] * len(document.labels.shape), [0] * len(document.labels.shape)
    for axis, at in zip(plane.hidden_axes, plane.index, strict=True):
        start[axis], stop[axis] = at, at + 1
    for axis, low, high in zip(plane.axes, region[:2], region[2:], strict=True):
        start[axis], stop[axis] = low, high
    box = np.asarray(document.labels.read(start, stop))
    return plane.as_displayed(box.squeeze(tuple(plane.hidden_axes)))
