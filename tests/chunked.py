"""An array of any size that counts the chunks that are read of it, as a file of chunks would."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

Chunk = tuple[int, ...]


class Chunked:
    """Bright squares on a dark ground, computed where they are read.

    Attributes
    ----------
    read : list of set
        The chunks of each reading, by their place along each axis.
    """

    def __init__(
        self, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any = np.uint8
    ) -> None:
        self.shape, self.chunks, self.dtype = shape, chunks, np.dtype(dtype)
        self.ndim = len(shape)
        self.read: list[set[Chunk]] = []

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object))

    @property
    def touched(self) -> set[Chunk]:
        return set().union(*self.read)

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise AssertionError("the whole array was asked for")

    def __getitem__(self, key: Any) -> np.ndarray:
        key = key if isinstance(key, tuple) else (key,)
        key += (slice(None),) * (self.ndim - len(key))
        spans = [
            range(*k.indices(size)) if isinstance(k, slice) else range(int(k), int(k) + 1)
            for k, size in zip(key, self.shape, strict=True)
        ]
        self.read.append(
            set(
                product(
                    *(
                        range(span[0] // chunk, span[-1] // chunk + 1)
                        for span, chunk in zip(spans, self.chunks, strict=True)
                    )
                )
            )
        )
        values = np.full((), 20)
        for span in spans:
            values = values[..., None] + 100 * (np.array(span) % 97 < 40)
        kept = tuple(0 if not isinstance(k, slice) else slice(None) for k in key)
        return values.clip(0, 255).astype(self.dtype)[kept]
