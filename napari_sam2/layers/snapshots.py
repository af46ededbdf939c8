"""From the layers of an image to what is saved of them, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import prod
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
from napari_sam2.session.runs import LabelArray
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.session.storage.label_grid import BlockIndex, LabelGrid

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
    """Give what is to be saved; the blocks are copies, unless there are very many.

    Parameters
    ----------
    document : Document
        What was annotated.
    image : Image
        What it was annotated on.
    known_as : str
        The image's fingerprint.
    blocks : iterable of index, optional
        The blocks to save; by default all that may hold a label.
    """
    labels, state = document.labels, document.state
    grid = LabelGrid.of(labels.shape)
    indices = list(_occupied_blocks(document, grid) if blocks is None else blocks)
    copies = sum(prod(grid.sides(index)) for index in indices) * 8 < COPIED_BYTES
    taken = {
        index: read_block(labels, grid, index).copy()
        if copies
        else partial(read_block, labels, grid, index)
        for index in indices
    }
    dtype = labels.read((0,) * len(labels.shape), (1,) * len(labels.shape)).dtype
    layer = labels.layer if isinstance(labels, LabelLayer) else None
    return Snapshot(
        state,
        taken,
        grid.shape,
        dtype,
        identity_of(image, known_as),
        settings_of(image, layer),
        block_side=grid.side,
    )


def read_block(labels: LabelStore, grid: LabelGrid, index: BlockIndex) -> NDArray[Any]:
    """Give one block, (h, w)."""
    return np.asarray(labels.read(*grid.box(index))).reshape(grid.sides(index))


def touched_blocks(edit: PixelEdit, shape: Sequence[int]) -> set[BlockIndex]:
    """List the blocks of labels of a shape that an edit may have changed."""
    return set(LabelGrid.of(shape).touched(edit.start, edit.stop))


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
    _replace(
        document,
        snapshot.state,
        snapshot.grid,
        snapshot.read_block,
        set(snapshot.labels),
        title,
    )


def take_labels(document: Document, labels: LabelArray, state: State, title: str) -> None:
    """Put other labels in place of a document's, as one step that can be undone."""
    grid = LabelGrid.of(document.labels.shape)

    def read(index: BlockIndex) -> NDArray[Any]:
        box = tuple(map(slice, *grid.box(index)))
        block: NDArray[Any] = np.maximum(labels[box], 0)
        return block.reshape(grid.sides(index))

    blocks = {
        index
        for record in state.objects.values()
        for index in grid.touched(record.start, record.stop)
    }
    _replace(document, state, grid, read, blocks, title)


def _replace(
    document: Document,
    state: State,
    grid: LabelGrid,
    read: Callable[[BlockIndex], NDArray[Any]],
    blocks: set[BlockIndex],
    title: str,
) -> None:
    document.labels.hold(max(state.highest, *state.objects, 0))
    edits = []
    for index in sorted(blocks | _occupied_blocks(document, grid)):
        start, stop = grid.box(index)
        present = np.asarray(document.labels.read(start, stop))
        edit = PixelEdit.between(start, present, read(index).reshape(present.shape))
        if edit is not None:
            edits.append(edit)
    document.replace_objects(state, edits, title)


def _occupied_blocks(document: Document, grid: LabelGrid) -> set[BlockIndex]:
    """List the blocks that may hold a label."""
    records = (*document.state.objects.values(), *document.state.strays.values())
    return {
        index
        for record in records
        for part in document.labels.occupied(record.start, record.stop)
        for index in grid.touched(*part)
    }


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
