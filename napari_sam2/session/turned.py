"""An array seen with its axes in another order, or others of length 1, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.runs import LabelArray


class TurnedArray:
    """Parts of an array, as numpy arrays, with the axes in another order; nothing is copied.

    Parameters
    ----------
    data : array
        numpy, dask, zarr, or whatever gives parts when indexed by integers and slices.
    order : tuple of int
        The axes of `data` in the order in which they are wanted.
    """

    def __init__(self, data: LabelArray, order: tuple[int, ...]) -> None:
        self._data, self._order = data, order
        self.shape = tuple(int(data.shape[axis]) for axis in order)
        self.dtype = np.dtype(data.dtype)

    def is_empty(self, start: Sequence[int], stop: Sequence[int]) -> bool:
        """Tell whether a box is known to be all 0, as labels in chunks know it."""
        ask = getattr(self._data, "is_empty", None)
        along = sorted(zip(self._order, start, stop, strict=True))
        return ask is not None and bool(ask(*list(zip(*along, strict=True))[1:]))

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        whole = (slice(None),) * (len(self._order) - len(key))
        parts = dict(zip(self._order, (*key, *whole), strict=True))
        found = np.asarray(self._data[tuple(parts[axis] for axis in sorted(parts))])
        kept = [axis for axis, part in parts.items() if isinstance(part, slice)]
        turned: NDArray[Any] = found.transpose([sorted(kept).index(axis) for axis in kept])
        return turned


class FittedArray:
    """Parts of an array, as numpy arrays, with other axes of length 1; nothing is copied.

    Parameters
    ----------
    data : array
        As for `TurnedArray`.
    shape : tuple of int
        That of `data`, but for axes of length 1.
    """

    def __init__(self, data: LabelArray, shape: tuple[int, ...]) -> None:
        self._data, self.shape, self.dtype = data, shape, np.dtype(data.dtype)

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        whole = (slice(None),) * (len(self.shape) - len(key))
        parts = list(zip((*key, *whole), self.shape, strict=True))
        long = iter([part for part, size in parts if size != 1])
        source = tuple(slice(None) if size == 1 else next(long) for size in self._data.shape)
        found = np.asarray(self._data[source])
        return found.reshape(
            [len(range(size)[part]) for part, size in parts if isinstance(part, slice)]
        )
