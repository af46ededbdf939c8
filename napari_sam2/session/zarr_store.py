"""Zarr, version 2 or 3 of the library: stores of format 2, which every reader knows.

The library is imported when a store is opened: it is not needed for anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_CHUNK = 1024


def open_group(folder: Path) -> Any:
    """Open a group; make it, if it is not there. Its `attrs` are its metadata."""
    import zarr

    options = {"zarr_format": 2} if _is_zarr_3() else {}
    return zarr.open_group(str(folder), mode="a", **options)


def open_to_read(folder: Path) -> Any:
    """Open the array or the group of a folder, of either format."""
    import zarr

    return zarr.open(str(folder), mode="r")


def create_array(
    place: Path | dict[str, Any],
    shape: Sequence[int],
    dtype: np.dtype[Any],
    *,
    chunk: int = 0,
    is_scratch: bool = False,
) -> Any:
    """Make an array of zeros, in chunks of a part of a plane; empty ones are not written.

    Parameters
    ----------
    place : Path or dict
        A folder; or a dict, for an array in memory. Chunks are its files or entries, named by
        their place in the grid: "0/12/7".
    shape : sequence of int
        The last two are those of planes.
    dtype : dtype
        Of the values.
    chunk : int
        Longest side of a chunk; 0 for one that suits files that are kept.
    is_scratch : bool
        Whether it is written more often than kept: quick then comes before small.
    """
    import numcodecs
    import zarr

    without_zeros = {"write_empty_chunks": False}
    options = {"zarr_format": 2, "config": without_zeros} if _is_zarr_3() else without_zeros
    return zarr.open_array(
        str(place) if isinstance(place, Path) else place,
        mode="w-",
        shape=tuple(shape),
        chunks=(1,) * (len(shape) - 2)
        + tuple(max(1, min(size, chunk or _CHUNK)) for size in shape[-2:]),
        dtype=dtype,
        fill_value=0,
        dimension_separator="/",
        # Java's readers know Blosc, not bare zstd.
        compressor=numcodecs.Blosc("lz4", clevel=1)
        if is_scratch
        else numcodecs.Blosc("zstd", clevel=5),
        **options,
    )


def _is_zarr_3() -> bool:
    import zarr

    return int(zarr.__version__.split(".")[0]) >= 3
