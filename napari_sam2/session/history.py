"""Undo and redo: states between which pixels changed, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.objects import State
from napari_sam2.session.planes import Plane
from napari_sam2.session.state_size import own_bytes

MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, eq=False)
class PixelEdit:
    """Pixels of a label array that changed, with their values before and after.

    Attributes
    ----------
    start, stop : tuple of int
        The box of the array around them.
    bits : bytes
        Which pixels of the box, in C order, eight a byte.
    before, after : integer array
        Values of those pixels, in C order; of shape (1,) when all are alike.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    bits: bytes
    before: NDArray[Any]
    after: NDArray[Any]

    @classmethod
    def of(
        cls, indices: Sequence[NDArray[np.intp]], before: NDArray[Any], after: NDArray[Any]
    ) -> PixelEdit | None:
        """Make an edit from pixels in any order, each once; None if no value changes.

        Parameters
        ----------
        indices : sequence of arrays, shape (N,)
            One array for each axis.
        before, after : integer arrays, shape (N,) or ()
            Values.
        """
        before, after = np.broadcast_arrays(before, after)
        before, after = (np.broadcast_to(v, np.shape(indices[0])) for v in (before, after))
        changed = before != after
        if not changed.any():
            return None
        kept = [np.asarray(axis)[changed] for axis in indices]
        start = tuple(int(axis.min()) for axis in kept)
        stop = tuple(int(axis.max()) + 1 for axis in kept)
        sizes = tuple(b - a for a, b in zip(start, stop, strict=True))
        flat = np.ravel_multi_index(
            tuple(axis - first for axis, first in zip(kept, start, strict=True)), sizes
        )
        order = np.argsort(flat, kind="stable")
        inside = np.zeros(int(np.prod(sizes)), bool)
        inside[flat] = True
        return cls(
            start,
            stop,
            np.packbits(inside).tobytes(),
            _shortened(before[changed][order]),
            _shortened(after[changed][order]),
        )

    @classmethod
    def between(
        cls, start: Sequence[int], before: NDArray[Any], after: NDArray[Any]
    ) -> PixelEdit | None:
        """Make an edit from what a box was and what it becomes; None if no value changes.

        Parameters
        ----------
        start : sequence of int
            Where the box begins.
        before, after : integer arrays of the box's shape
            Values.
        """
        inside = before != after
        if not inside.any():
            return None
        within = []
        for axis in range(inside.ndim):
            others = tuple(other for other in range(inside.ndim) if other != axis)
            at = np.flatnonzero(inside.any(axis=others))
            within.append(slice(int(at[0]), int(at[-1]) + 1))
        box = tuple(within)
        return cls(
            tuple(first + part.start for first, part in zip(start, box, strict=True)),
            tuple(first + part.stop for first, part in zip(start, box, strict=True)),
            np.packbits(inside[box]).tobytes(),
            _shortened(before[inside]),
            _shortened(after[inside]),
        )

    @property
    def count(self) -> int:
        """Number of pixels that changed."""
        return int.from_bytes(self.bits, "little").bit_count()

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return len(self.bits) + self.before.nbytes + self.after.nbytes

    def inside(self) -> NDArray[np.bool_]:
        """Tell which pixels of the box changed, in the box's shape."""
        sizes = tuple(b - a for a, b in zip(self.start, self.stop, strict=True))
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=prod(sizes))
        return bits.view(bool).reshape(sizes)

    def indices(self) -> tuple[NDArray[np.intp], ...]:
        """Give what indexes the pixels in the array: one array for each axis."""
        within = np.nonzero(self.inside())
        return tuple(axis + first for axis, first in zip(within, self.start, strict=True))

    def reversed(self) -> PixelEdit:
        """Give the edit that takes this one back."""
        return replace(self, before=self.after, after=self.before)


@dataclass(frozen=True, eq=False)
class Step:
    """What leads from one state to the next.

    Attributes
    ----------
    title : str
        For people: "keep object 3".
    edits : tuple of PixelEdit
        In the order in which they were made.
    plane : Plane or None
        Where to look at it.
    """

    title: str
    edits: tuple[PixelEdit, ...] = ()
    plane: Plane | None = None

    @property
    def nbytes(self) -> int:
        """Memory that its edits take."""
        return sum(edit.nbytes for edit in self.edits)


class History:
    """States in the order in which they came, and where we are among them.

    Parameters
    ----------
    state : State
        The first one.
    max_bytes : int
        The oldest steps are forgotten above it; the last one never is.
    """

    def __init__(self, state: State, max_bytes: int = MAX_BYTES) -> None:
        self._states, self._steps = [state], list[Step]()
        self._sizes = list[int]()  # of each step, with the state that it leads to
        self._at = 0
        self._max_bytes = max_bytes

    @property
    def state(self) -> State:
        """Where we are."""
        return self._states[self._at]

    @property
    def undo_title(self) -> str:
        """What undo would take back; empty if nothing."""
        return self._steps[self._at - 1].title if self._at else ""

    @property
    def redo_title(self) -> str:
        """What redo would do again; empty if nothing."""
        return self._steps[self._at].title if self._at < len(self._steps) else ""

    @property
    def nbytes(self) -> int:
        """Memory that the steps take, and the states that they lead to."""
        return sum(self._sizes)

    def push(self, step: Step, state: State) -> None:
        """Go on to another state; what was undone is forgotten."""
        del self._states[self._at + 1 :], self._steps[self._at :], self._sizes[self._at :]
        self._sizes.append(step.nbytes + own_bytes(state, self.state))
        self._states.append(state)
        self._steps.append(step)
        self._at += 1
        self._forget_oldest()

    def amend(self, state: State) -> None:
        """Replace the state where we are: it has become complete, nobody has done anything."""
        self._states[self._at] = state
        if self._at:
            step, before = self._steps[self._at - 1], self._states[self._at - 1]
            self._sizes[self._at - 1] = step.nbytes + own_bytes(state, before)
            self._forget_oldest()

    def extend(self, edits: Sequence[PixelEdit], state: State) -> None:
        """Let the last step go on: with more edits, to another state."""
        assert self._at
        step = self._steps[self._at - 1]
        self._steps[self._at - 1] = replace(step, edits=(*step.edits, *edits))
        self.amend(state)

    def undo(self) -> Step | None:
        """Go one state back; give the step, whose edits are to be taken back last first."""
        if self._at == 0:
            return None
        self._at -= 1
        return self._steps[self._at]

    def redo(self) -> Step | None:
        """Go one state on; give the step, whose edits are to be made again."""
        if self._at == len(self._steps):
            return None
        self._at += 1
        return self._steps[self._at - 1]

    def _forget_oldest(self) -> None:
        total = self.nbytes
        while total > self._max_bytes and self._at > 1:
            total -= self._sizes.pop(0)
            self._steps.pop(0)
            self._states.pop(0)
            self._at -= 1


def _shortened(values: NDArray[Any]) -> NDArray[Any]:
    """Give one value for all when they are alike."""
    is_one = bool((values == values[0]).all())
    short: NDArray[Any] = values[:1].copy() if is_one else values.copy()
    return short
