"""Keeps the newest question, and puts its answer into the document. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from napari.layers import Labels
from psygnal import Signal

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.label_source import read_label
from napari_sam2.layers.mask_writer import LabelLayer
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.answers import (
    LastChoice,
    Rule,
    answer_of,
    choose_candidate,
    last_choice_of,
)
from napari_sam2.session.document import Document
from napari_sam2.session.history import Step
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer, PlacedPrompts, PlaneWork
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import LowResMask, PlaneImage, Prompts, Request
from napari_sam2.session.results import Prediction

Report = Callable[[str], None]
Predict = Callable[[Request, Report], Prediction]
Work = Callable[[Report], Prediction]

_CLEARLY_LESS = 0.1  # a fall of the predicted IoU that is worth a word


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

    def cancel(self) -> None:
        """Let the work end at the next stage that it reports; it has failed then."""


@dataclass(frozen=True)
class _Question:
    """What is asked, and by which prompts on screen: those of the request may say where to start.

    Attributes
    ----------
    request : Request
        For the model.
    prompts : Prompts
        As they are on screen; empty if the plane is only embedded ahead.
    """

    request: Request
    prompts: Prompts

    @property
    def plane(self) -> Plane:
        """Where."""
        return Plane(self.request.axes, self.request.plane)


class Controller:
    """Turns what is on screen into requests, one at a time, and answers into the document.

    Parameters
    ----------
    source : ImageSource
        Where planes come from.
    runner : Runner
        Where `predict` runs.
    predict : callable
        Gives the prediction for a request; told stages are passed to `stage_changed`.

    Attributes
    ----------
    model, device : str
        For the next request.
    live : bool
        Whether each change of a prompt is asked about; else `predict` does.
    rule : str
        Which candidate is shown first: "best", "largest", "smallest" or "same".
    each_shape : bool
        Whether each closed shape is an object of its own, and kept when its mask is there.
    changed : Signal
        The document, or the plane on screen, is another.
    answered : Signal(Prediction)
        The model has answered.
    stage_changed : Signal(str)
        "starting", "loading", "downloading 35 %", "embedding" or "decoding"; "" when at rest.
    committed : Signal(int)
        The label of an object that was kept.
    noted : Signal(str)
        What was left out or waits; empty when nothing does.
    failed : Signal(str)
        One sentence for the user.
    """

    changed = Signal()
    answered = Signal(object)
    stage_changed = Signal(str)
    committed = Signal(int)
    noted = Signal(str)
    failed = Signal(str)

    def __init__(self, source: ImageSource, runner: Runner, predict: Predict) -> None:
        self.model, self.device = "micro", "auto"
        self.live, self.each_shape = True, False
        self.rule: Rule = "best"
        self._source, self._runner, self._predict = source, runner, predict
        self._prompts: PromptLayers | None = None
        self._document: Document | None = None
        self._latest: _Question | None = None  # about what is on screen
        self._waiting: dict[Plane, _Question] = {}  # the newest one of each plane
        self._running: _Question | None = None
        self._is_cancelled = False  # the running one
        self._in_vain: _Question | None = None  # the last one without an answer
        self._embedded: tuple[PlaneImage, str, str] | None = None  # with its model and device
        self._last_choice: LastChoice | None = None
        self._commit_waits = False
        self._is_answering = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether the worker is at work."""
        return self._running is not None

    @property
    def document(self) -> Document | None:
        """What is annotated; None while nothing is attached."""
        return self._document

    @property
    def object_id(self) -> int | None:
        """The label of the object at work."""
        return None if self._document is None else self._document.at_work.object_id

    @property
    def answer(self) -> Answer | None:
        """The answer that is shown on the plane on screen."""
        work = self._work_on_screen()
        return None if work is None else work.answer

    @property
    def can_commit(self) -> bool:
        """Whether there is a mask to keep."""
        document = self._document
        if document is None:
            return False
        at_work = document.at_work
        return at_work.has_mask or at_work.object_id in document.state.strays

    @property
    def _is_awaited(self) -> bool:
        """Whether a mask of the object at work is being made."""
        made = [*self._waiting.values(), *([self._running] if self._running else [])]
        return any(self._is_wanted(question) for question in made)

    # Attaching ------------------------------------------------------------------------------------

    def attach(self, prompts: PromptLayers, document: Document) -> None:
        """Listen to these prompts, and answer into this document."""
        self.detach()
        self._prompts, self._document = prompts, document
        prompts.changed.connect(self._on_prompts_changed)
        document.changed.connect(self._on_document_changed)
        self._on_prompts_changed()
        self.refresh()

    def detach(self) -> None:
        """Listen to no prompts; what is drawn stays."""
        if self._prompts is not None and self._document is not None:
            self._prompts.changed.disconnect(self._on_prompts_changed)
            self._document.changed.disconnect(self._on_document_changed)
        self._prompts = self._document = None
        self._commit_waits = False
        self._latest = None
        self._waiting.clear()
        self._tell_changed()

    def close(self) -> None:
        """Disconnect from everything; an answer that is still being made is dropped."""
        self._closed = True
        self.detach()

    # Asking ---------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask about what is on screen now; without new prompts, only embed it ahead."""
        self._refresh(asks=self.live)

    def predict(self) -> None:
        """Ask about the prompts on screen, whether or not each change is asked about."""
        self._refresh(asks=True)

    def use_model(self, model: str) -> None:
        """Take another model; it is asked about the prompts on screen as well."""
        self.model = model
        self._refresh(asks=self.live, again=True)

    def cycle(self, step: int = 1) -> None:
        """Show another candidate of the same answer; no model runs."""
        answer = self.answer
        if answer is not None and not self._is_awaited:
            self.choose(answer.chosen + step)

    def choose(self, candidate: int) -> None:
        """Show this candidate; no model runs."""
        plane = self._plane_on_screen()
        if self._document is not None and plane is not None:
            self._document.choose(plane, candidate)

    # Objects --------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Keep the object's mask and begin the next object; wait for a mask still being made."""
        if self._document is None:
            return
        self._commit_waits = self._is_awaited
        if self._commit_waits:
            self.noted.emit("The object is kept as soon as its mask is there.")
        elif not self.can_commit:
            self.noted.emit("There is no mask to keep yet: click on an object first.")
        else:
            self._do(self._commit)

    def cancel(self) -> None:
        """Drop the object's prompts and its mask; one that was opened again becomes what it was."""
        self._commit_waits = False
        if self._document is not None:
            self._do(self._document.cancel)

    def reopen(self, object_id: int) -> None:
        """Take a kept object to work again, with its prompts, and show its first plane."""
        plane, document = self._plane_on_screen(), self._document
        if document is None or plane is None:
            return
        self._do(partial(document.reopen, object_id, plane.axes))
        planes = document.at_work.planes
        if planes and plane not in planes:
            self._source.show(next(iter(planes)))

    def use_label(self, layer: Labels) -> None:
        """Refine the selected label of a layer: one of ours is opened again, others are copied."""
        document, plane = self._document, self._plane_on_screen()
        if document is None or plane is None or self._source.image is None:
            return
        value = int(layer.selected_label)
        own = isinstance(document.labels, LabelLayer) and document.labels.layer == layer
        if own and value in document.state.objects:
            self.reopen(value)
        elif not own:
            self._do(partial(self._begin_from, document, layer, value, plane))

    def delete(self, object_ids: Iterable[int]) -> None:
        """Remove objects and their pixels."""
        if self._document is not None:
            self._do(partial(self._document.delete, list(object_ids)))

    def merge(self, object_ids: Iterable[int]) -> None:
        """Make one object of several."""
        if self._document is not None:
            self._do(partial(self._document.merge, list(object_ids)))

    def undo(self) -> None:
        """Take the last step back, and show where it was."""
        if self._document is not None:
            self._commit_waits = False
            self._look_at(self._document.undo(), "There is nothing to undo.")

    def redo(self) -> None:
        """Make the step that was taken back last again, and show where it is."""
        if self._document is not None:
            self._look_at(self._document.redo(), "There is nothing to redo.")

    # Below: questions -----------------------------------------------------------------------------

    def _refresh(self, *, asks: bool, again: bool = False) -> None:
        try:
            question, note = self._read_question(asks=asks, again=again)
        except PromptError as error:
            self._latest = None
            self.failed.emit(str(error))
        else:
            self.noted.emit(note)
            self._ask(question)
        self._tell_changed()

    def _read_question(self, *, asks: bool, again: bool) -> tuple[_Question | None, str]:
        image, plane = self._source.read()
        prompts, note = self._read_prompts(plane, image.shape)
        if self._is_answered(plane, image.shape, prompts, again=again):
            prompts = Prompts()
        elif prompts and not asks:
            prompts, note = Prompts(), note or "Not live: ask for the mask when you are ready."
        if not prompts and self._embedded == (image, self.model, self.device):
            return None, note
        return self._question(plane, image, prompts), note

    def _question(self, plane: Plane, image: PlaneImage, prompts: Prompts) -> _Question:
        request = Request(
            image=image,
            prompts=replace(prompts, mask_prompt=self._start_from(plane, prompts)),
            object_id=self.object_id or 1,
            plane=plane.index,
            axes=plane.axes,
            model=self.model,
            device=self.device,
        )
        return _Question(request, prompts)

    def _unanswered_elsewhere(self) -> _Question | None:
        """Give a question about prompts on a plane that is not on screen, if one has no answer.

        An object that is seen from several sides is asked about only where it is looked at.
        """
        on_screen = self._plane_on_screen()
        if self._prompts is None or self._document is None or on_screen is None:
            return None
        if not self.live or self.each_shape:
            return None
        known = self._document.at_work.planes
        if any(plane.axes != on_screen.axes for plane in known):
            return None
        for plane in self._prompts.planes(self._source.image, on_screen.axes):
            if plane == on_screen:
                continue
            image = self._source.read_plane(plane)
            prompts, _ = self._read_prompts(plane, image.shape)
            work = known.get(plane)
            answer = None if work is None else work.answer
            if prompts and (answer is None or answer.prompts != prompts):
                question = self._question(plane, image, prompts)
                return None if question == self._in_vain else question
        return None

    def _read_prompts(self, plane: Plane, shape: tuple[int, int]) -> tuple[Prompts, str]:
        if self._prompts is None:
            return Prompts(), ""
        return self._prompts.read(self._source.image, plane, shape, each_shape=self.each_shape)

    def _is_answered(
        self, plane: Plane, shape: tuple[int, int], prompts: Prompts, *, again: bool
    ) -> bool:
        """Tell whether the prompts of a plane have an answer; without prompts there is none."""
        work = None if self._document is None else self._document.at_work.planes.get(plane)
        answer = None if work is None else work.answer
        if answer is None:
            return False
        if not prompts and answer.prompts:
            self._set_answer(plane, shape, None)
        return answer.prompts == prompts and not (again and answer.model != self.model)

    def _start_from(self, plane: Plane, prompts: Prompts) -> PackedMask | LowResMask | None:
        """Give the mask that a correction starts from: the one shown, if the prompts add to it."""
        work = None if self._document is None else self._document.at_work.planes.get(plane)
        answer = None if work is None else work.answer
        if work is None or answer is None or not prompts:
            return prompts.mask_prompt
        if not answer.prompts:  # taken from a label
            return prompts.mask_prompt or work.mask or None
        if prompts == answer.prompts or not _adds_to(prompts, answer.prompts):
            return prompts.mask_prompt
        is_painted = work.added is not None or work.removed is not None
        return work.mask if is_painted or not answer.logits else answer.logits[answer.chosen]

    def _ask(self, question: _Question | None) -> None:
        """Take a question: the same as the last is ignored, a newer one replaces what waits."""
        if self._closed:
            return
        if question == self._latest:
            self._start_next()
            return
        self._latest = question
        # What is only embedded ahead is of use on screen; masks are wanted wherever they are.
        self._waiting = {plane: asked for plane, asked in self._waiting.items() if asked.prompts}
        if question is None:
            self._start_next()
            return
        self._waiting.pop(question.plane, None)
        self._waiting[question.plane] = question
        if self._running is None:
            self._start_next()
        elif self._running.request.model != question.request.model:
            self._is_cancelled = True  # it may be a download of minutes
            self._runner.cancel()

    def _start_next(self) -> None:
        """Start what was asked last and is wanted still, or look for what nobody asked yet."""
        while self._waiting and self._running is None:
            _, question = self._waiting.popitem()
            if question == self._latest or self._is_wanted(question):
                self._start(question)
        elsewhere = None if self._running else self._unanswered_elsewhere()
        if elsewhere is not None:
            self._start(elsewhere)

    def _is_wanted(self, question: _Question) -> bool:
        """Tell whether a question is about the prompts that the object at work has there now."""
        request = question.request
        if not question.prompts or request.object_id != self.object_id:
            return False
        return self._read_prompts(question.plane, request.image.shape)[0] == question.prompts

    def _start(self, question: _Question) -> None:
        self._running, self._is_cancelled = question, False
        self.stage_changed.emit("starting")
        self._runner.run(
            partial(self._predict, question.request),
            self._on_done,
            self._on_failed,
            self._on_reported,
        )

    # Below: answers -------------------------------------------------------------------------------

    def _on_done(self, prediction: Prediction) -> None:
        question = self._finish()
        request = question.request
        self._embedded = (request.image, request.model, request.device)
        if not self._closed and (question == self._latest or self._is_wanted(question)):
            if question.prompts and self._document is not None:
                self._take(question, prediction)
            self.answered.emit(prediction)
            if (self._commit_waits and not self._is_awaited) or self._is_shape(question):
                self._commit_waits = False
                self._do(self._commit)
        self._go_on()

    def _on_failed(self, error: Exception) -> None:
        question = self._finish()
        if self._closed:
            return
        if question == self._latest or self._is_wanted(question):
            if self._is_cancelled:
                self._waiting[question.plane] = question  # wanted again meanwhile
            else:
                self._latest = None  # so that asking again tries again
                self._in_vain = question
                self._commit_waits = False
                self.noted.emit("")
                self.failed.emit(_sentence(error))
        self._go_on()

    def _on_reported(self, stage: str) -> None:
        if not self._closed:
            self.stage_changed.emit(stage)

    def _finish(self) -> _Question:
        """Take note that the worker is free, and give what it has worked on."""
        question = self._running
        assert question is not None
        self._running = None
        if self._waiting.get(question.plane) == question:
            del self._waiting[question.plane]  # asked again while it was made
        return question

    def _go_on(self) -> None:
        if not self._closed:
            self._start_next()
            if self._running is None:
                self.stage_changed.emit("")

    def _take(self, question: _Question, prediction: Prediction) -> None:
        assert self._document is not None
        work = self._document.at_work.planes.get(question.plane)
        before, answer = None if work is None else work.answer, None
        if prediction.candidates:
            chosen = choose_candidate(prediction.candidates, self.rule, self._last_choice)
            answer = replace(answer_of(prediction, chosen), prompts=question.prompts)
        else:
            self._in_vain = question
        self._set_answer(question.plane, question.request.image.shape, answer)
        if before and answer and answer.score < before.score - _CLEARLY_LESS:
            self.noted.emit(
                f"The model trusts this mask less than the one before ({answer.score:.2f} after "
                f"{before.score:.2f}). Undo brings that back."
            )

    def _set_answer(self, plane: Plane, shape: tuple[int, int], answer: Answer | None) -> None:
        assert self._document is not None
        self._is_answering = True  # the document tells of it, and there is nothing new to ask
        try:
            self._document.set_answer(plane, shape, answer)
        finally:
            self._is_answering = False
        self._tell_changed()

    # Below: objects -------------------------------------------------------------------------------

    def _commit(self) -> None:
        assert self._document is not None
        if self.answer is not None and self.answer.prompts:
            self._last_choice = last_choice_of(self.answer)
        label = self._document.commit(self._shapes_that_wait())
        self.committed.emit(label)

    def _is_shape(self, question: _Question) -> bool:
        """Tell whether an answer is to a shape that is an object of its own."""
        return (
            self.each_shape
            and self._prompts is not None
            and bool(question.prompts)
            and question.plane == self._plane_on_screen()
            and self._prompts.count_shapes(self._source.image, question.plane) > 0
        )

    def _shapes_that_wait(self) -> PlacedPrompts:
        plane = self._plane_on_screen()
        if not self.each_shape or self._prompts is None or plane is None:
            return PlacedPrompts()
        return self._prompts.without_first_shape(self._source.image, plane)

    def _begin_from(self, document: Document, layer: Labels, value: int, plane: Plane) -> None:
        image = self._source.image
        shape = plane.shape_of(document.labels.shape)
        document.begin_from({plane: read_label(layer, value, image, plane, shape)})

    def _look_at(self, step: Step | None, otherwise: str) -> None:
        if step is None:
            self.noted.emit(otherwise)
        elif step.plane is not None and step.plane != self._plane_on_screen():
            self._source.show(step.plane)

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
        except PromptError as error:
            self.failed.emit(str(error))

    # Below: following -----------------------------------------------------------------------------

    def _on_prompts_changed(self) -> None:
        assert self._prompts is not None
        assert self._document is not None
        self._document.set_prompts(self._prompts.capture(), self._plane_on_screen())

    def _on_document_changed(self) -> None:
        if self._is_answering or self._prompts is None or self._document is None:
            return
        wanted = self._document.at_work.prompts
        if self._prompts.capture() != wanted:
            self._prompts.restore(wanted)
        self.refresh()

    def _plane_on_screen(self) -> Plane | None:
        try:
            return self._source.plane
        except PromptError:
            return None

    def _work_on_screen(self) -> PlaneWork | None:
        plane = self._plane_on_screen()
        if self._document is None or plane is None:
            return None
        return self._document.at_work.planes.get(plane)

    def _tell_changed(self) -> None:
        if not self._closed:
            self.changed.emit()


def _adds_to(new: Prompts, old: Prompts) -> bool:
    """Tell whether all prompts that were answered are still there."""
    before = set(zip(old.points, old.polarity, strict=True))
    after = set(zip(new.points, new.polarity, strict=True))
    is_same_shape = new.box == old.box and new.mask_prompt == old.mask_prompt
    return before <= after and (is_same_shape or (old.box is None and old.mask_prompt is None))


def _sentence(error: Exception) -> str:
    """Give our own errors as they are; name the others, whose text alone may say little."""
    return str(error) if isinstance(error, Sam2Error) else f"{type(error).__name__}: {error}"
