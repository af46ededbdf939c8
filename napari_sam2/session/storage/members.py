"""Files with several members: written so that they are on the disk, read with bounded memory."""

from __future__ import annotations

import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from napari_sam2.session.storage.json_values import MalformedError

_LEVEL = 1  # logits hardly shrink, and higher levels take thrice the time
_STORED_SUFFIX = ".gz"
_FREE_BYTES = 2**30  # what any file may unpack to
_MAX_RATIO = 100  # beyond that, how many times its own size

# What zipfile raises on files with flipped bytes, besides OSError.
_UNREADABLE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError),
    *(LookupError, NotImplementedError, OverflowError, RuntimeError, TypeError, ValueError),
)


class Members(Protocol):
    """Named byte strings."""

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Give one; `MalformedError` if it is not there, damaged or longer than allowed."""


class ZipMembers:
    """The members of one zip file, which stays open until `close`.

    Parameters
    ----------
    path : Path
        Where it is.

    Raises
    ------
    OSError
        If the file cannot be read.
    MalformedError
        If it is no zip file, or would unpack to far more than it weighs.
    """

    def __init__(self, path: Path) -> None:
        file = path.open("rb")
        try:
            self._archive = zipfile.ZipFile(file)
            total = sum(member.file_size for member in self._archive.infolist())
            weight = file.seek(0, os.SEEK_END)
            if total > _FREE_BYTES + _MAX_RATIO * weight:
                raise MalformedError(f"its {weight} bytes would unpack to {total}")
        except _UNREADABLE as error:
            file.close()
            if isinstance(error, MalformedError):
                raise
            raise MalformedError(f"it is no zip file, or is cut short ({error})") from error
        self._file = file

    def __enter__(self) -> ZipMembers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._archive.close()
        self._file.close()

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Give a member."""
        try:
            size = self._archive.getinfo(name).file_size
        except KeyError as error:
            raise MalformedError(f"{name[:40]} is missing") from error
        if max_bytes is not None and size > max_bytes:
            raise MalformedError(f"{name[:40]} must be at most {max_bytes} bytes, got {size}")
        try:
            return self._archive.read(name)
        except (*_UNREADABLE, MemoryError) as error:
            raise MalformedError(f"{name[:40]} cannot be read ({error})") from error


def write_zip(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a new zip file, and wait until it is on the disk.

    Raises
    ------
    OSError
        If it cannot be written, or is there already.
    """
    with path.open("xb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in members:
                is_packed = name.endswith(_STORED_SUFFIX)
                how = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
                archive.writestr(zipfile.ZipInfo(name), content, how, _LEVEL)
        _to_disk(file.fileno())


def write_file(path: Path, content: bytes) -> None:
    """Write a new file, and wait until it is on the disk; `OSError` as `write_zip`."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        _to_disk(file.fileno())


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a finished file its name, in one step, whatever had that name before."""
    temporary.replace(path)
    if sys.platform == "win32":
        return  # cannot open folders
    with suppress(OSError):  # the file is there; some network folders cannot promise more
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            _to_disk(folder)
        finally:
            os.close(folder)


def _to_disk(descriptor: int) -> None:
    os.fsync(descriptor)
