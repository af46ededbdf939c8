"""Makes edits of labels, without writing them, and reads objects out of labels."""

from __future__ import annotations

from collections.abc import Callable, Collection
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


def mask_edit(
    labels: LabelStore, plane: Plane, mask: PackedMask, value: int, may_change: MayChange
) -> PixelEdit | None:
    """Set a mask's pixels to a value, those whose present value allows it; None if none does."""
    indices = plane.indices(*mask.pixels())
    before = np.asarray(labels.read_at(indices))
    after = np.where(may_change(before), value, before)
    return PixelEdit.of(indices, before, after)


def allowed_by(policy: Policy, object_id: int, objects: Collection[int]) -> MayChange:
    """Give the rule for pixels that a new mask meets; see `Document.policy`."""

    def may_change(before: NDArray[Any]) -> NDArray[np.bool_]:
        if policy == "replace":
            return np.ones(before.shape, bool)
        free: NDArray[np.bool_] = (before == 0) | (before == object_id)
        if policy == "keep":
            unowned = [value for value in np.unique(before) if int(value) not in objects]
            free |= np.isin(before, unowned)
        return free

    return may_change


def relabel_edit(labels: LabelStore, record: ObjectRecord, value: int) -> PixelEdit | None:
    """Set all pixels of an object to a value; None if it has none."""
    inside = np.nonzero(np.asarray(labels.read(record.start, record.stop)) == record.object_id)
    indices = [axis + first for axis, first in zip(inside, record.start, strict=True)]
    return PixelEdit.of(indices, np.asarray(record.object_id), np.asarray(value))


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
