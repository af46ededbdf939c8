"""Labels in compressed chunks, on disk or in memory: what is 0 takes no place."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_sam2.session.label_folder import LabelFolder
from napari_sam2.session.zarr_store import create_array

CHUNK = 512  # sides of a chunk: a stroke rewrites few of them, a screen reads few


class ChunkedArray:
    """An array that napari shows and paints, and that numpy reads.

    A `copy.deepcopy` has chunks of its own, which Zarr's arrays would share: a duplicate of a
    layer is one.

    Parameters
    ----------
    shape : sequence of int
        The last two are those of planes, which chunks are parts of.
    dtype : dtype
        Of the values, all 0 at first.
    folder : LabelFolder, optional
        Where; by default in memory. It lives as long as its arrays.
    name : str
        Of the array in the folder.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: DTypeLike = np.int32,
        folder: LabelFolder | None = None,
        name: str = "0",
    ) -> None:
        self._folder, self._name = folder, name
        self._chunks: dict[str, Any] = {}  # in memory only
        self.shape = tuple(int(size) for size in shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        place = self._chunks if folder is None else folder.path / name
        self._zarr = create_array(place, self.shape, self.dtype, chunk=CHUNK, is_scratch=True)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Size of a chunk on each axis; napari reads whole ones."""
        return tuple(int(size) for size in self._zarr.chunks)

    def is_empty(self, start: Sequence[int], stop: Sequence[int]) -> bool:
        """Tell whether a box is known to be all 0: it has no chunk."""
        grid = (
            range(first // size, -(-last // size))
            for first, last, size in zip(start, stop, self.chunks, strict=True)
        )
        return not any(self._has_chunk(position) for position in product(*grid))

    def _has_chunk(self, position: tuple[int, ...]) -> bool:
        key = "/".join(map(str, position))
        if self._folder is None:
            return key in self._chunks
        return (self._folder.path / self._name / key).exists()

    def __getitem__(self, key: Any) -> NDArray[Any]:
        return np.asarray(self._zarr[key])

    def __setitem__(self, key: Any, values: Any) -> None:
        self._zarr[key] = values

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        whole = self[(slice(None),) * self.ndim]
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __deepcopy__(self, _memo: Any) -> ChunkedArray:
        folder = None if self._folder is None else LabelFolder.temporary()
        twin = ChunkedArray(self.shape, self.dtype, folder, self._name)
        if folder is None:
            twin._chunks.update(self._chunks)
        else:
            assert self._folder is not None
            source, target = (one.path / self._name for one in (self._folder, folder))
            shutil.copytree(source, target, dirs_exist_ok=True)
        return twin
