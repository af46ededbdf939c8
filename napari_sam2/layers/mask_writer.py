"""The one door out: changed pixels of a Labels layer, and news of those that the user paints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray
from psygnal import Signal

from napari_sam2.layers.napari_undo import NapariUndo
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.labels import holding

Indices = tuple[NDArray[np.intp], ...]


class LabelLayer:
    """A Labels layer as a `LabelStore`.

    Parameters
    ----------
    layer : Labels
        What is already in it stays.

    Attributes
    ----------
    painted : Signal(list of PixelEdit)
        The user, or another plugin, has painted; some pixels may change only after this.
    replaced : Signal
        The layer has other data now.
    """

    painted = Signal(object)
    replaced = Signal()

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self._is_writing = False
        self._undo = NapariUndo(self.read_at)
        self._connections = (
            (layer.events.paint, self._on_paint),
            (layer.events.data, self._on_data),
            (layer.events.set_data, self._on_drawn),
            (layer.events.labels_update, self._on_drawn),
        )
        for event, slot in self._connections:
            event.connect(slot)
        self._make_writable()

    @property
    def shape(self) -> tuple[int, ...]:
        """Size on each axis."""
        return tuple(int(size) for size in self.layer.data.shape)

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """Give the values in a box."""
        return np.asarray(self.layer.data[tuple(map(slice, start, stop))])

    def read_at(self, indices: Indices) -> NDArray[Any]:
        """Give the values of single pixels."""
        return np.asarray(self.layer.data[indices])

    def write(self, edit: PixelEdit) -> None:
        """Make an edit where the values still are what it takes them for."""
        indices = edit.indices()
        untouched = self.read_at(indices) == edit.before
        after = np.broadcast_to(edit.after, untouched.shape)
        self._set(tuple(axis[untouched] for axis in indices), after[untouched])
        self._undo.record([edit], is_made=True)

    def set_pixels(self, indices: Indices, values: NDArray[Any]) -> None:
        """Set single pixels, and let napari draw no more than the box around them."""
        if len(values):
            self._undo.forget()  # these may be what they were before, and nobody has undone that
            self._set(indices, values)

    def _set(self, indices: Indices, values: NDArray[Any]) -> None:
        if not len(values):
            return
        if not self.layer.visible:  # napari has no view of it to change, and stumbles over that
            self.layer.data[indices] = values
            return
        is_one = bool((values == values[0]).all())  # napari is quicker with a single value
        with self._writing():
            self.layer.data_setitem(indices, values[0] if is_one else values)

    def hold(self, value: int) -> None:
        """Take a larger type if this value does not fit into the present one."""
        dtype = holding(self.layer.data.dtype, value)
        if dtype != self.layer.data.dtype:
            with self._writing():
                self.layer.data = self.layer.data.astype(dtype)

    def clear(self) -> None:
        """Take an empty array of the same shape and type."""
        with self._writing():
            self.layer.data = np.zeros(self.shape, self.layer.data.dtype)

    def close(self) -> None:
        """Disconnect from the layer."""
        for event, slot in self._connections:
            event.disconnect(slot)

    def _make_writable(self) -> None:
        data = self.layer.data
        is_lazy = hasattr(data, "compute")  # dask
        if is_lazy or (isinstance(data, np.ndarray) and not data.flags.writeable):
            with self._writing():
                self.layer.data = np.array(data)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._is_writing = True
        try:
            yield
        finally:
            self._is_writing = False

    def _on_paint(self, event: Any) -> None:
        if not self._is_writing:
            edits = [edit for atom in event.value if (edit := _edit_of(atom)) is not None]
            if edits:
                self._undo.record(edits, is_made=False)
                self.painted.emit(edits)

    def _on_drawn(self) -> None:
        if not self._is_writing:
            for edit in self._undo.notice():
                self.painted.emit([edit])

    def _on_data(self) -> None:
        if not self._is_writing:
            self._undo.forget()
            self._make_writable()
            self.replaced.emit()


def _edit_of(atom: Any) -> PixelEdit | None:
    """Make an edit of what napari tells of a stroke.

    That is (indices, before, after), or since napari 0.9 a box of the data with names.
    """
    if not hasattr(atom, "slice_key"):
        indices, before, after = atom
        indices = tuple(np.asarray(axis) for axis in np.broadcast_arrays(*indices))
        indices = tuple(axis.ravel() for axis in indices)
        return PixelEdit.of(indices, np.ravel(before), np.asarray(after))
    starts = [part.start if isinstance(part, slice) else part for part in atom.slice_key]
    sizes = [part.stop - part.start if isinstance(part, slice) else 1 for part in atom.slice_key]
    inside = np.ones(sizes, bool) if atom.mask is None else np.reshape(atom.mask, sizes)
    indices = tuple(axis + start for axis, start in zip(np.nonzero(inside), starts, strict=True))
    return PixelEdit.of(indices, np.ravel(atom.old_values), np.asarray(atom.new_value))
