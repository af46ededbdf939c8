"""What the status line says: the last word of those who have something to say."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.notifications import show_warning

from napari_sam2.widget.status_line import StatusLine


class Speech:
    """A complaint comes before a note, a note before what can be done now.

    Parameters
    ----------
    status : StatusLine
        Says it.
    is_seen : callable
        Tells whether the status line can be seen; napari's notifications help out where not.

    Attributes
    ----------
    note, complaint : str
        What is to be said until something else happens; empty for nothing.
    """

    def __init__(self, status: StatusLine, is_seen: Callable[[], bool]) -> None:
        self.note = self.complaint = ""
        self._status, self._is_seen = status, is_seen
        self._warned = ""

    def say(self, otherwise: str) -> None:
        """Say what there is to say, or `otherwise`."""
        if self.complaint:
            self._status.complain(self.complaint)
        else:
            self._status.say(self.note or otherwise)

    def say_note(self, note: str) -> None:
        """Say a note from now on, whether or not the worker is busy; or none any more."""
        self.note, self.complaint = note, ""
        if note:
            self._status.say(note)

    def announce(self, note: str) -> None:
        """Say a note that must not be missed."""
        self.say_note(note)
        if not self._is_seen():
            show_warning(note)

    def complain(self, sentence: str) -> None:
        """Say what went wrong from now on."""
        self.complaint = sentence
        self._status.rest()
        self._status.complain(sentence)
        if not self._is_seen() and sentence != self._warned:
            self._warned = sentence  # once, not at each new try
            show_warning(sentence)

    def calm_down(self) -> None:
        """Take note that it works."""
        self._warned = ""

    def reset(self) -> None:
        """Forget what was to be said."""
        self.note = self.complaint = ""
