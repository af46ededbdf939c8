"""Keeps what was annotated safe against a crash, in the background."""

from __future__ import annotations

import logging
from collections.abc import Callable

from napari.layers import Image
from qtpy.QtWidgets import QWidget

from napari_sam2.errors import Sam2Error
from napari_sam2.layers.snapshots import BlockIndex, take_snapshot, touched_blocks
from napari_sam2.session.document import Document
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.recovery import Recovery
from napari_sam2.widget.look import delayed
from napari_sam2.widget.runner import Jobs

_DELAY_MS = 1_000  # many changes are one write
_log = logging.getLogger(__name__)


class Autosave:
    """Writes a document's changes soon after they are made.

    Parameters
    ----------
    document : Document
        Is followed until `close`.
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
        image: Image,
        known_as: str,
        recovery: Recovery,
        jobs: Jobs,
        failed: Callable[[str], None],
        parent: QWidget,
    ) -> None:
        self._document, self._image, self._known_as = document, image, known_as
        self._recovery, self._jobs, self._failed = recovery, jobs, failed
        self._dirty: set[BlockIndex] | None = None  # all, at first
        self._is_writing = False
        self._saved = document.state  # nothing has been done to it yet
        self._timer = delayed(parent, _DELAY_MS, self.write_now)
        document.edited.connect(self._on_edited)
        document.changed.connect(self._on_changed)

    def write_now(self) -> None:
        """Begin to write what is not written yet; later, if something is being written."""
        if self._is_writing:
            self._timer.start()
        elif self._document.state is not self._saved:
            self._is_writing = True
            self._jobs.start(self._prepare(), self._on_done, self._on_failed)

    def forget(self) -> None:
        """Remove what is kept: the user has saved it elsewhere."""
        self._timer.stop()
        self._saved, self._dirty = self._document.state, None
        self._jobs.start(lambda: self._recovery.forget(self._known_as), _ignore, self._on_failed)

    def close(self) -> None:
        """Write what is not written yet, at once, and follow the document no more."""
        self._document.edited.disconnect(self._on_edited)
        self._document.changed.disconnect(self._on_changed)
        self._timer.stop()
        if self._document.state is not self._saved:
            try:
                self._prepare()()
            except Sam2Error as error:
                _log.warning("%s", error)

    def _on_edited(self, edit: PixelEdit) -> None:
        if self._dirty is not None:
            self._dirty |= touched_blocks(edit)

    def _on_changed(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _prepare(self) -> Callable[[], None]:
        """Take what is to be written, and give what writes it on any thread."""
        dirty, self._dirty = self._dirty, set()
        self._saved = self._document.state
        snapshot = take_snapshot(self._document, self._image, self._known_as, dirty)
        return lambda: self._recovery.write(snapshot, dirty)

    def _on_done(self, _value: object) -> None:
        self._is_writing = False

    def _on_failed(self, error: Exception) -> None:
        self._is_writing = False
        self._failed(str(error))


def _ignore(_value: object) -> None: ...
