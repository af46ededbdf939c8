"""Keeps the areas and extents of objects true while pixels change hands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from napari_sam2.session.history import PixelEdit
from napari_sam2.session.objects import ObjectRecord, State

Records = Mapping[int, ObjectRecord]


def account(state: State, edits: Iterable[PixelEdit]) -> State:
    """Give the state after pixels changed: an object without pixels has no row any more.

    Label values that are no object are kept among `State.strays`. The highest value ever used
    follows.
    """
    objects, strays, highest = dict(state.objects), dict(state.strays), state.highest
    for edit in edits:
        for value, change in _changes(edit).items():
            book = objects if value in objects else strays
            _book(book, value, change, edit)
            highest = max(highest, value)
    return replace(state, objects=objects, strays=strays, highest=highest)


def united(records: Iterable[ObjectRecord], object_id: int) -> ObjectRecord:
    """Give one record for several: areas added, a box around all; the first's name and class."""
    parts = list(records)
    areas = np.array([part.area for part in parts], float)
    scores = np.array([part.score for part in parts])
    known = ~np.isnan(scores)
    return replace(
        parts[0],
        object_id=object_id,
        area=int(areas.sum()),
        start=tuple(min(ends) for ends in zip(*(part.start for part in parts), strict=True)),
        stop=tuple(max(ends) for ends in zip(*(part.stop for part in parts), strict=True)),
        score=(
            float(np.average(scores[known], weights=areas[known])) if known.any() else float("nan")
        ),
        name=next((part.name for part in parts if part.name), ""),
        class_name=next((part.class_name for part in parts if part.class_name), ""),
    )


def _changes(edit: PixelEdit) -> dict[int, int]:
    """Give how many pixels each label value has won, or lost if negative; 0 is no label."""
    won: dict[int, int] = {}
    for values, sign in ((edit.before, -1), (edit.after, 1)):
        if len(values) == 1:
            found, counts = values, np.array([edit.count])
        else:
            found, counts = np.unique(values, return_counts=True)
        for value, count in zip(found, counts, strict=True):
            won[int(value)] = won.get(int(value), 0) + sign * int(count)
    won.pop(0, None)
    return won


def _book(book: dict[int, ObjectRecord], value: int, change: int, edit: PixelEdit) -> None:
    record = book.get(value)
    if record is None:
        if change > 0:
            book[value] = ObjectRecord(value, change, edit.start, edit.stop)
    elif record.area + change <= 0:
        del book[value]
    elif record.area == 0:
        book[value] = replace(record, area=change, start=edit.start, stop=edit.stop)
    elif change > 0:
        book[value] = replace(
            record,
            area=record.area + change,
            start=tuple(map(min, record.start, edit.start)),
            stop=tuple(map(max, record.stop, edit.stop)),
        )
    else:
        book[value] = replace(record, area=record.area + change)
