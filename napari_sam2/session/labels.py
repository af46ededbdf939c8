"""Where label values are kept: behind one small interface, in memory, on disk or in a layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.parts import Part, parts

_STEPS = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


class LabelStore(Protocol):
    """Reads and changes label values; every change is told as a `PixelEdit`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size on each axis."""

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """Give the values in a box."""

    def read_at(self, indices: tuple[NDArray[np.intp], ...]) -> NDArray[Any]:
        """Give the values of single pixels."""

    def occupied(self, start: Sequence[int], stop: Sequence[int]) -> Iterator[Part]:
        """Give parts of a box outside of which all is 0, small enough to be read, in C order."""

    def write(self, *edits: PixelEdit) -> None:
        """Make edits where the values still are what they take them for."""

    def hold(self, value: int) -> None:
        """Take a larger type if this value does not fit into the present one."""


class ArrayLabels:
    """Label values in an array.

    Parameters
    ----------
    data : integer array
        Is changed in place; `data` is another one after its type has grown.
    """

    def __init__(self, data: NDArray[Any]) -> None:
        self.data = data

    @property
    def shape(self) -> tuple[int, ...]:
        """Size on each axis."""
        return tuple(self.data.shape)

    def read(self, start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
        """Give the values in a box."""
        return self.data[tuple(map(slice, start, stop))]

    def read_at(self, indices: tuple[NDArray[np.intp], ...]) -> NDArray[Any]:
        """Give the values of single pixels."""
        values: NDArray[Any] = self.data[indices]
        return values

    def occupied(self, start: Sequence[int], stop: Sequence[int]) -> Iterator[Part]:
        """Give parts of a box outside of which all is 0, small enough to be read, in C order."""
        return parts(start, stop)

    def write(self, *edits: PixelEdit) -> None:
        """Make edits where the values still are what they take them for."""
        for edit in edits:
            indices = edit.indices()
            current = self.data[indices]
            self.data[indices] = np.where(current == edit.before, edit.after, current)

    def hold(self, value: int) -> None:
        """Take a larger type if this value does not fit into the present one."""
        self.data = self.data.astype(holding(self.data.dtype, value), copy=False)


def holding(dtype: Any, value: int) -> np.dtype[Any]:
    """Give an integer type that holds what `dtype` holds, and `value`.

    Raises
    ------
    PromptError
        If no integer type does.
    """
    present: np.dtype[Any] = np.dtype(dtype)
    if value <= _limit(present):
        return present
    for step in _STEPS:
        wider: np.dtype[Any] = np.dtype(step)
        if np.can_cast(present, wider) and value <= _limit(wider):
            return wider
    raise PromptError(
        f"A label must fit into an integer of 64 bits, got {value}. Renumber the labels first."
    )


def _limit(dtype: np.dtype[Any]) -> int:
    return 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
