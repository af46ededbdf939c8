"""Folders for labels that are too large for memory: locked while in use, then removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from uuid import uuid4
from weakref import finalize

from filelock import FileLock
from platformdirs import user_cache_path

from napari_sam2.errors import Sam2Error

_LOCK = ".lock"


class LabelFolder:
    """A folder that lives as long as this object, or for good if the user has chosen its place.

    Attributes
    ----------
    path : Path
        Where it is.
    """

    def __init__(self, path: Path, lock: FileLock | None) -> None:
        self.path = path
        remove = _remove_if_empty if lock is None else _remove
        # Also at the end of the process; but a child that was forked must not remove it.
        self._finalizer = finalize(self, remove, path, lock, os.getpid())

    @classmethod
    def temporary(cls, root: Path | None = None) -> LabelFolder:
        """Make a folder in `root`, by default `default_folder()`, and lock it.

        Raises
        ------
        Sam2Error
            If it cannot be made.
        """
        root = default_folder() if root is None else root
        try:
            root.mkdir(parents=True, exist_ok=True)
            for _ in count():
                path = root / uuid4().hex
                lock = _lock_of(path)
                lock.acquire()
                if Path(lock.lock_file).exists():  # else it was taken for one left behind
                    path.mkdir()
                    break
        except OSError as error:
            raise _unwritable(root, error) from error
        return cls(path, lock)

    @classmethod
    def chosen(cls, parent: Path, name: str) -> LabelFolder:
        """Make a folder that stays, unless nothing is written into it; with a number if need be.

        Raises
        ------
        Sam2Error
            If it cannot be made.
        """
        try:
            parent.mkdir(parents=True, exist_ok=True)
            for path in _names(parent, name):
                if not path.exists():
                    path.mkdir()
                    break
        except OSError as error:
            raise _unwritable(parent, error) from error
        return cls(path, None)

    def remove(self) -> None:
        """Remove it now; nothing in it can be read any more."""
        self._finalizer()


def default_folder() -> Path:
    """Give where labels lie while they are in use."""
    return user_cache_path("napari-sam2", appauthor=False) / "labels"


def remove_left_behind(root: Path | None = None) -> None:
    """Remove what processes have left that are no more; what cannot be removed stays."""
    root = default_folder() if root is None else root
    for entry in sorted(root.glob(f"*{_LOCK}")):
        path = entry.with_suffix("")
        lock = _lock_of(path)
        try:
            lock.acquire()
        except OSError:  # Timeout is one: it is in use
            continue
        _remove(path, lock, os.getpid())


def _lock_of(path: Path) -> FileLock:
    return FileLock(path.with_suffix(_LOCK), timeout=0, thread_local=False)


def _remove(path: Path, lock: FileLock | None, pid: int) -> None:
    """Remove a folder and then its lock, so that it is found again if this ends half-way."""
    if os.getpid() != pid or lock is None:
        return
    shutil.rmtree(path, ignore_errors=True)
    if not path.exists():
        Path(lock.lock_file).unlink(missing_ok=True)
    lock.release()


def _remove_if_empty(path: Path, _lock: FileLock | None, pid: int) -> None:
    """Remove a folder that has no chunk; Zarr's own files begin with a dot."""
    is_empty = not any(file.is_file() and file.name[0] != "." for file in path.rglob("*"))
    if os.getpid() == pid and is_empty:
        shutil.rmtree(path, ignore_errors=True)


def _names(parent: Path, name: str) -> Iterator[Path]:
    yield parent / f"{name}.zarr"
    yield from (parent / f"{name} {number}.zarr" for number in count(2))


def _unwritable(folder: Path, error: OSError) -> Sam2Error:
    return Sam2Error(
        f"Labels of this size are kept on the disk, and {folder} cannot be written "
        f"({error.strerror or error}). Make room there, or choose another folder (Options, Large "
        "labels)."
    )
