"""Work that survives a crash: written in the background, offered back on the same image."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Lock
from uuid import uuid4

from platformdirs import user_data_path

from napari_sam2.errors import ProjectError
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.session.storage.json_values import MalformedError
from napari_sam2.session.storage.label_grid import BlockIndex
from napari_sam2.session.storage.recovery_folder import (
    FolderMembers,
    RecoveryFolder,
    lock_of,
    remove_folder,
)
from napari_sam2.session.storage.session_json import (
    SESSION,
    NewerFormatError,
    read_snapshot,
    read_written,
)

MAX_DAYS = 30
MAX_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Found:
    """Work that a process which is no more has left.

    Attributes
    ----------
    fingerprint : str
        Of the image.
    folder : Path
        Where it is.
    written : datetime
        When it was written, with time zone.
    objects : int
        How many were kept; there may be one at work beside them.
    image_name : str
        Of the image's layer, then.
    """

    fingerprint: str
    folder: Path
    written: datetime
    objects: int
    image_name: str


class Recovery:
    """Keeps the work on images safe; all methods may be called from any thread.

    Each process, and each `Recovery` in it, writes into a folder of its own, locked as long as it
    lives: two on the same image do not disturb each other, and what is in use is not offered.

    Parameters
    ----------
    folder : Path, optional
        Where; by default in the user's data folder.
    max_days : float
        What was not touched for longer is removed.
    max_bytes : int
        The oldest is removed above it. Never removed: what is in use, and what was left on an image
        that this process has worked on.
    """

    def __init__(
        self, folder: Path | None = None, max_days: float = MAX_DAYS, max_bytes: int = MAX_BYTES
    ) -> None:
        self._root = default_folder() if folder is None else folder
        self._max_age = timedelta(days=max_days)
        self._max_bytes = max_bytes
        self._own: dict[str, RecoveryFolder] = {}
        self._busy = Lock()

    def write(
        self,
        snapshot: Snapshot,
        dirty_blocks: Collection[BlockIndex] | None = None,
        document: str = "",
    ) -> None:
        """Keep a snapshot; only what changed since the last one is written.

        Parameters
        ----------
        snapshot : Snapshot
            All of the state. Its labels need to hold copies of the dirty planes only, and on the
            first call for an image all that are not 0.
        dirty_blocks : collection of index, or None
            Planes that changed since the last call, whether that one succeeded or not. One that
            the labels do not hold is all 0. None if any may have changed.
        document : str, optional
            A name that no other work has. What was left under the same name is removed: this is
            what has become of it.

        Raises
        ------
        ProjectError
            If it cannot be written. The next call makes up for it.
        """
        with self._busy:
            is_first = snapshot.image.fingerprint not in self._own
            own = self._own_folder(snapshot.image.fingerprint, _safe(document or uuid4().hex))
            try:
                own.write(snapshot, dirty_blocks)
            except OSError as error:
                raise ProjectError(
                    f"Your work could not be kept safe against a crash in {own.path} "
                    f"({error.strerror or error}). Go on, but make room there or save the session."
                ) from error
            if is_first:
                self._remove_earlier(own.path)
                self._remove_old()

    def find(self, fingerprint: str) -> Found | None:
        """Give the latest work that was left on an image, if any."""
        found = [one for folder in self._left(fingerprint) if (one := _look(folder))]
        return max(found, key=lambda one: one.written, default=None)

    def load(self, found: Found) -> Snapshot:
        """Read what was found; it stays where it is until `discard`.

        Raises
        ------
        ProjectError
            If it is damaged, gone, or of a later format.
        """
        try:
            with FolderMembers(found.folder) as members:
                return read_snapshot(members)
        except (OSError, MalformedError, NewerFormatError) as error:
            raise ProjectError(
                f"The work of {found.written:%Y-%m-%d %H:%M} could not be brought back from "
                f"{found.folder} ({error}). It is left there as it is."
            ) from error

    def discard(self, found: Found) -> None:
        """Remove what was found: the user does not want it, or it has been written again."""
        with self._busy:
            _remove_unless_in_use(found.folder)

    def forget(self, fingerprint: str, document: str = "") -> None:
        """Remove what this process keeps of an image: the user has saved it elsewhere.

        Parameters
        ----------
        fingerprint : str
            Of the image.
        document : str, optional
            As for `write`: what was left under this name goes as well.
        """
        with self._busy:
            own = self._own.pop(fingerprint, None)
            if own is not None:
                own.remove()
            for folder in _folders(self._root / _safe(fingerprint)):
                if document and _document_in(folder) == _safe(document):
                    _remove_unless_in_use(folder)

    def keeps(self, fingerprint: str) -> bool:
        """Tell whether this has written something of an image that is still in use."""
        with self._busy:
            return fingerprint in self._own

    def release(self, fingerprint: str) -> None:
        """Let go of what is kept of an image: it is found from now on, and nothing added to it."""
        with self._busy:
            own = self._own.pop(fingerprint, None)
            if own is not None:
                own.close()

    def close(self) -> None:
        """Stop. What is kept stays, and will be found."""
        with self._busy:
            for own in self._own.values():
                own.close()
            self._own.clear()

    def _own_folder(self, fingerprint: str, document: str) -> RecoveryFolder:
        if fingerprint not in self._own:
            now = datetime.now(timezone.utc)
            name = f"{now:%Y%m%dT%H%M%S%f}-{os.getpid()}-{document}"
            self._own[fingerprint] = RecoveryFolder(self._root / _safe(fingerprint) / name)
        return self._own[fingerprint]

    def _left(self, fingerprint: str = "") -> Iterator[Path]:
        """Give the folders that no process is using, of one image or of all."""
        images = [self._root / _safe(fingerprint)] if fingerprint else _folders(self._root)
        for image in images:
            yield from (folder for folder in _folders(image) if not _is_in_use(folder))

    def _remove_earlier(self, own: Path) -> None:
        """Remove what was left of the same work: there is more of it now."""
        for folder in _folders(own.parent):
            if folder != own and _document_in(folder) == _document_in(own):
                _remove_unless_in_use(folder)

    def _remove_old(self) -> None:
        """Remove what is too old, and the oldest of what is too much."""
        current = {_safe(fingerprint) for fingerprint in self._own}
        left = [folder for folder in self._left() if folder.parent.name not in current]
        left.sort(key=_touched)
        total = sum(_weight(folder) for image in _folders(self._root) for folder in _folders(image))
        oldest = datetime.now(timezone.utc) - self._max_age
        for folder in left:
            if total > self._max_bytes or _touched(folder) < oldest:
                total -= _weight(folder)
                _remove_unless_in_use(folder)


def default_folder() -> Path:
    """Give where work is kept for this user."""
    return user_data_path("napari-sam2", appauthor=False) / "recovery"


def _look(folder: Path) -> Found | None:
    try:
        with FolderMembers(folder) as members:
            written, image, objects = read_written(members)
    except (OSError, MalformedError, NewerFormatError):
        return None  # not ours, or not whole: nothing to offer
    return Found(image.fingerprint, folder, written.at, objects, image.name)


def _is_in_use(folder: Path) -> bool:
    lock = lock_of(folder)
    try:
        lock.acquire()
    except OSError:  # Timeout is one
        return True
    lock.release()
    return False


def _remove_unless_in_use(folder: Path) -> None:
    if folder.is_dir() and not _is_in_use(folder):
        remove_folder(folder)


def _folders(path: Path) -> list[Path]:
    try:
        return [entry for entry in path.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except OSError:
        return []  # not there


def _touched(folder: Path) -> datetime:
    session = folder / SESSION
    try:
        seconds = (session if session.exists() else folder).stat().st_mtime
    except OSError:
        seconds = 0.0
    return datetime.fromtimestamp(seconds, timezone.utc)


def _weight(folder: Path) -> int:
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0


def _document_in(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def _safe(fingerprint: str) -> str:
    """Give a name for a folder: a fingerprint is one, unless somebody made it up."""
    kept = "".join(c for c in fingerprint if c.isascii() and c.isalnum())
    return kept or "unknown"
