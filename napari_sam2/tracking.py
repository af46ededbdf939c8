"""Follows objects on the worker, and puts what is found into the document, plane by plane."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from psygnal import Signal

from napari_sam2.asker import Asker, Report, Runner, Tell
from napari_sam2.errors import Sam2Error, sentence_of
from napari_sam2.session.document import Document
from napari_sam2.session.objects import Answer
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.track_job import Told, TrackJob, TrackStarted
from napari_sam2.session.track_plan import TrackPlan, is_own
from napari_sam2.session.tracks import TrackedMask

Track = Callable[[TrackJob, Tell, Report], None]


class Tracking:
    """One propagation at a time; questions wait as long as it runs.

    Whatever else is done to the document ends it: a click, a stroke, undo. What is done stays, as
    one step.

    Parameters
    ----------
    runner : Runner
        Where `track` runs.
    track : callable
        Follows the objects of a job, and tells what it finds.
    asker : Asker
        Uses the same runner, and is held meanwhile.

    Attributes
    ----------
    ends : dict of (int, int) to str
        Why tracks of the last run ended, by object and frame.
    started : Signal(TrackStarted)
        The model is there.
    progressed : Signal(int, int, float)
        Planes done, at most to be done, and seconds.
    ended : Signal(str)
        What has become of it, one sentence or more.
    failed : Signal(str)
        One sentence, instead of `ended`.
    """

    started = Signal(object)
    progressed = Signal(int, int, float)
    ended = Signal(str)
    failed = Signal(str)

    def __init__(self, runner: Runner, track: Track | None, asker: Asker) -> None:
        self._runner, self._track, self._asker = runner, track, asker
        self._writer: _Writer | None = None
        self._is_running = False  # the worker may go on for a plane after the writer has gone
        self.ends: dict[tuple[int, int], str] = {}

    @property
    def is_possible(self) -> bool:
        """Whether objects can be followed at all."""
        return self._track is not None

    @property
    def running(self) -> bool:
        """Whether objects are followed, or about to be."""
        return self._is_running

    def start(self, document: Document, plan: TrackPlan, job: TrackJob) -> None:
        """Follow objects; one run must have ended before the next."""
        assert not self._is_running
        assert self._track is not None
        self._is_running = True
        self.ends = {}
        self._writer = _Writer(document, plan, self._on_disturbed)
        self.progressed.emit(0, self._writer.total, 0.0)
        self._asker.hold(partial(self._begin, partial(self._track, job)))

    def stop(self, *, revert: bool = False, why: str = "Stopped.") -> None:
        """End it; what is done stays, unless it is to be taken back."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if revert and writer.count:
            writer.revert()
        self._runner.cancel()
        self.ended.emit(f"{why} {writer.what_stays(reverted=revert)}")

    def forget(self) -> None:
        """End it, and say nothing: there is another document."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            self._runner.cancel()
            self.ended.emit("")
        self.ends = {}

    def _begin(self, work: Callable[[Tell, Report], None]) -> None:
        if self._writer is None:  # stopped before the worker was free
            self._finish()
        else:
            self._runner.stream(work, self._on_came, self._on_done, self._on_failed, _pass_over)

    def _on_came(self, value: Told) -> None:
        writer = self._writer
        if writer is None:
            return
        if isinstance(value, TrackStarted):
            writer.model = value
            self.started.emit(value)
            return
        if value.stop:
            self.ends[value.object_id, value.frame] = value.stop
        writer.put(value)
        self.progressed.emit(writer.done, writer.total, writer.seconds)

    def _on_done(self, _nothing: object) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.clear_stale()
            writer.close()
            self.ended.emit(f"{writer.what_stays()} {self._in_words()}".rstrip())
        self._finish()

    def _on_failed(self, error: Exception) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            is_ours = isinstance(error, (Sam2Error, ValueError))
            self.failed.emit(str(error) if is_ours else sentence_of(error))
        self._finish()

    def _finish(self) -> None:
        self._is_running = False
        self._asker.release()

    def _on_disturbed(self) -> None:
        self.stop(why="Stopped, because something else was changed.")

    def _in_words(self) -> str:
        """Say why tracks ended; of many, the first."""
        if not self.ends:
            return ""
        (object_id, frame), why = next(iter(self.ends.items()))
        more = f" ({len(self.ends) - 1} more ended)" if len(self.ends) > 1 else ""
        return f"Object {object_id} ends at plane {frame}: {why}{more}."


class _Writer:
    """Puts masks into a document, as one step, as long as nobody else changes it."""

    def __init__(self, document: Document, plan: TrackPlan, disturbed: Callable[[], None]) -> None:
        self._document, self._plan, self._disturbed = document, plan, disturbed
        self._is_writing = False
        self._seen: set[int] = set()
        self._answered: set[tuple[int, int]] = set()
        self._began = time.monotonic()
        self.model = TrackStarted("auto", "", "", has_memory=False)
        self.count = 0  # of changes
        self._state = document.state
        document.changed.connect(self._on_changed)

    @property
    def total(self) -> int:
        """How many planes there are at most."""
        return self._plan.last - self._plan.first + 1

    @property
    def done(self) -> int:
        """How many planes are done."""
        return len(self._seen)

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._began

    def close(self) -> None:
        """Write nothing more."""
        self._document.changed.disconnect(self._on_changed)

    def put(self, found: TrackedMask) -> None:
        """Write a mask, unless the plane is the user's."""
        object_id, frame = found.object_id, found.frame
        if self._plan.first <= frame <= self._plan.last:
            self._seen.add(frame)
        self._answered.add((object_id, frame))
        if found.role == "prompted" or frame in self._plan.own.get(object_id, ()):
            return
        answer = None
        if found.mask:
            score = (found.score,)
            answer = Answer(
                Prompts(),
                (found.mask,),
                score,
                model=self.model.model,
                weights_hash=self.model.weights_hash,
            )
        self._write(frame, object_id, answer)

    def clear_stale(self) -> None:
        """Remove what an earlier run has found where this one found that the object has gone."""
        at_work = self._document.at_work
        if all(one.object_id != at_work.object_id for one in self._plan.objects):
            return
        for frame in range(self._plan.first, self._plan.last + 1):
            work = at_work.planes.get(self._plan.planes[frame])
            is_stale = work is not None and not is_own(work)
            if is_stale and (at_work.object_id, frame) not in self._answered:
                self._write(frame, at_work.object_id, None)

    def revert(self) -> None:
        """Take all of it back."""
        self._document.undo()

    def what_stays(self, *, reverted: bool = False) -> str:
        """Say what has been done."""
        planes = f"{self.done} plane{'s' * (self.done != 1)}"
        if reverted:
            return f"All {planes} are as they were."
        return f"{planes} followed; one undo takes them back." if self.count else ""

    def _write(self, frame: int, object_id: int, answer: Answer | None) -> None:
        plane, document = self._plan.planes[frame], self._document
        if answer is None and plane not in document.at_work.planes:
            return
        title = "" if self.count else self._title()
        self.count += 1
        self._is_writing = True
        try:
            document.put_tracked(plane, object_id, answer, title)
        finally:
            self._is_writing = False
        self._state = document.state

    def _title(self) -> str:
        objects = self._plan.objects
        if len(objects) == 1:
            return f"follow object {objects[0].object_id}"
        return f"follow {len(objects)} objects"

    def _on_changed(self) -> None:
        # Clean-up options are told of as well, with the same state.
        if not self._is_writing and self._document.state is not self._state:
            self._disturbed()


def _pass_over(_stage: str) -> None:
    """Progress is told by planes."""
