"""Labels too large for memory: in chunks, with coarser levels that show them from afar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.axis_names import MAX_AXES, NGFF_TYPES, axis_letters
from napari_sam2.session.chunked_array import ChunkedArray
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.label_folder import LabelFolder
from napari_sam2.session.parts import SIDE, Part, parts
from napari_sam2.session.zarr_store import open_group

_COARSEST = 1024  # longest side of the last level: a screen of it is read at once
_DTYPE = np.int32


class LevelLabels:
    """Label values in an array that is read and written in boxes, and in its coarser levels.

    A pixel of a coarser level has the highest label of the 2 x 2 pixels that it stands for: no
    object is too small to be seen from afar. A change reads and writes the chunks that it lies in,
    at each level.

    Parameters
    ----------
    levels : sequence of arrays
        See `create_levels`; only one, if nobody looks at the whole plane.
    """

    def __init__(self, levels: Sequence[Any]) -> None:
        self.levels = list(levels)
        self._grain = 2 ** (len(self.levels) - 1)  # pixels in one of the coarsest level

    @property
    def shape(self) -> tuple[int, ...]:
        """Size on each axis."""
        return tuple(int(size) for size in self.levels[0].shape)

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """Give the values in a box."""
        return np.asarray(self.levels[0][_box(start, stop)])

    def read_at(self, indices: tuple[NDArray[np.intp], ...]) -> NDArray[Any]:
        """Give the values of single pixels."""
        return np.asarray(self.levels[0][indices])

    def occupied(self, start: Sequence[int], stop: Sequence[int]) -> Iterator[Part]:
        """Give parts of a box outside of which all is 0, in C order."""
        array = self.levels[0]
        for part in parts(start, stop):
            if not isinstance(array, ChunkedArray) or not array.is_empty(*part):
                yield part

    def write(self, *edits: PixelEdit) -> None:
        """Make edits where the values still are what they take them for."""
        for edit in edits:
            inside = edit.inside()

            def make(box: NDArray[Any], edit: PixelEdit = edit, inside: Any = inside) -> None:
                current = box[inside]
                box[inside] = np.where(current == edit.before, edit.after, current)

            self._change(edit.start, edit.stop, make)

    def set_at(self, indices: tuple[NDArray[np.intp], ...], values: NDArray[Any]) -> None:
        """Set single pixels."""
        if not len(values):
            return
        start = tuple(int(axis.min()) for axis in indices)
        stop = tuple(int(axis.max()) + 1 for axis in indices)
        if len(list(parts(start, stop))) > 1:
            self._set_apart(indices, values)
            return

        def make(box: NDArray[Any]) -> None:
            box[tuple(axis - first for axis, first in zip(indices, start, strict=True))] = values

        self._change(start, stop, make)

    def put(self, start: Sequence[int], values: NDArray[Any]) -> None:
        """Set all values in a box."""

        def make(box: NDArray[Any]) -> None:
            box[...] = values

        if values.any():
            stop = tuple(at + size for at, size in zip(start, values.shape, strict=True))
            self._change(start, stop, make)

    def hold(self, value: int) -> None:
        """Check that a value fits; large labels are not copied into a larger type.

        Raises
        ------
        PromptError
            If it does not.
        """
        highest = np.iinfo(self.levels[0].dtype).max
        if value > highest:
            raise PromptError(
                f"Labels of this size hold values up to {highest}, got {value}. Renumber the "
                "labels first."
            )

    def _change(
        self, start: Sequence[int], stop: Sequence[int], make: Callable[[NDArray[Any]], None]
    ) -> None:
        """Let `make` change a box, then bring the coarser levels up to date."""
        first = (*start[:-2], *(at // self._grain * self._grain for at in start[-2:]))
        last = (*stop[:-2], *(-(-at // self._grain) * self._grain for at in stop[-2:]))
        last = tuple(map(min, last, self.shape))
        around = np.array(self.levels[0][_box(first, last)])
        box = around[tuple(slice(a - f, b - f) for a, b, f in zip(start, stop, first, strict=True))]
        make(box)
        try:
            self.levels[0][_box(start, stop)] = box
            for level in self.levels[1:]:
                around = _halved(around)
                first = (*first[:-2], first[-2] // 2, first[-1] // 2)
                last = tuple(f + size for f, size in zip(first, around.shape, strict=True))
                level[_box(first, last)] = around
        except OSError as error:
            raise PromptError(
                f"The labels could not be written to the disk ({error.strerror or error}). Make "
                "room there, then undo and do it again."
            ) from error

    def _set_apart(self, indices: tuple[NDArray[np.intp], ...], values: NDArray[Any]) -> None:
        """Set pixels that lie far apart, a part of a plane at a time."""
        cells = np.stack([*indices[:-2], indices[-2] // SIDE, indices[-1] // SIDE])
        _, of_cell = np.unique(cells, axis=1, return_inverse=True)
        of_cell = of_cell.ravel()
        order = np.argsort(of_cell, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(of_cell[order])) + 1):
            self.set_at(tuple(axis[group] for axis in indices), values[group])


def create_levels(
    shape: Sequence[int], folder: LabelFolder | None = None, *, with_coarser: bool = True
) -> list[Any]:
    """Make empty labels, int32, in chunks; the coarsest level of a plane is a NumPy array.

    Parameters
    ----------
    shape : sequence of int
        The last two are those of planes, which the coarser levels halve.
    folder : LabelFolder, optional
        Where; by default in memory.
    with_coarser : bool
        Whether there are coarser levels.
    """
    shapes = _level_shapes(shape) if with_coarser else [tuple(shape)]
    levels = [ChunkedArray(size, _DTYPE, folder, str(at)) for at, size in enumerate(shapes[:-1])]
    is_kept_by_napari = len(shape) == 2 and len(shapes) > 1  # it reads the last level only once
    last = (
        np.zeros(shapes[-1], _DTYPE)
        if is_kept_by_napari
        else ChunkedArray(shapes[-1], _DTYPE, folder, str(len(levels)))
    )
    return [*levels, last]


def copy_levels(source: Any, *, with_coarser: bool) -> list[Any]:
    """Copy labels that are an array of any kind into chunks of a temporary folder."""
    levels = create_levels(source.shape, LabelFolder.temporary(), with_coarser=with_coarser)
    labels = LevelLabels(levels)
    for start, stop in parts((0,) * len(labels.shape), labels.shape):
        labels.put(start, np.asarray(source[_box(start, stop)]))
    return levels


def describe_levels(folder: LabelFolder, levels: Sequence[Any]) -> None:
    """Let other programs read levels as OME-Zarr 0.4; one that is only in memory is left out."""
    if levels[0].ndim > MAX_AXES:
        return  # of which it knows nothing
    letters = axis_letters([""] * levels[0].ndim)
    axes = [{"name": letter, "type": NGFF_TYPES[letter]} for letter in letters]
    datasets = [
        {
            "path": str(at),
            "coordinateTransformations": [
                {"type": "scale", "scale": [1.0] * (len(axes) - 2) + [2.0**at] * 2}
            ],
        }
        for at, level in enumerate(levels)
        if isinstance(level, ChunkedArray)
    ]
    multiscale = {"version": "0.4", "type": "max", "axes": axes, "datasets": datasets}
    open_group(folder.path).attrs.update({"multiscales": [multiscale]})


def _level_shapes(shape: Sequence[int]) -> list[tuple[int, ...]]:
    shapes = [tuple(int(size) for size in shape)]
    while max(shapes[-1][-2:]) > _COARSEST:
        height, width = shapes[-1][-2:]
        shapes.append((*shapes[-1][:-2], -(-height // 2), -(-width // 2)))
    return shapes


def _halved(box: NDArray[Any]) -> NDArray[Any]:
    """Give the highest of each 2 x 2 values: (..., H, W) to (..., ceil(H / 2), ceil(W / 2))."""
    odd = [(0, 0)] * (box.ndim - 2) + [(0, size % 2) for size in box.shape[-2:]]
    even = np.pad(box, odd) if any(box.shape[axis] % 2 for axis in (-2, -1)) else box
    rows = np.maximum(even[..., ::2, :], even[..., 1::2, :])
    halved: NDArray[Any] = np.maximum(rows[..., ::2], rows[..., 1::2])
    return halved


def _box(start: Sequence[int], stop: Sequence[int]) -> tuple[slice, ...]:
    return tuple(map(slice, start, stop))
