"""Notices napari's own undo and redo in a Labels layer, of which napari tells nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.history import PixelEdit

_LIMIT = 100  # steps, as many as napari keeps
Read = Callable[[tuple[NDArray[np.intp], ...]], NDArray[Any]]


class NapariUndo:
    """Compares the pixels of the newest edits with what they were before.

    Nothing is taken from napari: an edit is undone when its pixels, once they were changed, are
    again what they were. So it does not matter which undo it was, and one is never seen twice.

    Parameters
    ----------
    read : callable
        Gives the present values of pixels.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._done = deque[PixelEdit](maxlen=_LIMIT)
        self._undone = deque[PixelEdit](maxlen=_LIMIT)
        self._is_made = True  # the newest one

    @property
    def knows_any(self) -> bool:
        """Whether there is a step that napari may undo or redo."""
        return bool(self._done or self._undone)

    def record(self, edits: Sequence[PixelEdit], *, is_made: bool) -> None:
        """Take note of a step; napari tells of some before it makes them."""
        step = _joined(edits)
        if step is not None:
            self._done.append(step)
            self._undone.clear()
            self._is_made = is_made

    def forget(self) -> None:
        """Start anew: the layer has other data."""
        self._done.clear()
        self._undone.clear()

    def notice(self) -> Iterator[PixelEdit]:
        """Give the edits by which undo or redo has changed the pixels since the last time."""
        if self._done and not self._is_made:
            self._is_made = self._shows(self._done[-1].reversed())
        while self._is_made and self._done and self._shows(self._done[-1]):
            step = self._done.pop()
            self._undone.append(step)
            yield step.reversed()
        while self._undone and self._shows(self._undone[-1].reversed()):
            step = self._undone.pop()
            self._done.append(step)
            yield step

    def _shows(self, edit: PixelEdit) -> bool:
        """Tell whether all pixels are what they were before an edit; most often one tells."""
        first = self._read(tuple(np.array([at]) for at in _first_pixel(edit)))
        if first[0] != edit.before[0]:
            return False
        return bool((self._read(edit.indices()) == edit.before).all())


def _first_pixel(edit: PixelEdit) -> tuple[int, ...]:
    packed = np.frombuffer(edit.bits, np.uint8)
    byte = int((packed != 0).argmax())
    flat = 8 * byte + int(np.unpackbits(packed[byte : byte + 1]).argmax())
    sizes = tuple(b - a for a, b in zip(edit.start, edit.stop, strict=True))
    within = np.unravel_index(flat, sizes)
    return tuple(int(at) + first for at, first in zip(within, edit.start, strict=True))


def _joined(edits: Sequence[PixelEdit]) -> PixelEdit | None:
    """Give one edit for several that were made one after the other; None if nothing is left."""
    if len(edits) == 1:
        return edits[0]
    shape = tuple(max(ends) for ends in zip(*(edit.stop for edit in edits), strict=True))
    parts = [np.ravel_multi_index(edit.indices(), shape) for edit in edits]
    flat = np.concatenate(parts)
    before, after = (
        np.concatenate([np.broadcast_to(v, at.shape) for v, at in zip(values, parts, strict=True)])
        for values in ([edit.before for edit in edits], [edit.after for edit in edits])
    )
    pixels, first = np.unique(flat, return_index=True)
    _, last = np.unique(flat[::-1], return_index=True)
    return PixelEdit.of(np.unravel_index(pixels, shape), before[first], after[::-1][last])
