"""From the layers of an image to what is saved of them, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_sam2.errors import ProjectError
from napari_sam2.layers.create import read_note
from napari_sam2.layers.image_source import finest_level
from napari_sam2.layers.mask_writer import LabelLayer
from napari_sam2.session.document import Document
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.identity import ImageIdentity, fingerprint
from napari_sam2.session.labels import LabelStore
from napari_sam2.session.methods_view import MODEL_VIEW
from napari_sam2.session.objects import State
from napari_sam2.session.snapshot import Snapshot

BlockIndex = tuple[int, ...]
COPIED_BYTES = 256 * 2**20  # of labels; beyond, they are read while they are written


def fingerprint_of(image: Image) -> Callable[[], str]:
    """Give what computes an image's fingerprint, on whichever thread it is called."""
    data = finest_level(image)
    return partial(fingerprint, data.__getitem__, data.shape, data.dtype)


def identity_of(image: Image, known_as: str = "") -> ImageIdentity:
    """Tell by what an image is known; `known_as` is its fingerprint, once that is there."""
    data = finest_level(image)
    path = image.source.path
    return ImageIdentity(
        image.name,
        tuple(int(size) for size in data.shape),
        np.dtype(data.dtype).name,
        None if path is None else str(path),
        known_as,
    )


def settings_of(image: Image, objects: Layer | None = None) -> dict[str, Any]:
    """Give how an image was shown, and so what the model saw, in words of JSON.

    Parameters
    ----------
    image : Image
    objects : Layer, optional
        Ours for that image: with it is kept what was chosen for the model.
    """
    limits = [float(value) for value in image.contrast_limits]
    found = {"contrast_limits": limits, "gamma": float(image.gamma), **placing_of(image)}
    view = {} if objects is None else read_note(objects, MODEL_VIEW)
    return {**found, MODEL_VIEW: dict(view)} if view else found


def placing_of(layer: Layer) -> dict[str, Any]:
    """Give where a layer lies in the world, in words of JSON."""
    return {
        "scale": [float(value) for value in layer.scale],
        "translate": [float(value) for value in layer.translate],
        "units": [str(unit) for unit in layer.units],
        "axis_labels": [str(name) for name in layer.axis_labels],
    }


def name_of(document: Document) -> str:
    """Give a name that no other document has, as long as its layer lives; empty without one."""
    labels = document.labels
    return str(labels.layer.unique_id) if isinstance(labels, LabelLayer) else ""


def take_snapshot(
    document: Document, image: Image, known_as: str, blocks: Iterable[BlockIndex] | None = None
) -> Snapshot:
    """Give what is to be saved; the planes are copies, unless there are very many.

    Parameters
    ----------
    document : Document
        What was annotated.
    image : Image
        What it was annotated on.
    known_as : str
        The image's fingerprint.
    blocks : iterable of index, optional
        The planes to save; by default all that may hold a label.
    """
    indices = list(occupied_blocks(document.state) if blocks is None else blocks)
    height, width = document.labels.shape[-2:]
    copies = len(indices) * height * width * 8 < COPIED_BYTES
    planes = {
        index: read_block(document.labels, index).copy()
        if copies
        else partial(read_block, document.labels, index)
        for index in indices
    }
    dtype = read_block(document.labels, (0,) * (len(document.labels.shape) - 2)).dtype
    shape, identity = document.labels.shape, identity_of(image, known_as)
    layer = document.labels.layer if isinstance(document.labels, LabelLayer) else None
    return Snapshot(document.state, planes, shape, dtype, identity, settings_of(image, layer))


def read_block(labels: LabelStore, index: BlockIndex) -> NDArray[Any]:
    """Give one plane along the last two axes."""
    stop = (*(at + 1 for at in index), *labels.shape[-2:])
    box = np.asarray(labels.read((*index, 0, 0), stop))
    return box.reshape(labels.shape[-2:])


def occupied_blocks(state: State) -> set[BlockIndex]:
    """List the planes along the last two axes that may hold a label."""
    records = (*state.objects.values(), *state.strays.values())
    return {index for record in records for index in _blocks(record.start, record.stop)}


def touched_blocks(edit: PixelEdit) -> set[BlockIndex]:
    """List the planes along the last two axes that an edit may have changed."""
    return set(_blocks(edit.start, edit.stop))


def take_up(document: Document, snapshot: Snapshot, title: str) -> None:
    """Make a document what was saved, as one step that can be undone.

    Raises
    ------
    ProjectError
        If it was saved for an image of another size.
    """
    shape = tuple(document.labels.shape)
    if tuple(snapshot.label_shape) != shape:
        raise ProjectError(
            f"The session must be for an image of {_sizes(shape)} pixels, got one for "
            f"{snapshot.image.name!r} of {_sizes(snapshot.label_shape)}. Choose that image first."
        )
    _replace(document, snapshot.state, snapshot.read_block, set(snapshot.labels), title)


def take_labels(document: Document, labels: NDArray[Any], state: State, title: str) -> None:
    """Put other labels in place of a document's, as one step that can be undone."""
    _replace(document, state, labels.__getitem__, occupied_blocks(state), title)


def _replace(
    document: Document,
    state: State,
    read: Callable[[BlockIndex], NDArray[Any]],
    blocks: set[BlockIndex],
    title: str,
) -> None:
    document.labels.hold(max(state.highest, *state.objects, 0))
    indices = sorted(blocks | occupied_blocks(document.state))
    edits = [
        edit
        for index in indices
        if (edit := _difference(document.labels, index, read(index))) is not None
    ]
    document.replace_objects(state, edits, title)


def _difference(labels: LabelStore, index: BlockIndex, wanted: NDArray[Any]) -> PixelEdit | None:
    present = read_block(labels, index)
    rows, columns = np.nonzero(present != wanted)
    if not len(rows):
        return None
    along = [np.full(len(rows), at) for at in index]
    return PixelEdit.of((*along, rows, columns), present[rows, columns], wanted[rows, columns])


def _blocks(start: tuple[int, ...], stop: tuple[int, ...]) -> Iterator[BlockIndex]:
    return product(*map(range, start[:-2], stop[:-2]))


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
