"""Draws the object at work into a layer of its own, and learns what the brush corrects there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_sam2.layers.mask_writer import Indices, LabelLayer
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.document import Document
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.masks import Box, PackedMask, around, parts_of
from napari_sam2.session.objects import AtWork, PlaneWork
from napari_sam2.session.planes import Plane

Axes = Callable[[], tuple[int, int]]
Strokes = dict[Plane, tuple[PackedMask, PackedMask]]


class MaskPreview:
    """Keeps a Labels layer equal to the masks of a document's object at work.

    Parameters
    ----------
    layer : Labels
        Shaped as the image; what is in it counts as painted by hand.
    document : Document
        Is followed until `close`.
    axes : callable
        Gives the data axes of the rows and columns on screen, along which brush strokes are
        understood.
    is_empty : bool
        Whether the layer is known to hold no label: looking takes long in a large one.

    Attributes
    ----------
    layer, axes
        As given.
    """

    def __init__(
        self,
        layer: Labels,
        document: Document,
        axes: Axes,
        *,
        is_empty: bool = False,
    ) -> None:
        self.layer, self.axes = layer, axes
        self._pixels = LabelLayer(layer)
        self._document = document
        self._drawn: dict[Plane, PackedMask] = {}
        self._sources: dict[Plane, tuple[PlaneWork, Cleanup]] = {}  # what was drawn of
        self._object_id = document.at_work.object_id
        if not is_empty:
            self._adopt()
        self._pixels.painted.connect(self._on_painted)
        self._pixels.replaced.connect(self._on_replaced)
        document.changed.connect(self._on_changed)
        self._pixels.hold(self._object_id)
        self._draw(document.at_work)

    def close(self) -> None:
        """Follow nothing any more; what is drawn stays."""
        self._document.changed.disconnect(self._on_changed)
        self._pixels.painted.disconnect(self._on_painted)
        self._pixels.replaced.disconnect(self._on_replaced)
        self._pixels.close()

    @property
    def _fits(self) -> bool:
        """Whether the layer still is as large as the objects': the user may give it other data."""
        return self._pixels.shape == tuple(self._document.labels.shape)

    def _on_changed(self) -> None:
        self._draw(self._document.at_work)

    def _on_replaced(self) -> None:
        if self._fits:
            self._pixels.clear()
            self._pixels.hold(self._object_id)
            self._drawn.clear()
            self._sources.clear()
            self._draw(self._document.at_work)

    def _draw(self, at_work: AtWork) -> None:
        """Draw the planes that are others than before."""
        if self._fits:
            with self._pixels.drawing():
                self._draw_planes(at_work)
            self._select()

    def _draw_planes(self, at_work: AtWork) -> None:
        if at_work.object_id != self._object_id:
            for plane in list(self._drawn):
                self._show(plane, None)
            self._sources.clear()
            self._object_id = at_work.object_id
            self._pixels.hold(self._object_id)
        for plane in [plane for plane in self._drawn if plane not in at_work.planes]:
            self._show(plane, None)
            self._sources.pop(plane, None)
        for plane, work in at_work.planes.items():
            source = (work, self._document.cleanup)
            before = self._sources.get(plane)
            if before is None or before[0] is not work or before[1] != source[1]:
                self._sources[plane] = source
                self._show(plane, self._document.mask_on(plane))
        self._mend_crossings()

    def _mend_crossings(self) -> None:
        """Draw again what a plane has lost to another that crosses it."""
        if len({plane.axes for plane in self._drawn}) > 1:
            for plane, mask in self._drawn.items():
                self._paint(plane.indices(*mask.pixels()), self._object_id)

    def _select(self) -> None:
        """Let the brush paint this object."""
        if self.layer.selected_label not in (0, self._object_id):
            self.layer.selected_label = self._object_id

    def _show(self, plane: Plane, mask: PackedMask | None) -> None:
        """Set the pixels in which a plane's mask differs from the one drawn before."""
        shape = plane.shape_of(self._pixels.shape)
        before = self._drawn.pop(plane, None) or PackedMask(shape)
        after = mask or PackedMask(shape)
        if after:
            self._drawn[plane] = after
        if before == after or after.shape != before.shape or before.shape != shape:
            return
        for box in _parts_where_either_is(before, after):
            new = after.crop(box)
            rows, columns = np.nonzero(before.crop(box) != new)
            values = np.where(new[rows, columns], self._object_id, 0)
            dtype = self.layer.data.dtype
            self._pixels.set_pixels(
                plane.indices(rows + box[0], columns + box[1]), values.astype(dtype)
            )

    def _paint(self, indices: Indices, value: int) -> None:
        values = np.full(len(indices[0]), value, self.layer.data.dtype)
        self._pixels.set_pixels(indices, values)

    def _adopt(self) -> None:
        """Take what is in the layer for painted by hand: it was saved, or made by another panel."""
        shape = self._pixels.shape
        axes = (len(shape) - 2, len(shape) - 1)
        found: dict[Plane, PackedMask] = {}
        for start, stop in self._pixels.occupied((0,) * len(shape), shape):
            part = self._pixels.read(start, stop) != 0
            for within in np.ndindex(*part.shape[:-2]):
                index = tuple(at + first for at, first in zip(within, start, strict=False))
                mask = PackedMask.of(part[within], (start[-2], start[-1]), (shape[-2], shape[-1]))
                if mask:
                    plane = Plane(axes, index)
                    found[plane] = found[plane] | mask if plane in found else mask
        strokes: Strokes = {}
        for plane, mask in found.items():
            self._paint(plane.indices(*mask.pixels()), self._object_id)
            self._drawn[plane] = mask
            known = self._document.mask_on(plane) or PackedMask(mask.shape)
            strokes[plane] = (mask - known, PackedMask(mask.shape))
        self._document.paint_over(strokes)

    def _on_painted(self, edits: Sequence[PixelEdit]) -> None:
        if not self._fits:
            return
        strokes = self._strokes(edits)
        for plane, (added, removed) in strokes.items():
            self._drawn[plane] = (self._drawn.get(plane, PackedMask(added.shape)) - removed) | added
        self._document.paint_over(strokes)
        self._draw(self._document.at_work)

    def _strokes(self, edits: Sequence[PixelEdit]) -> Strokes:
        """Give what strokes have added and removed on each plane; all is painted as our label."""
        touched, values = _last_values(edits, self._pixels.shape)  # (N, D), (N,)
        other = (values != 0) & (values != self._object_id)
        self._paint(tuple(axis[other] for axis in touched.T), self._object_id)
        # On all sides that it was drawn from: what is erased here must not come back from there.
        sides = {plane.axes for plane in self._document.at_work.planes} or {self.axes()}
        strokes: Strokes = {}
        for axes in sorted(sides):
            strokes |= _on_planes(axes, touched, values, self._pixels.shape)
        return strokes


