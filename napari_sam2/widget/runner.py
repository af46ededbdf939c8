"""What is done on worker threads, one piece at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]  # qtpy's is an alias

from napari_sam2.asker import Report, Stream, Tell, Work
from napari_sam2.errors import Sam2Error
from napari_sam2.session.cache_folder import CacheFolder, CacheOptions
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction
from napari_sam2.session.track_job import TrackJob
from napari_sam2.session.view import Look
from napari_sam2.widget.elsewhere import do_elsewhere

if TYPE_CHECKING:
    from napari_sam2.session.lazy_segmenter import LazySegmenter

_log = logging.getLogger(__name__)


class CancelledError(Sam2Error):
    """The work was no longer wanted."""


class ThreadRunner(QObject):
    """Does one piece of work at a time on a worker thread, and calls back on the GUI thread.

    After `close` nothing is called any more; work that has begun ends unheard.
    """

    # Emitted by the worker: Qt queues them to the thread that this object lives on.
    _reported = Signal(str)
    _came = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._done: Callable[[Any], None] | None = None
        self._failed: Callable[[Exception], None] | None = None
        self._report: Report | None = None
        self._take: Tell | None = None
        self._cancelled = Event()  # asked by the worker
        self._reported.connect(self._on_reported)
        self._came.connect(self._on_came)

    def run(
        self,
        work: Work,
        done: Callable[[Prediction], None],
        failed: Callable[[Exception], None],
        reported: Report,
    ) -> None:
        """Start `work` on a worker thread; the work before it must have ended."""
        self._done, self._failed, self._report = done, failed, reported
        self._cancelled.clear()
        # All are bound, so that this object lives as long as the worker.
        do_elsewhere(partial(work, self._tell), self._on_returned, self._on_errored)

    def stream(
        self,
        work: Stream,
        came: Tell,
        done: Callable[[None], None],
        failed: Callable[[Exception], None],
        reported: Report,
    ) -> None:
        """Start work that tells several things; as `run`, and `came` gets each before the end."""
        self._done, self._failed, self._report, self._take = done, failed, reported, came
        self._cancelled.clear()
        do_elsewhere(partial(work, self._hand, self._tell), self._on_returned, self._on_errored)

    def cancel(self) -> None:
        """Let the work end at the next stage that it reports, or the next thing that it tells."""
        self._cancelled.set()

    def close(self) -> None:
        """Cancel, and forget whom to call."""
        self.cancel()
        self._done = self._failed = self._report = self._take = None

    def _tell(self, stage: str) -> None:
        if self._cancelled.is_set():
            raise CancelledError(f"Cancelled while {stage}.")
        self._reported.emit(stage)

    def _hand(self, value: Any) -> None:
        if self._cancelled.is_set():
            raise CancelledError("Cancelled between two planes.")
        self._came.emit(value)

    def _on_came(self, value: Any) -> None:
        if self._take is not None:
            self._take(value)

    def _on_returned(self, prediction: Any) -> None:
        if self._done is not None:
            self._done(prediction)

    def _on_errored(self, error: Exception) -> None:
        if not isinstance(error, Sam2Error):
            _log.error("The worker failed.", exc_info=error)
        if self._failed is not None:
            self._failed(error)

    def _on_reported(self, stage: str) -> None:
        if self._report is not None:
            self._report(stage)


class Jobs:
    """Does single pieces of work on a worker thread, one after the other; calls back as above."""

    def __init__(self) -> None:
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        self._is_closed = False

    @property
    def busy(self) -> bool:
        """Whether a piece of work is being done or waits."""
        return self._running is not None or bool(self._waiting)

    def start(
        self,
        work: Callable[[], Any],
        done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Do `work` after what waits already; then call `done` with what it gives, or `failed`."""
        if not self._is_closed:
            self._waiting.append(_Job(work, done, failed))
            self._start_next()

    def close(self) -> None:
        """Begin nothing more, and call nobody any more."""
        self._is_closed = True
        self._waiting.clear()

    def _start_next(self) -> None:
        if self._running is None and self._waiting:
            self._running = self._waiting.popleft()
            do_elsewhere(self._running.work, self._on_returned, self._on_errored)

    def _on_returned(self, value: Any) -> None:
        job, self._running = self._running, None
        if job is not None and not self._is_closed:
            try:
                job.done(value)
            finally:  # what waits does not depend on it
                self._start_next()

    def _on_errored(self, error: Exception) -> None:
        if not isinstance(error, Sam2Error):
            _log.error("A job in the background failed.", exc_info=error)
        job, self._running = self._running, None
        if job is not None and not self._is_closed:
            try:
                job.failed(error)
            finally:
                self._start_next()


def ignore(_outcome: object) -> None:
    """For a job of which nobody waits to hear."""


@dataclass(frozen=True)
class _Job:
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[Exception], None]


class LazyPredict:
    """Predicts with a segmenter that is made, and torch imported, on the worker thread.

    torch keeps its own number of threads: capped to one, tiny took 1.6 times as long, and a viewer
    that was panned meanwhile stood still no less. See docs/performance.md and its script,
    tests/benchmarks/stall.py.

    Attributes
    ----------
    device : str
        Where the last prediction was computed, for people; empty before the first.
    devices : dict of str to str
        The titles of the devices that are here, by name; empty until torch is imported.
    cache : CacheOptions
        Where features are kept from the next prediction on.
    trouble : str
        Why they are not kept on disk, one sentence; empty while all is well.
    displaced : float
        See `CacheFolder.displaced`.
    """

    def __init__(self) -> None:
        self.device = self.trouble = ""
        self.displaced = 0.0
        self.devices: dict[str, str] = {}
        self.cache = CacheOptions()
        self._lock = Lock()
        self._segmenter: LazySegmenter | None = None

    def __call__(self, request: Request, report: Report) -> Prediction:
        """Answer a request; see `LazySegmenter.predict`.

        A device that was remembered and is no longer here, is as "auto".
        """
        here = replace(request, device=_device_here(request.device))
        prediction = self._ready(report).predict(here, report)
        prediction.tidied(Cleanup())  # remembered: the viewer's thread need not label large masks
        self.device = _describe(prediction.device)
        return replace(prediction, request=request)

    def track(self, job: TrackJob, tell: Tell, report: Report) -> None:
        """Follow objects; see `LazySegmenter.track`."""
        here = replace(job, device=_device_here(job.device))
        self._ready(report).track(here, tell, report)
        self.device = _describe(here.device)

    def look(self, request: Request) -> Look:
        """Give what the model sees; see `LazySegmenter.look`."""
        return self._present().look(request)

    def _ready(self, report: Report) -> LazySegmenter:
        if self._segmenter is None:
            report("loading")  # torch itself takes a second or two
        segmenter = self._present()
        self.trouble = segmenter.use_cache(self.cache)
        self.displaced = segmenter.displaced
        return segmenter

    def clear_cache(self) -> None:
        """Remove all features that are kept; on a worker thread, for it may have to wait."""
        if self._segmenter is not None:
            self._segmenter.clear_cache()
        CacheFolder(self.cache.path).clear()

    def _present(self) -> LazySegmenter:
        from napari_sam2.session.device import list_devices
        from napari_sam2.session.lazy_segmenter import LazySegmenter

        with self._lock:
            if self._segmenter is None:
                self.devices = list_devices()
                self._segmenter = LazySegmenter()
            return self._segmenter


def _device_here(name: str) -> str:
    from napari_sam2.session.device import device_here

    return device_here(name)


def _describe(device: str) -> str:
    from napari_sam2.session.device import choose_device, describe_device

    return describe_device(choose_device(device))
