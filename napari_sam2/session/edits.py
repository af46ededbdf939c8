"""Makes edits of labels, without writing them, and reads objects out of labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.history import PixelEdit
from napari_sam2.session.labels import LabelStore
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.planes import Plane

Policy = Literal["keep", "replace", "empty"]
MayChange = Callable[[NDArray[Any]], NDArray[np.bool_]]
_Indices = tuple[NDArray[np.intp], ...]


def mask_edits(
    labels: LabelStore, masks: Mapping[Plane, PackedMask], value: int, may_change: MayChange
) -> list[PixelEdit]:
    """Set the pixels of masks to a value: each once, and if its present value allows it."""
    parts = [plane.indices(*mask.pixels()) for plane, mask in masks.items() if mask]
    if len({plane.axes for plane, mask in masks.items() if mask}) > 1:
        parts = [_united(parts, labels.shape)]  # planes seen from several sides cross
    edits = (_set(labels, indices, value, may_change) for indices in parts)
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
    """Set all pixels of an object to a value: an edit for each plane along the last two axes."""
    edits = []
    for index in product(*map(range, record.start[:-2], record.stop[:-2])):
        start = (*index, *record.start[-2:])
        box = np.asarray(labels.read(start, (*(at + 1 for at in index), *record.stop[-2:])))
        inside = np.nonzero(box == record.object_id)
        indices = [axis + first for axis, first in zip(inside, start, strict=True)]
        edit = PixelEdit.of(indices, np.asarray(record.object_id), np.asarray(value))
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
    """
    ndim = len(labels.shape)
    hidden = [axis for axis in range(ndim) if axis not in axes]
    origin = (record.start[axes[0]], record.start[axes[1]])
    masks = {}
    for index in product(*(range(record.start[axis], record.stop[axis]) for axis in hidden)):
        plane = Plane(axes, index)
        start, stop = list(record.start), list(record.stop)
        for axis, at in zip(hidden, index, strict=True):
            start[axis], stop[axis] = at, at + 1
        part = np.asarray(labels.read(start, stop)).squeeze(tuple(hidden))
        is_own = plane.as_displayed(part) == record.object_id
        mask = PackedMask.of(is_own, origin, plane.shape_of(labels.shape))
        if mask:
            masks[plane] = mask
    return masks


def _set(
    labels: LabelStore, indices: _Indices, value: int, may_change: MayChange
) -> PixelEdit | None:
    before = np.asarray(labels.read_at(indices))
    after = np.where(may_change(before), value, before)
    return PixelEdit.of(indices, before, after)


def _united(parts: Sequence[_Indices], shape: tuple[int, ...]) -> _Indices:
    flat = np.unique(np.concatenate([np.ravel_multi_index(part, shape) for part in parts]))
    return np.unravel_index(flat, shape)
