"""Keeps the newest question, and puts its answer into the document. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from functools import partial

import numpy as np
from napari.layers import Labels
from psygnal import Signal

from napari_sam2.ahead import Ahead
from napari_sam2.asker import Asker, Predict, Runner
from napari_sam2.errors import PromptError, sentence_of
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.label_source import read_label
from napari_sam2.layers.mask_writer import LabelLayer
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.questions import Asking, Question, QuestionReader, is_answer_to
from napari_sam2.session.answers import (
    LastChoice,
    Rule,
    answer_of,
    choose_candidate,
    last_choice_of,
)
from napari_sam2.session.document import Document
from napari_sam2.session.history import Step
from napari_sam2.session.masks import Box
from napari_sam2.session.objects import Answer, PlacedPrompts
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.regions import Mode
from napari_sam2.session.results import Prediction
from napari_sam2.session.sight import Sight
from napari_sam2.session.track_job import TrackJob
from napari_sam2.session.track_plan import Reach, plan_tracks
from napari_sam2.session.tracks import PropagationOptions
from napari_sam2.tracking import Track, Tracking

_CLEARLY_LESS = 0.1  # a fall of the predicted IoU that is worth a word


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
    ahead : Ahead
        What is embedded while nobody waits.
    tracking : Tracking
        Follows objects from plane to plane.
    changed : Signal
        The document, or the plane on screen, is another.
    answered : Signal(Prediction)
        The model has answered.
    stage_changed : Signal(str)
        "starting", "loading", "downloading 35 %", "embedding" or "decoding"; "" when at rest.
    committed : Signal(int)
        The label of an object that was kept.
    moved : Signal(str)
        One sentence on why `device` is another one than was asked for.
    noted : Signal(str)
        What was left out or waits; empty when nothing does.
    failed : Signal(str)
        One sentence for the user.
    """

    changed = Signal()
    answered = Signal(object)
    stage_changed = Signal(str)
    committed = Signal(int)
    moved = Signal(str)
    noted = Signal(str)
    failed = Signal(str)

    def __init__(
        self,
        source: ImageSource,
        runner: Runner,
        predict: Predict,
        track: Track | None = None,
    ) -> None:
        self.model, self.device = "micro", "auto"
        self.live, self.each_shape = True, False
        self.rule: Rule = "best"
        self._source = source
        self._prompts: PromptLayers | None = None
        self._document: Document | None = None
        self._reader = QuestionReader(source)
        self._asker = Asker(runner, predict, self._is_wanted, self._look_for_more)
        self._asker.returned.connect(self._on_returned)
        self._asker.answered.connect(self._on_answered)
        self._asker.failed.connect(self._on_failed)
        self._asker.failed_aside.connect(self._on_failed_aside)
        self._asker.stage_changed.connect(self.stage_changed.emit)
        self.tracking = Tracking(runner, track, self._asker)
        self.ahead = Ahead()
        self._sight = Sight()
        self._last_choice: LastChoice | None = None
        self._commit_waits = False
        self._is_answering = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether the worker is at work."""
        return self._asker.busy

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
        work = self._reader.work_on(self._reader.plane)
        return None if work is None else work.answer

    @property
    def field_mode(self) -> Mode:
        """Which part of a plane the model sees: "auto", "whole", "visible" or "fixed"."""
        return self._sight.mode

    @property
    def region(self) -> Box | None:
        """The part of the plane on screen that the mask was found in; None for all of it.

        Where nothing is marked, the fixed region.
        """
        answer = self.answer
        if answer is not None and answer.prompts:
            return answer.region
        return self._sight.fixed

    @property
    def can_commit(self) -> bool:
        """Whether there is a mask to keep."""
        document = self._document
        if document is None:
            return False
        at_work = document.at_work
        return at_work.has_mask or at_work.object_id in document.state.strays

    # Attaching ------------------------------------------------------------------------------------

    def attach(self, prompts: PromptLayers, document: Document) -> None:
        """Listen to these prompts, and answer into this document."""
        self.detach()
        self._sight.forget()
        self._prompts, self._document = prompts, document
        self._reader = QuestionReader(self._source, prompts, document)
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
        self._reader = QuestionReader(self._source)
        self._commit_waits = False
        self.tracking.forget()
        self._asker.forget()
        self.ahead.forget()
        self._tell_changed()

    def close(self) -> None:
        """Disconnect from everything; an answer that is still being made is dropped."""
        self._closed = True
        self.tracking.forget()
        self._asker.close()
        self.detach()

    # Asking ---------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Ask about what is on screen now; without new prompts, only embed it ahead."""
        self._refresh(asks=self.live)

    def predict(self) -> None:
        """Ask about the prompts on screen, whether or not each change is asked about."""
        self._refresh(asks=True)

    def look(self) -> Request:
        """Give the question by which what is on screen is embedded: it is what the model sees.

        Raises
        ------
        PromptError
            If there is no image, or no whole plane of it is on screen.
        """
        image, plane = self._source.read()
        return self._reader.about(plane, image, Prompts(), self._how).request

    def look_ahead(self) -> None:
        """Embed what is on screen now, unless something is marked there; quietly."""
        plane = self._reader.plane
        if plane is None:
            return
        image, work = self._source.read_plane(plane), self._reader.work_on(plane)
        prompts, _ = self._reader.read_prompts(plane, image.shape, self._how)
        if prompts or (work is not None and work.answer is not None):
            return
        self._look(plane, prompts)
        question = self._reader.about(plane, image, prompts, self._how)
        if not self._sight.is_ready(question.request):
            self._asker.ask(question)

    def use_model(self, model: str) -> None:
        """Take another model; it is asked about the prompts on screen as well."""
        self.model, answer = model, self.answer
        self.tracking.stop(why="Stopped, because another model was chosen.")
        self._refresh(asks=self.live, again=answer is not None and answer.model != model)

    def use_field(self, mode: Mode) -> None:
        """Choose what the model sees of a plane; what is marked on screen is asked about again.

        Parameters
        ----------
        mode : str
            "auto", "whole", "visible", or "fixed": the region of the mask on screen from now on,
            or, if there is none, of the next one.
        """
        if mode != self.field_mode:
            self._sight.use(mode, self._present_region)
            if self._document is not None:
                self._refresh(asks=self.live, again=mode != "fixed")

    def embed_stack(self) -> None:
        """Embed all planes along the sliders, as seen now, while nothing else is asked."""
        plane, document = self._reader.plane, self._document
        if plane is not None and document is not None:
            lengths = (document.labels.shape[axis] for axis in plane.hidden_axes)
            self.ahead.embed_stack(Plane(plane.axes, at) for at in np.ndindex(*lengths))
            self._asker.look_around()

    def use_device(self, device: str) -> None:
        """Compute elsewhere from now on; answers that are there stay."""
        self.device = device
        self._asker.move_to(device)

    def propagate(self, axis: int, reach: Reach, options: PropagationOptions) -> None:
        """Follow the object at work, and kept ones if asked, along an axis of the data.

        Parameters
        ----------
        axis : int
            One that has a slider.
        reach : Reach
            Which planes may change; its direction and its ends come before those of `options`.
        options : PropagationOptions
        """
        plane, document = self._reader.plane, self._document
        if plane is None or document is None or not self.tracking.is_possible:
            return
        if self.tracking.running:
            self.noted.emit("Objects are being followed already: stop that first.")
        elif self._asker.awaits_mask:
            self.noted.emit("The mask is still being made: follow the object when it is there.")
        else:
            self._do(partial(self._propagate, document, plane, axis, reach, options))

    def accept(self, planes: Iterable[Plane]) -> None:
        """Take masks of the object at work for the user's: following it leaves them as they are."""
        if self._document is not None:
            self._document.accept(planes)

    def cycle(self, step: int = 1) -> None:
        """Show another candidate of the same answer; no model runs."""
        answer = self.answer
        if answer is not None and self._asker.awaits_mask:
            self.noted.emit("The next mask is still being made: choose when it is there.")
        elif answer is not None:
            self.choose(answer.chosen + step)

    def choose(self, candidate: int) -> None:
        """Show this candidate; no model runs."""
        plane = self._reader.plane
        if self._document is not None and plane is not None:
            self._document.choose(plane, candidate)

    # Objects --------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Keep the object's mask and begin the next object; wait for a mask still being made."""
        if self._document is None:
            return
        self._commit_waits = self._asker.awaits_mask
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
        plane, document = self._reader.plane, self._document
        if document is None or plane is None:
            return
        self._commit_waits = False
        self._do(partial(document.reopen, object_id, plane.axes))
        planes = document.at_work.planes
        if planes and plane not in planes:
            self._source.show(next(iter(planes)))

    def use_label(self, layer: Labels) -> None:
        """Refine the selected label of a layer: one of ours is opened again, others are copied."""
        document, plane = self._document, self._reader.plane
        if document is None or plane is None or self._source.image is None:
            return
        value = int(layer.selected_label)
        own = isinstance(document.labels, LabelLayer) and document.labels.layer == layer
        if not own:
            self._do(partial(self._begin_from, document, layer, value, plane))
        elif value == document.at_work.object_id:
            self.noted.emit(f"Object {value} is at work already. Pick the label of another one.")
        elif value not in document.state.objects and value not in document.state.strays:
            self.noted.emit(f"Label {value} has no pixels. Pick the label of an object (L).")
        else:
            self.reopen(value)

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
            undo = self._document.undo  # which a full disk may hold up
            self._do(lambda: self._look_at(undo(), "There is nothing to undo."))

    def redo(self) -> None:
        """Make the step that was taken back last again, and show where it is."""
        if self._document is not None:
            self._commit_waits = False
            redo = self._document.redo
            self._do(lambda: self._look_at(redo(), "There is nothing to redo."))

    # Below: questions -----------------------------------------------------------------------------

    @property
    def _how(self) -> Asking:
        return Asking(self.model, self.device, self.each_shape, self._sight.field)

    def _refresh(self, *, asks: bool, again: bool = False) -> None:
        try:
            question, note = self._read_question(asks=asks, again=again)
        except PromptError as error:
            self._asker.forget()
            self.failed.emit(str(error))
        else:
            self.noted.emit(note)
            self._asker.ask(question)
        self._tell_changed()

    def _read_question(self, *, asks: bool, again: bool) -> tuple[Question | None, str]:
        image, plane = self._source.read()
        self.ahead.look_at(plane)
        prompts, note = self._reader.read_prompts(plane, image.shape, self._how)
        self._look(plane, prompts)
        work = self._reader.work_on(plane)
        answer = None if work is None else work.answer
        if answer is not None and answer.prompts and not prompts:
            self._set_answer(plane, image.shape, None)
        for other, shape in self._reader.unasked():
            self._set_answer(other, shape, None)
        is_marked = bool(prompts)
        if is_answer_to(prompts, work) and not again:
            prompts = Prompts()
        elif prompts and not asks:
            prompts, note = Prompts(), note or "Not live: ask for the mask when you are ready."
        question = self._reader.about(plane, image, prompts, self._how)
        is_seen = self._sight.has_seen if is_marked else self._sight.is_ready
        return (question if prompts or not is_seen(question.request) else None), note

    def _look(self, plane: Plane, prompts: Prompts) -> None:
        """Take note of what is on screen."""
        others = () if self._document is None else self._document.at_work.planes.keys() - {plane}
        seen = self._source.visible_box(plane)
        self._sight.look(plane, prompts, seen, goes_on=bool(others))

    @property
    def _present_region(self) -> Box | None:
        """The region of the mask on screen, all of the plane included."""
        answer, plane = self.answer, self._reader.plane
        if answer is None or not answer.prompts or plane is None:
            return None
        return answer.region or (0, 0, *answer.mask.shape)

    def _is_wanted(self, question: Question) -> bool:
        return self._reader.is_wanted(question, self._how)

    def _look_for_more(self) -> Question | None:
        more = self._reader.elsewhere(self._how) if self.live and not self.each_shape else None
        return more or self._ask_ahead()

    def _ask_ahead(self) -> Question | None:
        """Give the next plane to embed while nobody waits."""
        image = self._source.image
        if self._document is None or image is None:
            return None
        how = self._how
        for plane in self.ahead.planes(self._document.labels.shape):
            pixels = self._source.read_plane(plane)
            if self.ahead.is_new(self._mark_of(pixels)):
                return self._reader.about(plane, pixels, Prompts(), how)
        return None

    def _mark_of(self, image: PlaneImage) -> Hashable:
        """Name what is embedded, without what reads it: pixels must not be kept alive."""
        return image.key, image.shape, image.view, self.model, self.device

    # Below: answers -------------------------------------------------------------------------------

    def _on_returned(self, prediction: Prediction) -> None:
        request = prediction.request
        if Plane(request.axes, request.plane) != self._reader.plane:
            return  # of a plane that nobody looks at
        if prediction.note:  # another device has looked, and is asked from now on
            request = replace(request, device=prediction.device)
        self._sight.take_in(replace(prediction, request=request))
        is_ahead = not request.prompts
        if is_ahead and self.live and self._asker.awaits_mask:
            self._sight.look_anew()  # the click that waits may use what was embedded
            self.refresh()

    def _on_answered(self, question: Question, prediction: Prediction) -> None:
        request = question.request
        if prediction.note and self.device == request.device:
            self.use_device(prediction.device)
        self.ahead.is_new(self._mark_of(request.image))  # not any more
        if not prediction.embed_was_cached:
            self.ahead.note_cost(prediction.embed_seconds)
        if question.prompts and self._document is not None:
            self._sight.follow(prediction)
            self._take(question, prediction)
        self.answered.emit(prediction)
        if self._is_shape(question):
            self._do(self._commit_shape)
        elif self._commit_waits and not self._asker.awaits_mask:
            self._commit_waits = False
            self._do(self._commit)
        if prediction.note:
            self.moved.emit(prediction.note)

    def _on_failed(self, error: Exception) -> None:
        self._commit_waits = False
        self.noted.emit("")
        self.failed.emit(sentence_of(error))

    def _on_failed_aside(self, error: Exception) -> None:
        if self.ahead.embeds_stack:  # the next planes would fail as well
            self.ahead.stop()
            self.failed.emit(sentence_of(error))

    def _take(self, question: Question, prediction: Prediction) -> None:
        work, answer = self._reader.work_on(question.plane), None
        before = None if work is None else work.answer
        if prediction.candidates:
            assert self._document is not None
            tidied = prediction.tidied(self._document.cleanup).candidates
            chosen = choose_candidate(tidied, self.rule, self._last_choice)
            answer = replace(answer_of(prediction, chosen), prompts=question.prompts)
        else:
            self._asker.give_up(question)
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

    def _commit_shape(self) -> None:
        """Keep what the first shape has given; one that gives nothing must not hold up the next."""
        assert self._document is not None
        self._commit_waits = False
        try:
            self._commit()
        except PromptError:
            self._document.set_prompts(self._shapes_that_wait(), self._reader.plane)
            raise

    def _is_shape(self, question: Question) -> bool:
        """Tell whether an answer is to a shape that is an object of its own."""
        return (
            self.each_shape
            and self._prompts is not None
            and bool(question.prompts)
            and question.plane == self._reader.plane
            and self._prompts.count_shapes(self._source.image, question.plane) > 0
        )

    def _shapes_that_wait(self) -> PlacedPrompts:
        plane = self._reader.plane
        if not self.each_shape or self._prompts is None or plane is None:
            return PlacedPrompts()
        return self._prompts.without_first_shape(self._source.image, plane)

    def _begin_from(self, document: Document, layer: Labels, value: int, plane: Plane) -> None:
        image = self._source.image
        shape = plane.shape_of(document.labels.shape)
        document.begin_from({plane: read_label(layer, value, image, plane, shape)})

    def _propagate(
        self,
        document: Document,
        plane: Plane,
        axis: int,
        reach: Reach,
        options: PropagationOptions,
    ) -> None:
        plan = plan_tracks(document, plane, axis, reach)
        self.ahead.stop()
        job = TrackJob(
            self.model,
            self.device,
            tuple(self._source.read_plane(one) for one in plan.planes),
            plan.objects,
            replace(
                options,
                direction=reach.direction,
                first=plan.first,
                last=plan.last,
                link=options.link and reach.direction == "both",
                use_accepted=True,
            ),
            whole=self.field_mode == "whole",
        )
        self.tracking.start(document, plan, job)
        self._tell_changed()

    def _look_at(self, step: Step | None, otherwise: str) -> None:
        if step is None:
            self.noted.emit(otherwise)
        elif step.plane is not None and step.plane != self._reader.plane:
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
        self._document.set_prompts(self._prompts.capture(), self._reader.plane)

    def _on_document_changed(self) -> None:
        if self._is_answering or self._prompts is None or self._document is None:
            return
        wanted = self._document.at_work.prompts
        if self._prompts.capture() != wanted:
            self._prompts.restore(wanted)
        self.refresh()

    def _tell_changed(self) -> None:
        if not self._closed:
            self.changed.emit()
