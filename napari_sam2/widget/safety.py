"""Keeps the work on the chosen image safe, and finds what a crash has left of earlier work."""

from __future__ import annotations

from collections.abc import Callable

from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QWidget

from napari_sam2.errors import ProjectError, sentence_of
from napari_sam2.layers.snapshots import fingerprint_of
from napari_sam2.session.document import Document
from napari_sam2.session.objects import State
from napari_sam2.session.recovery import Found, Recovery
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.widget.autosave import Autosave
from napari_sam2.widget.runner import Jobs, ignore


class Safety:
    """Begins saving once an image's fingerprint is known; all of it in the background.

    Parameters
    ----------
    recovery : Recovery
        Where work is kept.
    jobs : Jobs
        Does it.
    parent : QWidget
        Of the timers.

    Attributes
    ----------
    offer : Found or None
        What was left on the image.
    found : Signal(Image)
        There is an offer for this image.
    failed : Signal(str)
        One sentence for the user.
    """

    found = Signal(object)
    failed = Signal(str)

    def __init__(self, recovery: Recovery, jobs: Jobs, parent: QWidget) -> None:
        self.offer: Found | None = None
        self._recovery, self._jobs, self._parent = recovery, jobs, parent
        self._autosave: Autosave | None = None
        self._following: tuple[Document, State, Image] | None = None  # as it was at first
        self._known: tuple[Image, str] | None = None  # the last image, with its fingerprint

    @property
    def is_safe(self) -> bool:
        """Whether all that was done would come back after a crash."""
        return self._autosave is not None and self._autosave.is_up_to_date

    def look_for(self, image: Image) -> None:
        """Look for work that was left on an image, and tell if there is some.

        By an earlier process, or by this one if it is in no document any more: the user may have
        deleted the layer of objects.
        """
        self.offer = None
        fingerprint = fingerprint_of(image)
        is_lost = self._following is None or self._following[0].is_new

        def work() -> tuple[str, Found | None]:
            known_as = fingerprint()
            if is_lost:
                self._recovery.release(known_as)
            return known_as, self._recovery.find(known_as)

        def done(result: tuple[str, Found | None]) -> None:
            known_as, self.offer = result
            self._known = (image, known_as)
            self._begin()
            if self.offer is not None:
                self.found.emit(image)

        self._jobs.start(work, done, self._on_unread)

    def follow(self, document: Document, image: Image) -> None:
        """Save this document from now on."""
        self.leave()
        self._following = (document, document.state, image)
        known_as = self._known[1] if self._known and self._known[0] == image else None
        if known_as is None or (document.is_new and self._recovery.keeps(known_as)):
            self.look_for(image)
        self._begin()

    def leave(self) -> None:
        """Write what is not written yet, and save no more."""
        if self._autosave is not None:
            self._autosave.close()
        self._autosave = self._following = None

    def restore(self, done: Callable[[Snapshot], None]) -> None:
        """Read what is on offer; it stays until `restored`."""
        offer = self.offer
        if offer is not None:
            self._jobs.start(lambda: self._recovery.load(offer), done, self._on_failed)

    def restored(self) -> None:
        """Take note that the offer is on screen: once that is written again, it is removed."""
        offer, self.offer = self.offer, None
        if self._autosave is not None and offer is not None:
            self._autosave.write_then(lambda: self._recovery.discard(offer))

    def discard(self) -> None:
        """Remove all that was left on the image."""
        known, self.offer = self._known, None

        def work() -> None:
            last = None
            while known is not None and (found := self._recovery.find(known[1])) is not None:
                if found == last:
                    raise ProjectError(
                        f"The unsaved work could not be removed from {found.folder}, and will be "
                        "offered again. Check that you may change that folder."
                    )
                self._recovery.discard(found)
                last = found

        self._jobs.start(work, ignore, self._on_failed)

    def forget(self, state: State) -> None:
        """Remove what is kept of the present work, if this state of it was saved elsewhere."""
        if self._autosave is not None:
            self._autosave.forget(state)

    def close(self) -> None:
        """Save no more; what is kept stays."""
        self.leave()
        self._recovery.close()

    def _begin(self) -> None:
        if self._following is None or self._known is None or self._autosave is not None:
            return
        document, state, image = self._following
        if self._known[0] == image:
            self._autosave = Autosave(
                document,
                state,
                image,
                self._known[1],
                self._recovery,
                self._jobs,
                self.failed.emit,
                self._parent,
            )

    def _on_unread(self, error: Exception) -> None:
        self.failed.emit(
            "Work on this image cannot be kept safe against a crash: the image could not be read "
            f"({sentence_of(error)}). Save the session often."
        )

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(sentence_of(error))
