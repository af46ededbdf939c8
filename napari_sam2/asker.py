"""Asks one question at a time: the newest first, and of each plane only the newest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from psygnal import Signal

from napari_sam2.questions import Question
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction

Report = Callable[[str], None]
Predict = Callable[[Request, Report], Prediction]
Work = Callable[[Report], Prediction]
Tell = Callable[[Any], None]
Stream = Callable[[Tell, Report], None]


class Runner(Protocol):
    """Does work elsewhere, and calls back here: on the thread that called `run`."""

    def run(
        self,
        work: Work,
        done: Callable[[Prediction], None],
        failed: Callable[[Exception], None],
        reported: Report,
    ) -> None:
        """Start `work`; then call `reported` for each stage, and `done` or `failed` once."""

    def stream(
        self,
        work: Stream,
        came: Tell,
        done: Callable[[None], None],
        failed: Callable[[Exception], None],
        reported: Report,
    ) -> None:
        """Start work that tells several things, each of which `came` gets before the end."""

    def cancel(self) -> None:
        """Let the work end at the next stage that it reports; it has failed then."""


class Asker:
    """Keeps what waits, drops what nobody wants any more, and tells what came back.

    Parameters
    ----------
    runner : Runner
        Where `predict` runs.
    predict : callable
        Gives the prediction for a request.
    is_wanted : callable
        Tells whether the answer to a question is of use though it is not the newest.
    look_for_more : callable
        Gives a question when nothing waits, or None.

    Attributes
    ----------
    returned : Signal(Prediction)
        Any answer, also one that nobody wants any more: it tells what is embedded now.
    answered : Signal(Question, Prediction)
        An answer that is wanted.
    failed : Signal(Exception)
        Instead of an answer that was wanted.
    failed_aside : Signal(Exception)
        Instead of an embedding that nobody waits for.
    stage_changed : Signal(str)
        What the worker does; "" when at rest.
    """

    returned = Signal(object)
    answered = Signal(object, object)
    failed = Signal(object)
    failed_aside = Signal(object)
    stage_changed = Signal(str)

    def __init__(
        self,
        runner: Runner,
        predict: Predict,
        is_wanted: Callable[[Question], bool],
        look_for_more: Callable[[], Question | None],
    ) -> None:
        self._runner, self._predict = runner, predict
        self._is_wanted_still, self._look_for_more = is_wanted, look_for_more
        self._latest: Question | None = None  # about what is on screen
        self._waiting: dict[Plane, Question] = {}  # the newest one of each plane
        self._running: Question | None = None
        self._is_cancelled = False  # the running one
        self._in_vain: Question | None = None  # the last one without an answer
        self._is_aside = False  # nobody waits for the running one
        self._is_closed = False
        self._free: Callable[[], None] | None = None  # called once the worker has ended
        self._is_held = False
        self._is_choosing = False  # what is started next

    @property
    def busy(self) -> bool:
        """Whether the worker is at work on what somebody waits for."""
        return self._running is not None and not self._is_aside

    @property
    def awaits_mask(self) -> bool:
        """Whether a mask of the object at work is being made."""
        made = [*self._waiting.values(), *([self._running] if self._running else [])]
        return any(self._is_wanted_still(question) for question in made)

    def ask(self, question: Question | None) -> None:
        """Take the question about what is on screen, or that there is none; the same is ignored."""
        if self._is_closed:
            return
        if question != self._latest or self._is_unanswered(question):
            self._latest = question
            # What is embedded ahead is of use on screen only; masks are wanted wherever they are.
            self._waiting = {plane: q for plane, q in self._waiting.items() if q.prompts}
            if question is not None:
                self._take_on(question)
        self._start_next()

    def forget(self) -> None:
        """Ask nothing more; what runs is not wanted."""
        self._latest = None
        self._waiting.clear()

    def give_up(self, question: Question) -> None:
        """Do not look for this question again by ourselves."""
        self._in_vain = question

    def look_around(self) -> None:
        """Start what nobody asked yet, if nothing is asked."""
        if not self._is_closed:
            self._start_next()

    def move_to(self, device: str) -> None:
        """Let another device answer what waits."""
        self._waiting = {
            plane: replace(question, request=replace(question.request, device=device))
            for plane, question in self._waiting.items()
        }

    def hold(self, free: Callable[[], None]) -> None:
        """Start nothing more, and call `free` when the worker is free for something else."""
        self._is_held, self._free = True, free
        self._let_go()

    def release(self) -> None:
        """Go on: the worker is free again."""
        self._is_held, self._free = False, None
        self._go_on()

    def close(self) -> None:
        """Ask nothing more, and tell nothing any more."""
        self._is_closed = True
        self.forget()

    def _is_unanswered(self, question: Question | None) -> bool:
        """Tell whether nobody is at work on the newest question: undo has taken its answer back."""
        if question is None or not question.prompts or question == self._in_vain:
            return False
        return question != self._running and question not in self._waiting.values()

    def _take_on(self, question: Question) -> None:
        self._waiting.pop(question.plane, None)
        self._waiting[question.plane] = question
        if question == self._running:
            self._is_aside = False
        if self._running is not None and self._is_superseded(self._running, question):
            self._is_cancelled = True
            self._runner.cancel()

    def _is_superseded(self, running: Question, question: Question) -> bool:
        """Tell whether work is not worth being finished before a question is answered.

        For another model it may be a download of minutes; what is embedded ahead is of no use once
        something else is on screen. A click on what is being embedded has use for it.
        """
        before, after = running.request, question.request
        if (before.model, before.device) != (after.model, after.device):
            return True
        is_ahead = not running.prompts and not question.prompts and not self._is_aside
        return is_ahead and running != question

    def _start_next(self) -> None:
        """Start what was asked last and is wanted still, or look for what nobody asked yet.

        Who looks for more shows progress, and Qt may work meanwhile: what is asked then has to
        wait, or two questions would be at work.
        """
        if self._is_held or self._is_choosing or self._running is not None:
            return
        self._is_choosing = True
        try:
            question = self._choose()
        finally:
            self._is_choosing = False
        if question is not None and not self._is_closed:
            self._start(question)
        self._let_go()

    def _choose(self) -> Question | None:
        while True:
            while self._waiting:
                _, question = self._waiting.popitem()
                if self._is_wanted(question):
                    return question
            more = self._look_for_more()
            if more is not None and more != self._in_vain:
                return more
            if not self._waiting:
                return None

    def _let_go(self) -> None:
        """Tell who waits for the worker that it is free, if it is."""
        if self._running is None and not self._is_choosing:
            free, self._free = self._free, None
            if free is not None:
                free()

    def _is_wanted(self, question: Question) -> bool:
        return question == self._latest or self._is_wanted_still(question)

    def _start(self, question: Question) -> None:
        self._running, self._is_cancelled = question, False
        self._is_aside = not question.prompts and question != self._latest
        if not self._is_aside:
            self.stage_changed.emit("starting")
        self._runner.run(
            partial(self._predict, question.request),
            self._on_done,
            self._on_failed,
            self._on_reported,
        )

    def _on_done(self, prediction: Prediction) -> None:
        question = self._finish()
        if not self._is_closed:
            self.returned.emit(prediction)
        if not self._is_closed and self._is_wanted(question):
            self.answered.emit(question, prediction)
        self._go_on()

    def _on_failed(self, error: Exception) -> None:
        question = self._finish()
        if not self._is_closed and self._is_wanted(question):
            if self._is_cancelled:
                self._waiting.setdefault(question.plane, question)  # wanted again meanwhile
            else:
                self._latest, self._in_vain = None, question  # asking again tries again
                self.failed.emit(error)
        elif self._is_aside and not self._is_closed:
            self.failed_aside.emit(error)
        self._go_on()

    def _on_reported(self, stage: str) -> None:
        if not self._is_closed and not self._is_aside:
            self.stage_changed.emit(stage)

    def _finish(self) -> Question:
        """Take note that the worker is free, and give what it has worked on."""
        question = self._running
        assert question is not None
        self._running = None
        if self._waiting.get(question.plane) == question:
            del self._waiting[question.plane]  # asked again while it was made
        return question

    def _go_on(self) -> None:
        self._let_go()
        if not self._is_closed:
            self._start_next()
            if not self.busy:
                self.stage_changed.emit("")
