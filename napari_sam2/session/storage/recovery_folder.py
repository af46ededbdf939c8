"""One process's recovery of one image: parts that never change, and session.json that names them.

A part is a small zip file. A new one is written for what has changed; then session.json is replaced
in one step; then parts that it no longer names are removed. So whenever the process dies, what
session.json names is there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from napari_sam2.session.objects import AtWork, State
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.session.storage.json_values import MalformedError
from napari_sam2.session.storage.label_blocks import Block, PackedBlock, pack_blocks
from napari_sam2.session.storage.label_grid import BlockIndex
from napari_sam2.session.storage.members import (
    ZipMembers,
    put_in_place,
    write_file,
    write_zip,
)
from napari_sam2.session.storage.session_json import (
    SESSION,
    encode_session,
    work_members,
    works_of,
)

_LOCK = "lock"
_INCOMPLETE = f"{SESSION}.incomplete"
_BLOCK = "plane.npy.gz"
_NAME = re.compile(r"(part-\d+)/(.+)")


def lock_of(folder: Path) -> FileLock:
    """Give the lock that the process which writes into a folder holds as long as it lives."""
    return FileLock(folder / _LOCK, timeout=0, thread_local=False)


class RecoveryFolder:
    """Writes snapshots into a folder of its own; only what has changed.

    Parameters
    ----------
    path : Path
        The folder. It is made when there is something to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = lock_of(path)
        self._label_shape: tuple[int, ...] = ()
        self._is_written = False
        # What session.json names: planes, and works by identity, which are kept alive for it.
        self._blocks: dict[BlockIndex, str] = {}
        self._works: dict[int, tuple[AtWork, str]] = {}
        # Planes that have changed since then.
        self._unsaved: dict[BlockIndex, PackedBlock | None] = {}
        self._parts: set[str] = set()
        self._count = 0

    def write(self, snapshot: Snapshot, dirty: Collection[BlockIndex] | None) -> None:
        """Write what has changed.

        Parameters
        ----------
        snapshot : Snapshot
            All of the state. Its labels need to hold the dirty planes only, and the first time all
            that are not 0.
        dirty : collection of index, or None
            Planes that changed since the last call, whether that one succeeded or not. One that the
            labels do not hold is all 0. None if any may have changed.

        Raises
        ------
        OSError
            If it cannot be written. What was written before is still there, and the planes are
            remembered for the next call.
        """
        self._note_changes(snapshot, dirty)
        left = {i for i, block in {**self._blocks, **self._unsaved}.items() if block is not None}
        if not left and _is_empty(snapshot.state):
            self._clear()
            return
        self._open()
        blocks = self._write_blocks()
        works = self._write_works(snapshot.state)
        names = {key: name for key, (_, name) in works.items()}
        self._replace_session(encode_session(snapshot, names, blocks))
        self._is_written = True
        self._blocks, self._works, self._unsaved = blocks, works, {}
        self._remove_unnamed()

    def close(self) -> None:
        """Let go of the folder: from now on others may offer it to the user."""
        self._lock.release()
        if not (self.path / SESSION).exists():
            remove_folder(self.path)

    def remove(self) -> None:
        """Remove the folder: the work is not needed, or is safe elsewhere."""
        self.close()
        remove_folder(self.path)

    def _note_changes(self, snapshot: Snapshot, dirty: Collection[BlockIndex] | None) -> None:
        if snapshot.label_shape != self._label_shape:
            self._label_shape, self._unsaved = snapshot.label_shape, {}
            self._unsaved = dict.fromkeys(self._blocks)
            self._is_written = False
        changed: Mapping[BlockIndex, Block] = snapshot.labels
        if dirty is not None and self._is_written:
            changed = {index: changed[index] for index in dirty if index in changed}
        candidates = {*self._blocks, *self._unsaved} if dirty is None else dirty
        self._unsaved |= {index: None for index in candidates if index not in changed}
        self._unsaved |= pack_blocks(changed, snapshot.grid, snapshot.label_dtype)

    def _open(self) -> None:
        if not self._lock.is_locked:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()

    def _write_blocks(self) -> dict[BlockIndex, str]:
        blocks = dict(self._blocks)
        for index, block in self._unsaved.items():
            if block is None:
                blocks.pop(index, None)
            else:
                part = self._write_part([(_BLOCK, block.content)])
                blocks[index] = f"{part}/{_BLOCK}"
        return blocks

    def _write_works(self, state: State) -> dict[int, tuple[AtWork, str]]:
        """Write new works: the one at work into a part of its own, because it changes soonest."""
        works = works_of(state)
        fresh = [work for key, work in works.items() if key not in self._works]
        names = {key: self._works[key][1] for key in works if key in self._works}
        for group in (
            [work for work in fresh if work is state.at_work],
            [work for work in fresh if work is not state.at_work],
        ):
            if group:
                part = self._write_part(
                    member for i, work in enumerate(group) for member in work_members(str(i), work)
                )
                names |= {id(work): f"{part}/{i}" for i, work in enumerate(group)}
        return {key: (work, names[key]) for key, work in works.items()}

    def _write_part(self, members: Iterable[tuple[str, bytes]]) -> str:
        self._count += 1
        name = f"part-{self._count:06}"
        self._parts.add(name)  # before it is there: what fails half-way is removed later
        write_zip(self.path / f"{name}.zip", members)
        return name

    def _replace_session(self, content: bytes) -> None:
        temporary = self.path / _INCOMPLETE
        temporary.unlink(missing_ok=True)  # of a call that failed
        write_file(temporary, content)
        put_in_place(temporary, self.path / SESSION)

    def _remove_unnamed(self) -> None:
        names = [*self._blocks.values(), *(name for _, name in self._works.values())]
        for part in self._parts - {name.partition("/")[0] for name in names}:
            with suppress(OSError):  # a scanner may hold it: another time
                (self.path / f"{part}.zip").unlink(missing_ok=True)
                self._parts.remove(part)

    def _clear(self) -> None:
        """Leave nothing to recover: session.json goes first."""
        if self._is_written:
            (self.path / SESSION).unlink(missing_ok=True)
            self._is_written = False
        self._blocks, self._works, self._unsaved = {}, {}, {}
        self._remove_unnamed()


