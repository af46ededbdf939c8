"""What is exported from the command line: a label image, or the labels of a session file."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.export import Export
from napari_sam2.session.import_labels import read_labels
from napari_sam2.session.snapshot import Snapshot

_SESSION_SUFFIX = ".zip"
_BLOCKS_IN_MEMORY = 2  # objects of one plane are measured one after the other


def open_export(path: Path) -> Export:
    """Open a label image or a session, whose objects, classes and names come along.

    Raises
    ------
    PromptError
        If it holds no labels.
    ProjectError
        If it is a damaged session.
    """
    if path.suffix.lower() != _SESSION_SUFFIX:
        return Export(read_labels(path), image_name=path.name)
    from napari_sam2.session.project import load_session

    return _export_of(load_session(path))


def with_facts(
    export: Export, scale: tuple[float, ...], unit: str, image: NDArray[Any] | None
) -> Export:
    """Add what was typed; a single size of pixels is that of all axes, the unit that of the size.

    Time and channels get no unit.
    """
    ndim = len(export.labels.shape)
    sizes = scale * ndim if len(scale) == 1 else scale
    units = tuple(unit if letter in "zyx" else "" for letter in export.letters) if unit else ()
    return replace(
        export,
        scale=sizes or export.scale,
        units=units or export.units,
        intensity=export.intensity if image is None else image,
    )


class _SessionLabels:
    """The labels of a session, which stay compressed until a part is asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.shape, self.dtype = tuple(snapshot.label_shape), snapshot.label_dtype
        self._grid = snapshot.grid
        self._read_block = lru_cache(_BLOCKS_IN_MEMORY)(snapshot.read_block)

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        whole = (slice(None),) * (len(self.shape) - len(key))
        spans = [
            range(size)[_as_slice(part)]
            for size, part in zip(self.shape, (*key, *whole), strict=True)
        ]
        start, stop = tuple(span.start for span in spans), tuple(span.stop for span in spans)
        found = np.zeros([len(span) for span in spans], self.dtype)
        for index in self._grid.touched(start, stop):
            corner, end = self._grid.box(index)
            block = self._read_block(index).reshape(
                [b - a for a, b in zip(corner, end, strict=True)]
            )
            first, last = tuple(map(max, start, corner)), tuple(map(min, stop, end))
            found[_box(first, last, start)] = block[_box(first, last, corner)]
        dropped = tuple(axis for axis, part in enumerate(key) if not isinstance(part, slice))
        return found.squeeze(dropped)


def _as_slice(part: int | slice) -> slice:
    return part if isinstance(part, slice) else slice(part, part + 1)


def _box(
    first: tuple[int, ...], last: tuple[int, ...], origin: tuple[int, ...]
) -> tuple[slice, ...]:
    return tuple(slice(a - o, b - o) for a, b, o in zip(first, last, origin, strict=True))


def _export_of(snapshot: Snapshot) -> Export:
    return Export(
        _SessionLabels(snapshot),
        objects=snapshot.state.objects,
        classes=snapshot.state.classes,
        image_name=snapshot.image.name,
    )
