"""The planes of a stack along one axis, read when they are needed."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.masks import Box
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.view import View


class Stack(Protocol):
    """An array in memory or on disk: numpy's, zarr's, dask's."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size along each axis."""

    def __getitem__(self, index: Any, /) -> Any:
        """Give a part of it."""


def frames_along(stack: Stack, axis: int = 0, view: View | None = None) -> list[PlaneImage]:
    """Cut a stack into frames; nothing is read before a frame is.

    Parameters
    ----------
    stack : array, 3 axes, or 4 of which the last are the colours
        Zarr and dask arrays are read plane by plane.
    axis : int
        Along which to go: depth or time.
    view : View, optional
        How all frames are shown to the model. By default each by itself: give limits where the
        brightness must not jump from frame to frame.

    Raises
    ------
    PromptError
        If the stack has another number of axes, or no such axis.
    """
    shape = tuple(int(length) for length in stack.shape)
    axes = [at for at in range(3) if at != axis]
    if len(shape) not in (3, 4) or len(axes) == 3 or (len(shape) == 4 and shape[3] not in (3, 4)):
        raise PromptError(
            f"A stack must have 3 axes, or 4 with red, green and blue last, and axis {axis} must "
            f"be one of the first 3, got shape {shape}. Take one channel or time point."
        )
    size = shape[axes[0]], shape[axes[1]]
    source = object()  # frames of two stacks are never the same
    return [
        PlaneImage(
            (source, axis, index),
            size,
            _FrameReader(stack, axis, index),
            View() if view is None else view,
        )
        for index in range(shape[axis])
    ]


class _FrameReader:
    """Reads regions of one frame; see `plane_image.Read`."""

    def __init__(self, stack: Stack, axis: int, index: int) -> None:
        self._stack = stack
        self._axis = axis
        self._index = index

    def __call__(self, region: Box, _step: float) -> tuple[NDArray[Any], ...]:
        y0, x0, y1, x1 = region
        key: list[int | slice] = [slice(y0, y1), slice(x0, x1)]
        key.insert(self._axis, self._index)
        return (np.asarray(self._stack[tuple(key)]),)
