"""An array seen with its axes in another order, whatever kind of array it is."""

from __future__ import annotations

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

    def __getitem__(self, key: tuple[int | slice, ...]) -> NDArray[Any]:
        whole = (slice(None),) * (len(self._order) - len(key))
        parts = dict(zip(self._order, (*key, *whole), strict=True))
        found = np.asarray(self._data[tuple(parts[axis] for axis in sorted(parts))])
        kept = [axis for axis, part in parts.items() if isinstance(part, slice)]
        turned: NDArray[Any] = found.transpose([sorted(kept).index(axis) for axis in kept])
        return turned
