"""A folder of files that may be lost: bounded, shared by processes, and never a reason to fail.

No torch: the panel and the command line show how large it is, and empty it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from platformdirs import user_cache_path

VARIABLE = "NAPARI_SAM2_CACHE"
DEFAULT_BYTES = 4 * 2**30
DEFAULT_MEMORY_BYTES = 512 * 2**20  # 32 planes of a 1024-pixel model in float32
_SUFFIX = ".features.safetensors"
_PART = ".part"
_STALE_SECONDS = 3600.0  # after which a file that was never finished belongs to nobody

_log = logging.getLogger(__name__)


def default_folder() -> Path:
    """Give the folder that the environment variable names, or one of the user's for such files."""
    named = os.environ.get(VARIABLE, "")
    return Path(named) if named else user_cache_path("napari-sam2", appauthor=False) / "embeddings"


@dataclass(frozen=True)
class CacheOptions:
    """Where image features are kept, and how many.

    Attributes
    ----------
    on_disk : bool
        Beyond this process.
    folder : str
        Empty for `default_folder()`.
    max_bytes : int
        On disk.
    half : bool
        Keep float16 on disk.
    memory_bytes : int
        In memory.
    """

    on_disk: bool = False
    folder: str = ""
    max_bytes: int = DEFAULT_BYTES
    half: bool = False
    memory_bytes: int = DEFAULT_MEMORY_BYTES

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder) if self.folder else default_folder()


class CacheFolder:
    """Files of ours in a folder; the least recently used go first when they are too many.

    Nothing here raises: a disk that is full or cannot be written only keeps nothing.

    Parameters
    ----------
    path : Path
        Made when the first file is kept. Only files of ours in it are looked at.
    max_bytes : int
        What all files together may take.

    Attributes
    ----------
    trouble : str
        Why nothing is kept any more, one sentence for the user; empty while all is well.
    displaced : float
        When what had to make room last was used last, as `time.time` tells it; 0 if nothing had to.
    """

    def __init__(self, path: Path, max_bytes: int = DEFAULT_BYTES) -> None:
        self.path, self.max_bytes = path, max_bytes
        self.trouble, self.displaced = "", 0.0

    @property
    def nbytes(self) -> int:
        """Bytes that all files take."""
        return sum(file.size for file in self._files())

    def file(self, name: str) -> Path:
        """Give the place of a file, whether or not it is there."""
        return self.path / f"{name}{_SUFFIX}"

    def note_use(self, name: str) -> None:
        """Count a file as used now."""
        with suppress(OSError):  # a folder that may only be read
            os.utime(self.file(name))

    def write(self, name: str, content: bytes) -> None:
        """Keep a file: it appears in one step, and the least recently used make room for it."""
        if self.trouble or len(content) > self.max_bytes:
            return
        file = self.file(name)
        part = file.with_name(f".{file.name}.{uuid4().hex}{_PART}")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._make_room(len(content))
            part.write_bytes(content)
            part.replace(file)
        except OSError as error:
            _remove(part)
            self.trouble = (
                f"Embeddings are not kept on disk, {self.path} cannot be written: "
                f"{error.strerror or error}. Free some space, or choose another folder."
            )
            _log.warning("%s", self.trouble)

    def remove(self, name: str) -> None:
        """Remove a file."""
        _remove(self.file(name))

    def clear(self) -> None:
        """Remove all files of ours, and try to write again from now on."""
        for file in self._files():
            _remove(file.path)
        self.trouble = ""

    def _make_room(self, needed: int) -> None:
        files = sorted(self._files())
        total = sum(file.size for file in files) + needed
        for file in files:
            if total <= self.max_bytes:
                return
            _remove(file.path)
            total -= file.size
            self.displaced = file.used

    def _files(self) -> Iterator[_File]:
        """List our files; those that a process left unfinished long ago are removed."""
        try:
            entries = list(os.scandir(self.path))
        except OSError:
            return
        for entry in entries:
            with suppress(OSError):  # another process may have removed it
                status = entry.stat()
                if entry.name.endswith(_SUFFIX):
                    yield _File(status.st_mtime, status.st_size, Path(entry.path))
                is_part = entry.name.endswith(_PART) and _SUFFIX in entry.name
                if is_part and time.time() - status.st_mtime > _STALE_SECONDS:
                    _remove(Path(entry.path))


class _File(NamedTuple):
    used: float
    size: int
    path: Path


def _remove(path: Path) -> None:
    with suppress(OSError):  # gone already, or in use on Windows
        path.unlink()
