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


def create_array(folder: Path, shape: Sequence[int], dtype: np.dtype[Any]) -> Any:
    """Make an array of zeros, in chunks of a part of a plane; empty ones are not written."""
    import numcodecs
    import zarr

    options = {"zarr_format": 2} if _is_zarr_3() else {"write_empty_chunks": False}
    return zarr.open_array(
        str(folder),
        mode="w-",
        shape=tuple(shape),
        chunks=(1,) * (len(shape) - 2) + tuple(max(1, min(size, _CHUNK)) for size in shape[-2:]),
        dtype=dtype,
        fill_value=0,
        dimension_separator="/",
        compressor=numcodecs.Blosc("zstd", clevel=5),  # Java's readers know Blosc, not bare zstd
        **options,
    )


def _is_zarr_3() -> bool:
    import zarr

    return int(zarr.__version__.split(".")[0]) >= 3
