"""Keeps what was annotated safe against a crash, in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from napari.layers import Image
from qtpy.QtWidgets import QWidget

from napari_sam2.errors import Sam2Error
from napari_sam2.layers.snapshots import name_of, take_snapshot, touched_blocks
from napari_sam2.session.document import Document
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.objects import State
from napari_sam2.session.recovery import Recovery
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.session.storage.label_grid import BlockIndex
from napari_sam2.widget.look import delayed
from napari_sam2.widget.runner import Jobs, ignore

_DELAY_MS = 1_000  # many changes are one write
_log = logging.getLogger(__name__)


class Autosave:
    """Writes a document's changes soon after they are made.

    What could not be written is tried again with the next change, and told once.

    Parameters
    ----------
    document : Document
        Is followed until `close`.
    saved : State
        What need not be written: the document's state before anything was done.
    image : Image
        What is annotated.
    known_as : str
        The image's fingerprint.
    recovery : Recovery
        Where to write.
    jobs : Jobs
        Does it.
    failed : callable
        Told a sentence when it did not work.
    parent : QWidget
        Of the timer.
    """

    def __init__(
        self,
        document: Document,
        saved: State,
        image: Image,
        known_as: str,
        recovery: Recovery,
        jobs: Jobs,
        failed: Callable[[str], None],
        parent: QWidget,
    ) -> None:
        self._document, self._image, self._known_as = document, image, known_as
        self._name = name_of(document)
        self._recovery, self._jobs, self._failed = recovery, jobs, failed
        self._saved = saved
        self._unwritten = _Changes(None)
        self._writing: _Write | None = None  # by a job
        self._is_failing = False
        self._busy = Lock()  # held by whoever touches the disk
        self._is_closed = False
        self._timer = delayed(parent, _DELAY_MS, self.write_now)
        document.edited.connect(self._on_edited)
        document.changed.connect(self._on_changed)
        if not self.is_up_to_date:
            self._timer.start()

    @property
    def is_up_to_date(self) -> bool:
        """Whether all that was done is written."""
        return self._document.state is self._saved

    def write_now(self) -> None:
        """Begin to write what is not written yet; later, if something is being written."""
        if self._writing is not None:
            self._timer.start()
        elif not self.is_up_to_date:
            self._writing = write = self._prepare()

            def work() -> None:
                with self._busy:
                    if not self._is_closed:
                        self._do(write)

            self._jobs.start(
                work, lambda _: self._on_done(write), lambda error: self._on_failed(write, error)
            )

    def write_then(self, act: Callable[[], None]) -> None:
        """Write now, and call this on the same thread as soon as all that is here is written."""
        self._unwritten.then.append(act)
        self.write_now()

    def forget(self, state: State) -> None:
        """Remove what is kept, if this state, which was saved elsewhere, is still the present."""
        if state is not self._document.state:
            return  # more was done since
        self._timer.stop()
        self._saved, self._unwritten, self._writing = state, _Changes(None), None

        def work() -> None:
            with self._busy:
                if not self._is_closed:
                    self._recovery.forget(self._known_as, self._name)

        self._jobs.start(work, ignore, ignore)

    def close(self) -> None:
        """Write what is not written yet, at once, and follow the document no more."""
        self._document.edited.disconnect(self._on_edited)
        self._document.changed.disconnect(self._on_changed)
        self._timer.stop()
        with self._busy:  # a job that has begun ends; one that waits does nothing any more
            self._is_closed = True
            if self.is_up_to_date:
                return
            if self._writing is not None:
                self._unwritten = self._writing.changes.and_then(self._unwritten)
            try:
                self._do(self._prepare())
            except Sam2Error as error:
                _log.warning("%s", error)

    def _on_edited(self, edit: PixelEdit) -> None:
        if self._unwritten.blocks is not None:
            self._unwritten.blocks |= touched_blocks(edit, self._document.labels.shape)

    def _on_changed(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _prepare(self) -> _Write:
        """Take what is to be written, so that any thread can write it."""
        changes, self._unwritten = self._unwritten, _Changes(set())
        snapshot = take_snapshot(self._document, self._image, self._known_as, changes.blocks)
        return _Write(snapshot, changes)

    def _do(self, write: _Write) -> None:
        self._recovery.write(write.snapshot, write.changes.blocks, self._name)
        for act in write.changes.then:
            act()

    def _on_done(self, write: _Write) -> None:
        if write is self._writing:  # it was not forgotten meanwhile
            self._saved, self._writing, self._is_failing = write.snapshot.state, None, False

    def _on_failed(self, write: _Write, error: Exception) -> None:
        if write is self._writing:
            self._unwritten, self._writing = write.changes.and_then(self._unwritten), None
        if not self._is_failing:
            self._is_failing = True
            self._failed(str(error))


@dataclass
class _Changes:
    """What is to be written, and what then is to be done.

    Attributes
    ----------
    blocks : set of index, or None
        Blocks of the labels that have changed; None for all.
    then : list of callable
        Waits for it.
    """

    blocks: set[BlockIndex] | None
    then: list[Callable[[], None]] = field(default_factory=list)

    def and_then(self, later: _Changes) -> _Changes:
        """Give these changes and later ones together."""
        is_all = self.blocks is None or later.blocks is None
        blocks = None if is_all else {*(self.blocks or ()), *(later.blocks or ())}
        return _Changes(blocks, [*self.then, *later.then])


@dataclass(frozen=True, eq=False)
class _Write:
    snapshot: Snapshot
    changes: _Changes
