"""Makes edits of labels, without writing them, and reads objects out of labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.labels import LabelStore
from napari_sam2.session.masks import Box, PackedMask, parts_of
from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.parts import LARGE_BOX
from napari_sam2.session.planes import Plane

Policy = Literal["keep", "replace", "empty"]
MayChange = Callable[[NDArray[Any]], NDArray[np.bool_]]
_Indices = tuple[NDArray[np.intp], ...]


def mask_edits(
    labels: LabelStore, masks: Mapping[Plane, PackedMask], value: int, may_change: MayChange
) -> list[PixelEdit]:
    """Set the pixels of masks to a value: each once, and if its present value allows it."""
    planes = [(plane, mask) for plane, mask in masks.items() if mask]
    if len({plane.axes for plane, _ in planes}) > 1:  # planes seen from several sides cross
        united = _united([plane.indices(*mask.pixels()) for plane, mask in planes], labels.shape)
        edits: list[PixelEdit | None] = [_set(labels, united, value, may_change)]
    else:
        edits = [
            _set_part(labels, plane, mask, part, value, may_change)
            for plane, mask in planes
            for part in parts_of(mask.box)
        ]
    return [edit for edit in edits if edit is not None]


def allowed_by(policy: Policy, objects: Collection[int]) -> MayChange:
    """Give the rule for pixels that a mask meets, beside its own; see `Document.policy`."""

    def may_change(before: NDArray[Any]) -> NDArray[np.bool_]:
        if policy == "replace":
            return np.ones(before.shape, bool)
        free: NDArray[np.bool_] = before == 0
        if policy == "keep":
            unowned = [value for value in np.unique(before) if int(value) not in objects]
            free |= np.isin(before, unowned)
        return free

    return may_change


def relabel_edits(labels: LabelStore, record: ObjectRecord, value: int) -> list[PixelEdit]:
    """Set all pixels of an object to a value: an edit for each part of a large one."""
    edits = []
    for start, stop in labels.occupied(record.start, record.stop):
        before = np.asarray(labels.read(start, stop))
        after = np.where(before == record.object_id, before.dtype.type(value), before)
        edit = PixelEdit.between(start, before, after)
        if edit is not None:
            edits.append(edit)
    return edits


def masks_of(
    labels: LabelStore, record: ObjectRecord, axes: tuple[int, int]
) -> dict[Plane, PackedMask]:
    """Give an object's pixels on every plane that has some.

    Parameters
    ----------
    labels : LabelStore
        Where it is drawn.
    record : ObjectRecord
        Tells where to look.
    axes : (int, int)
        The data axes along the rows and the columns of the planes.

    Raises
    ------
    PromptError
        If its parts lie too far apart to be one mask.
    """
    (rows, columns), start, stop = axes, record.start, record.stop
    box = (start[rows], start[columns], stop[rows], stop[columns])
    _check_size(record.object_id, box)
    hidden = [axis for axis in range(len(labels.shape)) if axis not in axes]
    masks = {}
    for index in product(*(range(record.start[axis], record.stop[axis]) for axis in hidden)):
        plane = Plane(axes, index)
        own = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
        for start, stop in labels.occupied(*plane.corners(box)):
            within = tuple(
                slice(start[axis] - record.start[axis], stop[axis] - record.start[axis])
                for axis in axes
            )
            is_own = np.asarray(labels.read(start, stop)) == record.object_id
            plane.in_data(own[within])[...] = is_own
        mask = PackedMask.of(own, box[:2], plane.shape_of(labels.shape))
        if mask:
            masks[plane] = mask
    return masks


def _set_part(
    labels: LabelStore,
    plane: Plane,
    mask: PackedMask,
    part: Box,
    value: int,
    may_change: MayChange,
) -> PixelEdit | None:
    """Set the pixels of a mask that lie in a box of its plane."""
    inside = plane.in_data(mask.crop(part))
    start, stop = plane.corners(part)
    before = np.asarray(labels.read(start, stop))
    after = before.copy()
    present = before[inside]
    after[inside] = np.where(may_change(present), present.dtype.type(value), present)
    return PixelEdit.between(start, before, after)


def _check_size(object_id: int, box: Box) -> None:
    height, width = box[2] - box[0], box[3] - box[1]
    if height * width > LARGE_BOX:
        raise PromptError(
            f"Object {object_id} reaches over {height} x {width} pixels, too many for one mask at "
            "work. Delete it, and draw its parts as objects."
        )


def _set(
    labels: LabelStore, indices: _Indices, value: int, may_change: MayChange
) -> PixelEdit | None:
    before = np.asarray(labels.read_at(indices))
    after = np.where(may_change(before), value, before)
    return PixelEdit.of(indices, before, after)


def _united(parts: Sequence[_Indices], shape: tuple[int, ...]) -> _Indices:
    flat = np.unique(np.concatenate([np.ravel_multi_index(part, shape) for part in parts]))
    return np.unravel_index(flat, shape)
