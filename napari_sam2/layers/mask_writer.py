"""The one door out: changed pixels of a Labels layer, and news of those that the user paints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from psygnal import Signal

from napari_sam2.layers.label_data import empty_like, is_writable, levels_of, writable
from napari_sam2.layers.napari_undo import NapariUndo
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.labels import ArrayLabels, holding
from napari_sam2.session.level_labels import LevelLabels
from napari_sam2.session.parts import Part

Indices = tuple[NDArray[np.intp], ...]
_PAINTING = ("paint", "erase", "fill", "polygon")


class LabelLayer:
    """A Labels layer as a `LabelStore`.

    An array in memory is written through napari, which then draws no more than has changed, and
    remembers each step. Labels that are too large for that are written themselves, and napari reads
    what is on screen anew.

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
        self._is_writing = self._is_drawing = self._is_outdated = False
        self._undo = NapariUndo(self.read_at)
        self._connections = (
            (layer.events.paint, self._on_paint),
            (layer.events.data, self._on_data),
            (layer.events.set_data, self._on_drawn),
            (layer.events.labels_update, self._on_drawn),
            (layer.events.mode, self._on_mode),
        )
        for event, slot in self._connections:
            event.connect(slot)
        self._make_writable()
        self._let_the_brush_be_asked_for()

    @property
    def shape(self) -> tuple[int, ...]:
        """Size on each axis."""
        return tuple(int(size) for size in self.layer.data.shape)

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """Give the values in a box."""
        return self._store.read(start, stop)

    def read_at(self, indices: Indices) -> NDArray[Any]:
        """Give the values of single pixels."""
        return self._store.read_at(indices)

    def occupied(self, start: Sequence[int], stop: Sequence[int]) -> Iterator[Part]:
        """Give parts of a box outside of which all is 0, small enough to be read, in C order."""
        return self._store.occupied(start, stop)

    def write(self, *edits: PixelEdit) -> None:
        """Make edits where the values still are what they take them for."""
        with self.drawing():
            for edit in edits:
                self._write(edit)

    def set_pixels(self, indices: Indices, values: NDArray[Any]) -> None:
        """Set single pixels, and let napari draw no more than the box around them."""
        if len(values):
            self._undo.forget()  # these may be what they were before, and nobody has undone that
            self._set(indices, values)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Let napari read large labels once, when all changes are made."""
        if self._is_drawing:
            yield
            return
        self._is_drawing = True
        try:
            yield
        finally:
            self._is_drawing = False
            self._show()

    def hold(self, value: int) -> None:
        """Take a larger type if this value does not fit into the present one."""
        store = self._store
        if isinstance(store, LevelLabels):
            store.hold(value)
            return
        dtype = holding(store.data.dtype, value)
        if dtype != store.data.dtype:
            with self._writing():
                self.layer.data = store.data.astype(dtype)

    def clear(self) -> None:
        """Take an empty array of the same shape and type."""
        with self._writing():
            self.layer.data = empty_like(self.layer)
        self._let_the_brush_be_asked_for()

    def close(self) -> None:
        """Disconnect from the layer."""
        for event, slot in self._connections:
            event.disconnect(slot)

    @property
    def _store(self) -> ArrayLabels | LevelLabels:
        data = self.layer.data
        return (
            ArrayLabels(data)
            if isinstance(data, np.ndarray)
            else LevelLabels(levels_of(self.layer))
        )

    def _write(self, edit: PixelEdit) -> None:
        store = self._store
        if isinstance(store, LevelLabels):
            self._is_outdated = True
            self._forget_strokes()
            store.write(edit)
            return
        indices = edit.indices()
        untouched = store.read_at(indices) == edit.before
        after = np.broadcast_to(edit.after, untouched.shape)
        self._set(tuple(axis[untouched] for axis in indices), after[untouched])
        self._undo.record([edit], is_made=True)

    def _set(self, indices: Indices, values: NDArray[Any]) -> None:
        if not len(values):
            return
        store = self._store
        if isinstance(store, LevelLabels):
            with self.drawing():
                self._is_outdated = True
                store.set_at(indices, values)
        elif not self.layer.visible:  # napari has no view of it to change, and stumbles over that
            self.layer.data[indices] = values
        else:
            is_one = bool((values == values[0]).all())  # napari is quicker with a single value
            with self._writing():
                self.layer.data_setitem(indices, values[0] if is_one else values)

    def _show(self) -> None:
        """Let napari read what is on screen, if it was written past napari."""
        if self._is_outdated:
            self._is_outdated = False
            with self._writing():
                self.layer.refresh(extent=False)

    def _forget_strokes(self) -> None:
        """Take from napari what it would undo of the time before an edit that it knows not of."""
        if self._undo.knows_any:
            mode = self.layer.mode
            self.layer.editable = False  # which empties its history
            self.layer.editable = True
            self.layer.mode = mode
            self._undo.forget()

    def _make_writable(self) -> None:
        if not is_writable(self.layer):
            with self._writing():
                self.layer.data = writable(self.layer)

    def _let_the_brush_be_asked_for(self) -> None:
        """Let the user choose the brush where napari cannot paint, so that we can say why."""
        if self.layer.multiscale:
            self.layer.editable = True

    def _on_mode(self) -> None:
        if self.layer.multiscale and self.layer.mode in _PAINTING:
            self.layer.mode = "pan_zoom"
            show_info(
                "These labels are too large for the brush: correct the mask with points, boxes and "
                "scribbles."
            )

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
            self._let_the_brush_be_asked_for()
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
