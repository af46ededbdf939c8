"""Arrays that are read piece by piece: of dask, zarr, HDF5, or on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import Box
from napari_sam2.session.pixels import as_plane, check_finite
from napari_sam2.session.plane_image import PlaneImage


def is_lazy(image: Any) -> bool:
    """Tell whether an array is to be read where it is looked at only.

    Whatever has a shape and a numpy dtype and can be sliced is, unless it is in memory already.
    """
    if isinstance(image, np.ndarray | np.generic):
        return isinstance(image, np.memmap)
    is_array = isinstance(getattr(image, "dtype", None), np.dtype)
    return is_array and hasattr(image, "shape") and hasattr(image, "__getitem__")


def lazy_plane(image: Any) -> PlaneImage:
    """Make a plane of a lazy array, without reading it.

    Nobody can tell cheaply whether its pixels have changed, so it is equal to itself only.

    Raises
    ------
    PromptError
        If it is not one plane of real numbers; `read` raises it for pixels that are not finite.
    """
    shape = tuple(int(size) for size in image.shape)
    stand_in = as_plane(np.broadcast_to(np.zeros((), image.dtype), shape))  # takes no memory
    height, width = stand_in.shape[:2]
    return PlaneImage(object(), (height, width), _Reader(image))


@dataclass(frozen=True, eq=False)
class _Reader:
    image: Any

    def __call__(self, region: Box, _step: float) -> tuple[NDArray[Any], ...]:
        """Give a region by one slicing of the array; see `plane_image.Read`."""
        y0, x0, y1, x1 = region
        plane = as_plane(np.asarray(self.image[y0:y1, x0:x1]))
        check_finite(plane)
        return (plane,)
