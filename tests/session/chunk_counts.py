"""Counts the chunks that Zarr reads from the disk and writes to it, in version 2 and 3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import zarr


@dataclass
class ChunkCounts:
    """How often chunks that are there were read, how often any was written or removed, and which.

    Only the names of chunks in their array are told: those of several levels may be the same.
    """

    read: int = 0
    written: int = 0
    touched: set[str] = field(default_factory=set)

    def note(self, key: str, what: str) -> None:
        name = key.rpartition("/")[2]
        if name.isdigit():  # else it is of Zarr's own
            setattr(self, what, getattr(self, what) + 1)
            self.touched.add(key)


@contextmanager
def counted_chunks() -> Iterator[ChunkCounts]:
    """Give what is counted meanwhile."""
    counts = ChunkCounts()
    methods = _version_3(counts) if zarr.__version__ >= "3" else _version_2(counts)
    store, replaced = methods
    with patch.multiple(store, **replaced):
        yield counts


def _version_3(counts: ChunkCounts) -> tuple[type, dict[str, Any]]:
    from zarr.storage import LocalStore

    get, put, delete = LocalStore.get, LocalStore.set, LocalStore.delete

    async def counted_get(self: Any, key: str, *args: Any, **options: Any) -> Any:
        found = await get(self, key, *args, **options)
        if found is not None:
            counts.note(key, "read")
        return found

    async def counted_set(self: Any, key: str, *args: Any, **options: Any) -> None:
        counts.note(key, "written")
        await put(self, key, *args, **options)

    async def counted_delete(self: Any, key: str) -> None:
        counts.note(key, "written")
        await delete(self, key)

    return LocalStore, {"get": counted_get, "set": counted_set, "delete": counted_delete}


def _version_2(counts: ChunkCounts) -> tuple[type, dict[str, Any]]:
    from zarr.storage import DirectoryStore

    get, put, delete = (
        DirectoryStore.__getitem__,
        DirectoryStore.__setitem__,
        DirectoryStore.__delitem__,
    )

    def counted_get(self: Any, key: str) -> Any:
        found = get(self, key)
        counts.note(key, "read")
        return found

    def counted_set(self: Any, key: str, value: Any) -> None:
        counts.note(key, "written")
        put(self, key, value)

    def counted_delete(self: Any, key: str) -> None:
        counts.note(key, "written")
        delete(self, key)

    return DirectoryStore, {
        "__getitem__": counted_get,
        "__setitem__": counted_set,
        "__delitem__": counted_delete,
    }
