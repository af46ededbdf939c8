"""A plane of an image at all the levels that the image has: what is far away is read coarsely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari.layers import Image
from numpy.typing import NDArray

from napari_sam2.session.masks import Box
from napari_sam2.session.pixels import in_memory
from napari_sam2.session.planes import Plane
from napari_sam2.session.region_grid import level_for


@dataclass(frozen=True, eq=False)
class PlanePyramid:
    """One plane of an image, in one array or in several of descending size.

    Attributes
    ----------
    arrays : tuple of array
        The image's data, the finest first. They may be lazy: only what is asked for is read.
    plane : Plane
        In indices of the finest.
    """

    arrays: tuple[Any, ...]
    plane: Plane

    @classmethod
    def of(cls, image: Image, plane: Plane) -> PlanePyramid:
        """Take a plane of a layer."""
        return cls(tuple(image.data) if image.multiscale else (image.data,), plane)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the plane in the finest array."""
        return self.plane.shape_of(self.arrays[0].shape)

    @property
    def levels(self) -> tuple[float, ...]:
        """How many pixels of the plane one of each array stands for, along the coarser axis."""
        sizes = [self.plane.shape_of(array.shape) for array in self.arrays]
        height, width = self.shape
        return tuple(max(height / rows, width / columns) for rows, columns in sizes)

    def read(self, region: Box, step: float) -> NDArray[Any]:
        """Read a region by one slicing of one array, see `plane_image.Read`.

        Returns
        -------
        array, shape (h, w) or (h, w, C)
            Its edges lie within half a pixel of the array that is read.
        """
        levels = self.levels
        array = self.arrays[levels.index(level_for(levels, step))]
        finest = self.arrays[0].shape
        spans = {self.plane.axes[0]: region[::2], self.plane.axes[1]: region[1::2]}
        at = dict(zip(self.plane.hidden_axes, self.plane.index, strict=True))
        key = tuple(
            _span(*spans[axis], finest[axis], array.shape[axis])
            if axis in spans
            else (2 * at[axis] + 1) * array.shape[axis] // (2 * finest[axis])  # holds its middle
            for axis in range(len(self.plane.key))
        )
        return self.plane.as_displayed(in_memory(array[key]))


def _span(start: int, stop: int, length: int, size: int) -> slice:
    """Give the part of an axis of `size` that lies where start to stop are of `length`."""
    first = min(round(start * size / length), size - 1)
    return slice(first, max(round(stop * size / length), first + 1))