def _parts_where_either_is(one: PackedMask, other: PackedMask) -> Iterator[Box]:
    """Give boxes, small enough to be unpacked, that hold two masks; each pixel is in one."""
    for box in parts_of(around(one, other)):
        if _meet(box, one.box) or _meet(box, other.box):
            yield box


def _meet(one: Box, other: Box) -> bool:
    return max(one[0], other[0]) < min(one[2], other[2]) and max(one[1], other[1]) < min(
        one[3], other[3]
    )


def _on_planes(
    axes: tuple[int, int],
    touched: NDArray[np.intp],
    values: NDArray[np.int64],
    shape: tuple[int, ...],
) -> Strokes:
    hidden = [axis for axis in range(len(shape)) if axis not in axes]
    found: Strokes = {}
    for index in np.unique(touched[:, hidden], axis=0):
        on_plane = (touched[:, hidden] == index).all(axis=1)
        plane = Plane(axes, tuple(int(at) for at in index))
        yx, is_set = touched[on_plane][:, axes], values[on_plane] != 0
        size = plane.shape_of(shape)
        found[plane] = (_mask_at(yx[is_set], size), _mask_at(yx[~is_set], size))
    return found


def _last_values(
    edits: Sequence[PixelEdit], shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Give each pixel that a stroke has touched, (N, D), and what it is in the end, (N,).

    napari tells of some strokes before it changes the pixels, so they cannot be looked up.
    """
    parts = [(np.ravel_multi_index(e.indices(), shape), e.after) for e in edits]
    flat = np.concatenate([at for at, _ in parts])
    values = np.concatenate([np.broadcast_to(after, at.shape) for at, after in parts])
    last, first_from_behind = np.unique(flat[::-1], return_index=True)
    pixels = np.stack(np.unravel_index(last, shape), axis=1)
    return pixels, values[::-1][first_from_behind].astype(np.int64)


def _mask_at(yx: NDArray[np.intp], shape: tuple[int, int]) -> PackedMask:
    """Pack the mask of some pixels, (N, 2)."""
    if len(yx) == 0:
        return PackedMask(shape)
    first = yx.min(axis=0)
    part = np.zeros(yx.max(axis=0) - first + 1, bool)
    part[tuple((yx - first).T)] = True
    return PackedMask.of(part, (int(first[0]), int(first[1])), shape)
