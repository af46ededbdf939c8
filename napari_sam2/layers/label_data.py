"""Which kind of array labels are kept in: in memory, or in chunks, with coarser levels or not."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from napari.layers import Image, Labels

from napari_sam2.layers.image_source import finest_level
from napari_sam2.session.label_folder import LabelFolder
from napari_sam2.session.level_labels import copy_levels, create_levels, describe_levels

SMALL = 2**28  # bytes: up to here labels of a lazy image are an array in memory
SHARE = 0.25  # of the free memory: up to here labels of any image are
_ITEM = np.dtype(np.int32).itemsize


def new_labels(image: Image, folder: str = "") -> Any:
    """Give empty labels for the objects of an image: an array, or the levels of a large plane.

    Parameters
    ----------
    image : Image
        Gives the shape, and whether it lies in memory itself.
    folder : str
        Where large labels are written and stay; empty for a temporary folder.

    Raises
    ------
    Sam2Error
        If large labels cannot be written.
    """
    shape = shape_of(image)
    if _fits_memory(image, shape):
        return np.zeros(shape, np.int32)
    name = f"{_as_file_name(image.name)} objects"
    place = LabelFolder.chosen(Path(folder), name) if folder else LabelFolder.temporary()
    levels = create_levels(shape, place, with_coarser=is_wide(shape))
    if folder:
        describe_levels(place, levels)
    return _as_data(levels)


def new_mask(image: Image) -> Any:
    """Give empty labels for the mask at work; large ones are compressed in memory, for few are."""
    shape = shape_of(image)
    if _fits_memory(image, shape):
        return np.zeros(shape, np.int32)
    return _as_data(create_levels(shape, with_coarser=is_wide(shape)))


def shape_of(image: Image) -> tuple[int, ...]:
    """Give the image's shape without colours."""
    return tuple(int(size) for size in image.data.shape[: image.ndim])


def levels_of(layer: Labels) -> list[Any]:
    """Give the arrays of a layer's data, the finest first."""
    return list(layer.data) if layer.multiscale else [layer.data]


def is_wide(shape: tuple[int, ...]) -> bool:
    """Tell whether a plane is too large to be read as a whole whenever it is shown."""
    return prod(shape[-2:]) * _ITEM > SMALL


def is_writable(layer: Labels) -> bool:
    """Tell whether pixels of a layer can be set."""
    return all(_is_writable(level) for level in levels_of(layer))


def writable(layer: Labels) -> Any:
    """Give a copy of a layer's data of which pixels can be set."""
    levels = levels_of(layer)
    if not layer.multiscale and prod(layer.data.shape) * _ITEM <= SMALL:
        return np.array(levels[0])
    return _as_data(copy_levels(levels[0], with_coarser=layer.multiscale))


def empty_like(layer: Labels) -> Any:
    """Give empty data of a layer's shape and kind."""
    if isinstance(layer.data, np.ndarray):
        return np.zeros(layer.data.shape, layer.data.dtype)
    return _as_data(create_levels(layer.data.shape, with_coarser=layer.multiscale))


def _fits_memory(image: Image, shape: tuple[int, ...]) -> bool:
    most = psutil.virtual_memory().available * SHARE
    most = min(most, SMALL) if _is_lazy(finest_level(image)) else most
    return bool(prod(shape) * _ITEM <= most)


def _is_lazy(data: Any) -> bool:
    """Tell whether the pixels lie elsewhere: dask, Zarr, a file that is mapped, ..."""
    array = data if isinstance(data, np.ndarray) else getattr(data, "data", None)  # xarray's
    return not isinstance(array, np.ndarray) or isinstance(array, np.memmap)


def _is_writable(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        return bool(data.flags.writeable)
    return not (hasattr(data, "compute") or getattr(data, "read_only", False))  # dask; Zarr


def _as_data(levels: list[Any]) -> Any:
    return levels if len(levels) > 1 else levels[0]


def _as_file_name(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in " -_." else "_" for sign in name).strip()
