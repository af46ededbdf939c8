"""Labels as a TIFF: ImageJ's kind when it can hold them, else OME-TIFF."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.axis_names import full_unit, short_unit
from napari_sam2.session.export import Export
from napari_sam2.session.exporters.whole_file import refuse_existing, written_whole
from napari_sam2.session.parts import LARGE_PLANE

MAX_CLASSIC_BYTES = 2**32 - 2**25  # what offsets of a TIFF reach, as tifffile counts
_TILE = 1024
_IMAGEJ_TYPES = (np.uint8, np.uint16)
_IMAGEJ_ORDER = "tzcyx"
_TYPES = (np.uint8, np.uint16, np.uint32)
_OME_UNITS = {"um": "µm", "angstrom": "Å"}


def write_label_tiff(export: Export, path: Path, *, overwrite: bool = False) -> None:
    """Write the labels, plane by plane, in the smallest unsigned type that holds them.

    Large planes are written in tiles, as OME-TIFF: ImageJ's kind has none. Compressed by zlib:
    label images shrink to a few percent.

    Raises
    ------
    PromptError
        If a file is there and may not be overwritten, or a label is above 2**32 - 1.
    Sam2Error
        If it cannot be written.
    """
    refuse_existing(path, overwrite=overwrite)
    dtype = _smallest_type(export.largest_value())
    planes = int(np.prod(export.shape[:-2]))
    nbytes = int(np.prod(export.shape)) * np.dtype(dtype).itemsize
    is_big = nbytes + planes * 1024 > MAX_CLASSIC_BYTES
    is_tiled = export.shape[-2] * export.shape[-1] > LARGE_PLANE
    is_plain = _fits_imagej(export, dtype) and not (is_big or is_tiled)
    kind = _imagej if is_plain else _ome
    with written_whole(path, overwrite=overwrite) as unfinished:
        tifffile.imwrite(
            unfinished,
            _tiles(export, dtype) if is_tiled else _planes(export, dtype),
            shape=export.shape,
            dtype=dtype,
            bigtiff=is_big,
            tile=(_TILE, _TILE) if is_tiled else None,
            compression="zlib",
            photometric="minisblack",
            **kind(export),
        )


def _smallest_type(largest: int) -> type[np.unsignedinteger[Any]]:
    for dtype in _TYPES:
        if largest <= np.iinfo(dtype).max:
            return dtype
    raise PromptError(
        f"A TIFF holds labels up to {np.iinfo(np.uint32).max}, got {largest}. Number the objects "
        "anew, or export OME-Zarr."
    )


def _fits_imagej(export: Export, dtype: type[Any]) -> bool:
    places = [_IMAGEJ_ORDER.index(letter) for letter in export.letters]
    return dtype in _IMAGEJ_TYPES and places == sorted(places)


def _planes(export: Export, dtype: type[Any]) -> Iterator[NDArray[Any]]:
    for index in np.ndindex(*export.shape[:-2]):
        yield np.maximum(export.turned[index], 0).astype(dtype)


def _tiles(export: Export, dtype: type[Any]) -> Iterator[NDArray[Any]]:
    """Give squares row by row; those at the far edges are filled up with 0."""
    height, width = export.shape[-2:]
    for index in np.ndindex(*export.shape[:-2]):
        for y, x in product(range(0, height, _TILE), range(0, width, _TILE)):
            key = (*index, slice(y, y + _TILE), slice(x, x + _TILE))
            part = export.turned[key]
            tile = np.zeros((_TILE, _TILE), dtype)
            tile[: part.shape[0], : part.shape[1]] = np.maximum(part, 0)
            yield tile


def _imagej(export: Export) -> dict[str, Any]:
    """Give what makes tifffile write the calibration that ImageJ reads."""
    sizes = dict(zip(export.letters, export.pixel_sizes, strict=True))
    units = dict(zip(export.letters, export.axis_units, strict=True))
    metadata: dict[str, Any] = {
        "axes": "".join(export.letters).upper(),
        "unit": short_unit(units["x"]),
    }
    if "z" in sizes:
        metadata["spacing"] = sizes["z"]
    if full_unit(units.get("t", "")) == "second":
        metadata["finterval"] = sizes["t"]
    return {
        "imagej": True,
        "resolution": (1 / sizes["x"], 1 / sizes["y"]),
        "resolutionunit": "NONE",
        "metadata": metadata,
    }


def _ome(export: Export) -> dict[str, Any]:
    """Give what makes tifffile write the calibration that OME-TIFF readers read."""
    metadata: dict[str, Any] = {
        "axes": "".join(export.letters).upper(),
        "Name": export.image_name,
    }
    for letter, size, unit in zip(
        export.letters, export.pixel_sizes, export.axis_units, strict=True
    ):
        if letter in "zyx":
            metadata[f"PhysicalSize{letter.upper()}"] = size
            metadata[f"PhysicalSize{letter.upper()}Unit"] = _ome_unit(unit)
        elif letter == "t" and full_unit(unit):
            metadata["TimeIncrement"] = size
            metadata["TimeIncrementUnit"] = short_unit(unit)
    return {"ome": True, "metadata": metadata}


def _ome_unit(unit: str) -> str:
    short = short_unit(unit)
    return _OME_UNITS.get(short, short)
