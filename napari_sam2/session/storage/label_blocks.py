"""Blocks of labels as compressed NumPy files."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.storage.json_values import MalformedError
from napari_sam2.session.storage.label_grid import BlockIndex, LabelGrid

Block = NDArray[Any] | Callable[[], NDArray[Any]]
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

_GZIP = 31  # zlib's window bits for a gzip header and trailer
_LEVEL = 1  # higher ones take thrice the time for labels and save little
_STEP = 2**20
_MAX_HEADER = 4096  # of a NumPy file; ours take 128 bytes


@dataclass(frozen=True)
class PackedBlock:
    """One block of labels, a plane or a part of it, compressed; call it for its pixels.

    Attributes
    ----------
    content : bytes
        A NumPy file (.npy) in gzip.
    shape : (H, W)
        Size of the block.
    dtype : dtype
        Of the pixels that it gives; those in the file may be narrower.
    """

    content: bytes
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, pixels: NDArray[Any], dtype: np.dtype[Any]) -> PackedBlock:
        """Compress a block (H, W)."""
        stored = np.ascontiguousarray(pixels, dtype.newbyteorder("<"))
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, np.lib.format.header_data_from_array_1_0(stored)
        )
        packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
        parts = [packer.compress(header.getvalue()), packer.compress(stored.data), packer.flush()]
        height, width = stored.shape
        return cls(b"".join(parts), (height, width), dtype.newbyteorder("="))

    def __call__(self) -> NDArray[Any]:
        """Give the pixels, (H, W).

        Raises
        ------
        MalformedError
            If they are damaged.
        """
        pixels: NDArray[Any] | None = None
        at = 0
        for stored, chunk in self._chunks():
            if pixels is None:
                pixels = np.empty(self.shape, stored)
            flat = pixels.reshape(-1).view(np.uint8)
            flat[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            at += len(chunk)
        assert pixels is not None
        return pixels.astype(self.dtype, copy=False)

    def check(self) -> None:
        """Raise `MalformedError` unless exactly its pixels are there; takes little memory."""
        for _ in self._chunks():
            pass

    def _chunks(self) -> Iterator[tuple[np.dtype[Any], bytes]]:
        """Give the bytes of the pixels, a part at a time; never more than there should be."""
        parts = _unpacked(self.content)
        stored, part = _parse_header(next(parts, b""), self.shape)
        wanted = self.shape[0] * self.shape[1] * stored.itemsize
        size = 0
        while size + len(part) <= wanted:
            yield stored, part
            size += len(part)
            part = next(parts, b"")
            if not part:
                break
        if part or size != wanted:
            raise MalformedError(f"a block of labels must have {wanted} bytes, got others")


def pack_blocks(
    blocks: Mapping[BlockIndex, Block], grid: LabelGrid, dtype: np.dtype[Any]
) -> Iterator[tuple[BlockIndex, PackedBlock | None]]:
    """Compress blocks one after the other; None for one that is all 0.

    Raises
    ------
    ValueError
        If an index or a block does not fit the grid.
    """
    for index, block in blocks.items():
        sides = grid.sides(index)
        if isinstance(block, PackedBlock) and (block.shape, block.dtype) == (sides, dtype):
            yield index, block
            continue
        pixels = np.asarray(block() if callable(block) else block)
        if pixels.shape != sides:
            raise ValueError(
                f"Block {index} of the labels must be {sides[0]} x {sides[1]}, got {pixels.shape}."
            )
        yield index, PackedBlock.of(pixels, dtype) if pixels.any() else None


def _unpacked(content: bytes) -> Iterator[bytes]:
    """Decompress, at most a mebibyte at a time."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        chunk = unpacker.decompress(content, _STEP)
        while chunk:
            yield chunk
            chunk = unpacker.decompress(unpacker.unconsumed_tail, _STEP)
    except zlib.error as error:
        raise MalformedError(f"a block of labels cannot be decompressed ({error})") from error
    if not unpacker.eof:
        raise MalformedError("a block of labels is cut short")


def _parse_header(start: bytes, shape: tuple[int, int]) -> tuple[np.dtype[Any], bytes]:
    """Give the dtype in a NumPy file, and its first pixels.

    NumPy reads a header as a Python literal, which may be slow or nest deeply: `max_header_size`
    bounds it.
    """
    file = io.BytesIO(start)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0}[version]
        told, is_fortran, dtype = read(file, max_header_size=_MAX_HEADER)
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError) as error:
        raise MalformedError(f"a block of labels is not a NumPy file ({error})") from error
    if told != shape or is_fortran or dtype.name not in DTYPES or dtype.byteorder == ">":
        raise MalformedError(
            f"a block of labels must be integers of {shape}, got {dtype} of {told}"
        )
    return dtype, file.read()
