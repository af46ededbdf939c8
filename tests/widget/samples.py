"""Values that fill the widgets in their tests."""

from __future__ import annotations

import numpy as np

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer, AtWork, ObjectClass, ObjectRecord, State
from napari_sam2.session.prompts import Prompts

NUCLEUS, DEBRIS = ObjectClass("nucleus", "#0072b2"), ObjectClass("red debris", "#cc79a7")


def square(start: int, stop: int, side: int = 100) -> PackedMask:
    mask = np.zeros((side, side), bool)
    mask[start:stop, start:stop] = True
    return PackedMask.of(mask)


def answer(chosen: int = 0) -> Answer:
    masks = (square(10, 20), square(10, 30), square(0, 90))
    return Answer(Prompts(((12.0, 12.0),), (1,)), masks, (0.91, 0.8, 0.55), chosen=chosen)


def record(object_id: int, **values) -> ObjectRecord:
    box = {"start": (0, 0), "stop": (5, 5)}
    return ObjectRecord(object_id, **{"area": object_id * 10, **box, **values})


def state(*records: ObjectRecord, classes=(NUCLEUS, DEBRIS)) -> State:
    return State(AtWork(99), {each.object_id: each for each in records}, classes, 98)


def added(before: State, *records: ObjectRecord) -> State:
    """The state with these records, new ones or others; the rest is the very same."""
    objects = {**before.objects, **{each.object_id: each for each in records}}
    return State(before.at_work, objects, before.classes, before.highest)


def without(before: State, *object_ids: int) -> State:
    objects = {i: each for i, each in before.objects.items() if i not in object_ids}
    return State(before.at_work, objects, before.classes, before.highest)
