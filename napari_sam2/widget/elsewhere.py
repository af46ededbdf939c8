"""The only place that starts a thread, and hands its outcome back to the thread that asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from qtpy.QtCore import QObject, QThreadPool, Signal  # type: ignore[attr-defined]  # qtpy's alias


def do_elsewhere(
    work: Callable[[], Any],
    returned: Callable[[Any], None],
    errored: Callable[[Exception], None],
) -> None:
    """Do `work` on a thread of Qt's pool; then call `returned` or `errored` on this thread.

    superqt has such workers too, but they swap `warnings.showwarning` while they run, which all
    threads share: when the GUI thread does so at that time as well, as numpy and pandas do, that of
    a dead worker stays, and the next warning anywhere is an error.
    """
    errand = _Errand(work, returned, errored)
    pool = QThreadPool.globalInstance()
    assert pool is not None
    pool.start(errand.run)


class _Errand(QObject):
    """One piece of work; lives on the thread that asked for it, to which Qt carries the signal."""

    _ended = Signal(object)  # this itself, so that it lives until the outcome is there

    def __init__(
        self,
        work: Callable[[], Any],
        returned: Callable[[Any], None],
        errored: Callable[[Exception], None],
    ) -> None:
        super().__init__()
        self._work, self._returned, self._errored = work, returned, errored
        self._value: Any = None
        self._error: Exception | None = None
        self._ended.connect(self._on_ended)

    def run(self) -> None:
        """Do it; on another thread."""
        try:
            self._value = self._work()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is handed over
            self._error = error
        with suppress(RuntimeError):  # Qt has ended, and with it everything that would listen
            self._ended.emit(self)

    def _on_ended(self, _errand: object) -> None:
        self.deleteLater()  # here, and not on the other thread, if that lets go of it last
        if self._error is None:
            self._returned(self._value)
        else:
            self._errored(self._error)
