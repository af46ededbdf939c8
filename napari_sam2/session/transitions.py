"""Small steps between the values of `objects`: from one object, record or work to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from napari_sam2.session.ledger import united
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer, AtWork, ObjectRecord, PlacedPrompts, PlaneWork
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts

_NAN = float("nan")


def with_plane(at_work: AtWork, plane: Plane, work: PlaneWork) -> AtWork:
    """Put the work on a plane into the object; work without any content leaves it."""
    planes = {**at_work.planes, plane: work}
    if work.answer is None and work.added is None and work.removed is None:
        del planes[plane]
    return replace(at_work, planes=planes)


def painted(work: PlaneWork, added: PackedMask, removed: PackedMask) -> PlaneWork:
    """Give the work after a stroke: its pixels stay so, whatever a model says later."""
    before_added = work.added or PackedMask(added.shape)
    before_removed = work.removed or PackedMask(added.shape)
    return replace(
        work,
        added=(before_added - removed) | added or None,
        removed=(before_removed - added) | removed or None,
    )


def taken_from(mask: PackedMask) -> PlaneWork:
    """Give the work on a plane that begins with a mask from elsewhere."""
    return PlaneWork(mask.shape, Answer(Prompts(), (mask,), (_NAN,)))


def record_of(at_work: AtWork, stray: ObjectRecord | None) -> ObjectRecord:
    """Give the row of an object that is kept; its pixels are counted as they are written."""
    original = None if at_work.original is None else at_work.original.record
    answers = [work.answer for work in at_work.planes.values() if work.answer]
    scores = [a.score for a in answers if a.candidates and a.score == a.score]  # not NaN
    return ObjectRecord(
        at_work.object_id,
        area=0 if stray is None else stray.area,
        start=() if stray is None else stray.start,
        stop=() if stray is None else stray.stop,
        score=float(np.mean(scores)) if scores else _NAN,
        name="" if original is None else original.name,
        class_name="" if original is None else original.class_name,
        work=_without_logits(at_work),
    )


def _without_logits(at_work: AtWork) -> AtWork:
    """Give what is worth keeping of an object: logits take a hundred times its mask's memory."""
    planes = {
        plane: work
        if work.answer is None
        else replace(work, answer=replace(work.answer, logits=()))
        for plane, work in at_work.planes.items()
    }
    return replace(at_work, planes=planes, original=None)


def restored(record: ObjectRecord, stray: ObjectRecord | None) -> ObjectRecord:
    """Give the row of an object whose pixels come back, to those painted meanwhile."""
    return (
        replace(record, area=0)
        if stray is None
        else replace(united([record, stray], record.object_id), area=stray.area)
    )


def reclassed(record: ObjectRecord, names: Mapping[str, str]) -> ObjectRecord:
    """Give a record with its class's new name, if that has one."""
    name = names.get(record.class_name, record.class_name)
    return record if name == record.class_name else replace(record, class_name=name)


def some_plane(at_work: AtWork) -> Plane | None:
    """Give a plane to look at; None if there is none."""
    return next(iter(at_work.planes), None)


def prompts_title(before: PlacedPrompts, after: PlacedPrompts) -> str:
    """Tell for people what has become of the prompts."""
    if len(after.points) > len(before.points):
        return "add a point"
    if len(after.shapes) > len(before.shapes):
        return "draw a shape"
    if len(after.points) + len(after.shapes) < len(before.points) + len(before.shapes):
        return "remove a prompt"
    return "change a prompt"
