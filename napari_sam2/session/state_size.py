"""How much memory a state takes beside the one before, with which it shares nearly everything."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from napari_sam2.session.objects import PlacedPrompts, PlaneWork, State

_AT_LEAST = 2_000
_PLACED = 200  # a point, or a corner of a shape


def own_bytes(state: State, before: State) -> int:
    """Give the memory that a state does not share with the one before; about right.

    What an object that was kept has in common with it when it was at work, is counted once.
    """
    tables = ((state.objects, before.objects), (state.strays, before.strays))
    total = _AT_LEAST + sum(sys.getsizeof(new) for new, old in tables if new is not old)
    if state.at_work.prompts is not before.at_work.prompts:
        total += _PLACED * _count(state.at_work.prompts)
    known = before.at_work.planes
    return total + sum(
        _own_bytes_of_work(work, known.get(plane))
        for plane, work in state.at_work.planes.items()
        if work is not known.get(plane)
    )


def _own_bytes_of_work(work: PlaneWork, before: PlaneWork | None) -> int:
    shared = set() if before is None else {id(data) for data in _data_of(before)}
    return sum(len(data) for data in _data_of(work) if id(data) not in shared)


def _data_of(work: PlaneWork) -> Iterator[bytes]:
    """Give all that is large."""
    yield from (mask.bits for mask in (work.added, work.removed) if mask is not None)
    if work.answer is not None:
        yield from (mask.bits for mask in work.answer.candidates)
        yield from (logits.logits for logits in work.answer.logits)


def _count(prompts: PlacedPrompts) -> int:
    return len(prompts.points) + sum(len(shape.vertices) for shape in prompts.shapes)
