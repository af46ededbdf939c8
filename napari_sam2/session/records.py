"""What is in an array of labels: a record for each object, found in one pass over the planes."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.runs import LabelArray, Runs, occupied_parts

# Label values (N,), areas (N,), first corners (N, D) and last corners (N, D).
_Measures: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


def records_of(labels: LabelArray) -> dict[int, ObjectRecord]:
    """Measure every object of a label array, plane by plane, without a copy of it.

    Parameters
    ----------
    labels : integer array, two axes or more
        numpy, or anything that gives a numpy plane for an index along the other axes.

    Returns
    -------
    dict of int to ObjectRecord
        By label value, in rising order: `area`, `start` and `stop` are exact, the rest is empty.
        Values of 0 and below are background.

    Raises
    ------
    ValueError
        If the array has fewer than two axes, or holds no integers.
    """
    _check(labels)
    parts = [
        _measures_of(Runs.of(part.pixels).moved(*part.corner), part.index)
        for part in occupied_parts(labels)
    ]
    if not parts:
        return {}
    ids, areas, starts, stops = (np.concatenate(column) for column in zip(*parts, strict=True))
    columns = (column.tolist() for column in _merged(ids, areas, starts, stops))
    return {
        object_id: ObjectRecord(object_id, area, tuple(start), tuple(stop))
        for object_id, area, start, stop in zip(*columns, strict=True)
    }


def _check(labels: LabelArray) -> None:
    if len(labels.shape) < 2:
        raise ValueError(
            f"Labels must have two axes or more, got shape {labels.shape}. Give whole planes."
        )
    if np.dtype(labels.dtype).kind not in "iub":
        raise ValueError(
            f"Labels must be integers, got {labels.dtype}. Convert them: labels.astype('int32')."
        )


def _measures_of(runs: Runs, index: tuple[int, ...]) -> _Measures:
    """Measure the objects of one plane; its `index` becomes a part of the corners."""
    planes = np.broadcast_to(np.array(index, np.int64), (len(runs), len(index)))
    starts = np.column_stack([planes, runs.rows, runs.starts])
    stops = np.column_stack([planes + 1, runs.rows + 1, runs.stops])
    return _merged(runs.values, runs.stops - runs.starts, starts, stops)


def _merged(
    ids: NDArray[Any], areas: NDArray[Any], starts: NDArray[Any], stops: NDArray[Any]
) -> _Measures:
    """Put the parts of each object together, ordered by label value."""
    order = np.argsort(ids, kind="stable")
    ids, first = np.unique(ids[order], return_index=True)
    return (
        ids,
        np.add.reduceat(areas[order], first),
        np.minimum.reduceat(starts[order], first),
        np.maximum.reduceat(stops[order], first),
    )
