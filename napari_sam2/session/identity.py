"""Which image it is, whatever its layer is called and however it is stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_SIDE = 512  # of a sampled crop: three of them are 0.8 Mpixel
_MAX_COLORS = 4
_DIGEST_BYTES = 16

Key = tuple[int | slice, ...]


@dataclass(frozen=True)
class ImageIdentity:
    """By what an image is known again.

    Attributes
    ----------
    name : str
        Of its layer, for people.
    shape : tuple of int
        Of its data, colours included.
    dtype : str
        Of its data, such as "uint16".
    path : str or None
        The file that it came from, if known.
    fingerprint : str
        What `fingerprint` gives.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    path: str | None = None
    fingerprint: str = ""


def fingerprint(read: Callable[[Key], Any], shape: Sequence[int], dtype: Any) -> str:
    """Tell images apart by a few crops, at most 0.8 million pixels: a huge lazy image is cheap.

    Nothing but pixels, shape and dtype counts: neither names, nor chunks, nor byte order. Reads the
    data where it is called, which may be a worker thread.

    Parameters
    ----------
    read : callable
        Gives the part of the data that a key of one int or slice per axis asks for:
        `data.__getitem__` of a numpy, dask or zarr array.
    shape : sequence of int
        Of the data, the finest level of a pyramid.
    dtype : dtype or str
        Of the data.

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    digest.update(repr((tuple(int(size) for size in shape), np.dtype(dtype).name)).encode())
    for key in _samples(shape):
        crop = np.asarray(read(key)).astype(stored, copy=False)
        digest.update(crop.tobytes())
    return digest.hexdigest()


def _samples(shape: Sequence[int]) -> Iterator[Key]:
    """Give keys of crops at the start, in the middle and at the end of the data, each once."""
    extents = _extents(shape)
    seen = set()
    for fraction in (0.0, 0.5, 1.0):
        starts = tuple(
            round(fraction * (size - (extent or 1)))
            for size, extent in zip(shape, extents, strict=True)
        )
        if starts not in seen and 0 not in shape:
            seen.add(starts)
            yield tuple(
                start if extent is None else slice(start, start + extent)
                for start, extent in zip(starts, extents, strict=True)
            )


def _extents(shape: Sequence[int]) -> tuple[int | None, ...]:
    """Give the size of a crop along each axis; None where one index is taken."""
    has_colors = len(shape) > 2 and shape[-1] <= _MAX_COLORS
    whole = 3 if has_colors else 2
    leading = max(len(shape) - whole, 0)
    return (None,) * leading + tuple(min(int(size), _SIDE) for size in shape[leading:])
