"""One 2-D plane of an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Plane:
    """One 2-D plane of a layer's data.

    Attributes
    ----------
    axes : (int, int)
        The data axes that run along the rows and the columns.
    index : tuple of int
        Indices along the other axes, in axis order.
    """

    axes: tuple[int, int]
    index: tuple[int, ...] = ()

    @property
    def hidden_axes(self) -> tuple[int, ...]:
        """The data axes that are not displayed, in axis order."""
        ndim = len(self.index) + 2
        return tuple(axis for axis in range(ndim) if axis not in self.axes)

    @property
    def key(self) -> tuple[int | slice, ...]:
        """What indexes the data: the plane comes out in axis order, see `as_displayed`."""
        hidden = dict(zip(self.hidden_axes, self.index, strict=True))
        return tuple(hidden.get(axis, slice(None)) for axis in range(len(self.index) + 2))

    def shape_of(self, shape: Sequence[int]) -> tuple[int, int]:
        """Give the plane's (H, W) in data of `shape`."""
        rows, columns = self.axes
        return int(shape[rows]), int(shape[columns])

    def as_displayed(self, array: NDArray[Any]) -> NDArray[Any]:
        """Turn a plane between axis order and the order on screen; either way is the same step."""
        rows, columns = self.axes
        return array.swapaxes(0, 1) if rows > columns else array

    def corners(self, box: tuple[int, int, int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give the corners, start and stop, of a box (y0, x0, y1, x1) of the plane in the data."""
        along = {self.axes[0]: (box[0], box[2]), self.axes[1]: (box[1], box[3])}
        along |= {axis: (at, at + 1) for axis, at in zip(self.hidden_axes, self.index, strict=True)}
        start, stop = zip(*(along[axis] for axis in sorted(along)), strict=True)
        return start, stop

    def in_data(self, array: NDArray[Any]) -> NDArray[Any]:
        """Give a part of the plane, (h, w), the axes of the data: those not displayed have size 1.

        What is written into it is written into the part.
        """
        return np.expand_dims(self.as_displayed(array), self.hidden_axes)

    def holds(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which of the data positions (N, D) lie on this plane: (N,)."""
        at = np.round(positions[:, list(self.hidden_axes)])  # as napari rounds its slider
        return np.asarray(np.all(at == np.array(self.index), axis=1))

    def indices(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], ...]:
        """Give what indexes pixels of the plane in the data: one array for each axis."""
        along: dict[int, NDArray[np.intp]] = {self.axes[0]: rows, self.axes[1]: columns}
        for axis, value in zip(self.hidden_axes, self.index, strict=True):
            along[axis] = np.full(len(rows), value)
        return tuple(along[axis] for axis in sorted(along))