class FolderMembers:
    """The members of a folder that `RecoveryFolder` wrote; close it.

    Parameters
    ----------
    path : Path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = ""
        self._members: ZipMembers | None = None

    def __enter__(self) -> FolderMembers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the part that is open."""
        if self._members is not None:
            self._members.close()
        self._members, self._part = None, ""

    def read(self, name: str, max_bytes: int | None = None) -> bytes:
        """Give a member; `MalformedError` if it is not there, `OSError` if it cannot be read."""
        if name == SESSION:
            return (self._path / SESSION).read_bytes()
        named = _NAME.fullmatch(name)
        if named is None:
            raise MalformedError(f"{name[:40]!r} is no name of a part")
        return self._open(named[1]).read(named[2], max_bytes)

    def _open(self, part: str) -> ZipMembers:
        if self._members is None or part != self._part:
            self.close()
            self._members, self._part = ZipMembers(self._path / f"{part}.zip"), part
        return self._members


def remove_folder(path: Path) -> None:
    """Remove a folder of ours; session.json goes first, so that it is whole or nothing.

    What cannot be removed now stays, and is no session.
    """
    with suppress(OSError):
        (path / SESSION).unlink(missing_ok=True)
        for pattern in ("part-*.zip", _INCOMPLETE, _LOCK):
            for file in path.glob(pattern):
                file.unlink(missing_ok=True)
        path.rmdir()
        path.parent.rmdir()  # of the image, if this was the last


def _is_empty(state: State) -> bool:
    work = state.at_work
    return not (work.prompts or work.planes or work.original or state.objects or state.strays)
