"""Trains on a worker thread, and tells how far it is on the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event

from qtpy.QtCore import QObject, QThreadPool, Signal  # type: ignore[attr-defined]  # qtpy's is an alias

from napari_sam2.training.tuning import Job, Outcome, Progress
from napari_sam2.widget.elsewhere import do_elsewhere
from napari_sam2.widget.runner import CancelledError

Train = Callable[[Job, Callable[[Progress], None]], Outcome]


def train_with_torch(job: Job, tell: Callable[[Progress], None]) -> Outcome:
    """Train; torch is imported here, on the worker."""
    from napari_sam2.training.own import train_own

    return train_own(job, tell)


class TrainingRunner(QObject):
    """Does one training at a time; after `close` it is stopped, and nobody is called any more.

    Parameters
    ----------
    train : callable
        Does it, on the worker thread; what `tell` raises stops it.
    """

    _progressed = Signal(object)  # emitted by the worker: Qt queues it to this object's thread

    def __init__(self, train: Train = train_with_torch) -> None:
        super().__init__()
        self._train = train
        self._stopped = Event()  # asked by the worker
        self._tell: Callable[[Progress], None] | None = None
        self._done: Callable[[Outcome], None] | None = None
        self._failed: Callable[[Exception], None] | None = None
        self._progressed.connect(self._on_progressed)

    def start(
        self,
        job: Job,
        tell: Callable[[Progress], None],
        done: Callable[[Outcome], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Train; a training that was stopped fails with `CancelledError`."""
        self._tell, self._done, self._failed = tell, done, failed
        self._stopped.clear()
        do_elsewhere(partial(self._work, job), self._on_returned, self._on_errored)

    def stop(self) -> None:
        """Stop after the present step; what was learnt so far is kept."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and forget whom to call."""
        self.stop()
        self._tell = self._done = self._failed = None

    def _work(self, job: Job) -> Outcome:
        pool = QThreadPool.globalInstance()
        assert pool is not None
        pool.releaseThread()  # for answers: on a single core the pool has one thread
        try:
            return self._train(job, self._emit)
        finally:
            pool.reserveThread()

    def _emit(self, progress: Progress) -> None:
        if self._stopped.is_set():
            raise CancelledError("Training was stopped.")
        self._progressed.emit(progress)

    def _on_progressed(self, progress: Progress) -> None:
        if self._tell is not None:
            self._tell(progress)

    def _on_returned(self, outcome: Outcome) -> None:
        if self._done is not None:
            self._done(outcome)

    def _on_errored(self, error: Exception) -> None:
        if self._failed is not None:
            self._failed(error)
