"""Label planes as runs: a row's neighbours with one value, which are far fewer than its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.parts import LARGE_PLANE, parts


class LabelArray(Protocol):
    """Labels in memory or on disk: numpy, dask, zarr, or whatever gives planes when indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> Any:
        """An integer type, or bool."""

    def __getitem__(self, key: Any, /) -> Any:
        """Give a part of it."""


@dataclass(frozen=True, eq=False)
class Runs:
    """The labelled pixels of one plane: row `rows[i]`, columns `starts[i]` to `stops[i]` - 1.

    Attributes
    ----------
    rows, starts, stops : int64, shape (N,)
        In C order.
    values : integer array, shape (N,)
        The label of each run, above 0.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    values: NDArray[Any]

    @classmethod
    def of(cls, plane: NDArray[Any]) -> Runs:
        """Find the runs of a plane, (H, W)."""
        height, width = plane.shape
        is_start = np.ones((height, width), bool)
        np.not_equal(plane[:, 1:], plane[:, :-1], out=is_start[:, 1:])
        at = np.flatnonzero(is_start)
        stops = np.append(at[1:], height * width)  # of the flat plane; a run ends with its row
        rows = at // max(width, 1)
        values = plane[rows, at - rows * width]
        kept = values > 0
        rows, values = rows[kept], values[kept]
        return cls(rows, at[kept] - rows * width, stops[kept] - rows * width, values)

    def __len__(self) -> int:
        return len(self.rows)

    def moved(self, rows: int, columns: int) -> Runs:
        """Give the same runs, some rows and columns further on."""
        return Runs(self.rows + rows, self.starts + columns, self.stops + columns, self.values)

    def by_value(self) -> Iterator[tuple[int, Runs]]:
        """Give each label's own runs, in order of the labels."""
        order = np.argsort(self.values, kind="stable")
        values, first = np.unique(self.values[order], return_index=True)
        for value, of_value in zip(values.tolist(), np.split(order, first)[1:], strict=True):
            columns = (self.rows, self.starts, self.stops, self.values)
            yield value, Runs(*(column[of_value] for column in columns))


@dataclass(frozen=True, eq=False)
class PlanePart:
    """A plane, or a part of one that is too large to be held.

    Attributes
    ----------
    index : tuple of int
        Of the plane, along all but the last two axes.
    corner : (y, x)
        Where the part begins in its plane.
    pixels : integer array, shape (h, w)
        Its labels.
    """

    index: tuple[int, ...]
    corner: tuple[int, int]
    pixels: NDArray[Any]


def occupied_parts(labels: LabelArray) -> Iterator[PlanePart]:
    """Give each plane (the last two axes) that has a label; of large planes, such parts."""
    height, width = labels.shape[-2:]
    is_large = height * width > LARGE_PLANE
    boxes = list(parts((0, 0), (height, width))) if is_large else [((0, 0), (height, width))]
    is_empty = getattr(labels, "is_empty", None)
    for index, (corner, end) in product(np.ndindex(*labels.shape[:-2]), boxes):
        stop = (*(at + 1 for at in index), *end)
        if is_empty is not None and is_empty((*index, *corner), stop):
            continue
        key = (*index, *map(slice, corner, end)) if is_large else index
        part = PlanePart(index, (corner[0], corner[1]), np.asarray(labels[key]))
        if part.pixels.size and part.pixels.max() > 0:
            yield part
