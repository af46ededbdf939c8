"""Keeps the newest question, and hands its answer on. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
from psygnal import Signal

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.mask_writer import MaskWriter
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.results import Prediction

Report = Callable[[str], None]
Predict = Callable[[Request, Report], Prediction]
Work = Callable[[Report], Prediction]


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


class Controller:
    """Turns what is on screen into requests, one at a time, and answers into masks.

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
    prediction_changed : Signal(Prediction | None)
        Another answer, or another candidate of it, is shown.
    stage_changed : Signal(str)
        "starting", "loading", "downloading 35 %", "embedding" or "decoding"; "" when at rest.
    committed : Signal(int)
        The label of an object that was kept.
    noted : Signal(str)
        What was left out or waits; empty when nothing does.
    failed : Signal(str)
        One sentence for the user.
    """

    prediction_changed = Signal(object)
    stage_changed = Signal(str)
    committed = Signal(int)
    noted = Signal(str)
    failed = Signal(str)

    def __init__(self, source: ImageSource, runner: Runner, predict: Predict) -> None:
        self.model, self.device = "micro", "auto"
        self._source, self._runner, self._predict = source, runner, predict
        self._prompts: PromptLayers | None = None
        self._writer: MaskWriter | None = None
        self._latest: Request | None = None
        self._running: Request | None = None
        self._is_cancelled = False  # the running one
        self._prediction: Prediction | None = None
        self._shown: dict[Plane, Prediction] = {}  # of the object at work
        self._commit_waits = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether the worker is at work."""
        return self._running is not None

    @property
    def prediction(self) -> Prediction | None:
        """The answer to the newest request, once it is there."""
        prediction = self._prediction
        return prediction if prediction and prediction.request == self._latest else None

    @property
    def object_id(self) -> int | None:
        """The label of the object at work."""
        return None if self._writer is None else self._writer.object_id

    @property
    def can_commit(self) -> bool:
        """Whether there is a mask to keep."""
        return self._writer is not None and self._writer.has_mask

    def attach(self, prompts: PromptLayers, writer: MaskWriter) -> None:
        """Listen to these prompts, and write into this layer."""
        self.detach()
        self._prompts, self._writer = prompts, writer
        self._latest = None  # its answer, if any, was not written here
        prompts.changed.connect(self.refresh)
        self.refresh()

    def detach(self) -> None:
        """Listen to no prompts, and write nowhere; what is drawn stays."""
        if self._prompts is not None:
            self._prompts.changed.disconnect(self.refresh)
        self._prompts = self._writer = None
        self._shown.clear()
        self._commit_waits = False
        self._set_prediction(None)

    def refresh(self) -> None:
        """Ask about what is on screen now; without prompts, only embed it."""
        try:
            request, note = self._read_request()
        except PromptError as error:
            self.failed.emit(str(error))
            return
        self.noted.emit(note)
        self.ask(request)

    def ask(self, request: Request) -> None:
        """Take a request: the same as the last is ignored, a newer one replaces what waits."""
        if self._closed or request == self._latest:
            return
        self._latest = request
        if self._running is None:
            self._start(request)
        elif self._running.model != request.model:
            self._is_cancelled = True  # it may be a download of minutes
            self._runner.cancel()

    def cycle(self, step: int = 1) -> None:
        """Show another candidate of the same answer; no model runs."""
        prediction = self.prediction
        if prediction is not None and len(prediction.masks) > 1:
            self._show(prediction.choose(prediction.chosen + step))

    def commit(self) -> None:
        """Keep the object's mask and begin the next object; wait for a mask still being made."""
        if self._prompts is None or self._writer is None:
            return
        self._commit_waits = self.busy and self._latest is not None and bool(self._latest.prompts)
        if self._commit_waits:
            self.noted.emit("The object is kept as soon as its mask is there.")
        elif not self._writer.has_mask:
            self.noted.emit("There is no mask to keep yet: click on an object first.")
        else:
            self._commit(self._prompts, self._writer)

    def clear(self) -> None:
        """Remove the object's prompts and its mask."""
        self._commit_waits = False
        if self._prompts is not None and self._writer is not None:
            self._writer.erase()
            self._shown.clear()
            self._prompts.clear()

    def close(self) -> None:
        """Disconnect from everything; an answer that is still being made is dropped."""
        self._closed = True
        self.detach()

    def _read_request(self) -> tuple[Request, str]:
        image, plane = self._source.read()
        prompts, note, object_id = Prompts(), "", 1
        if self._prompts is not None and self._writer is not None:
            prompts, note = self._prompts.read(self._source.image, plane, image.shape)
            object_id = self._writer.object_id
        request = Request(
            image=image,
            prompts=prompts,
            object_id=object_id,
            plane=plane.index,
            axes=plane.axes,
            model=self.model,
            device=self.device,
        )
        return request, note

    def _start(self, request: Request) -> None:
        self._running, self._is_cancelled = request, False
        self.stage_changed.emit("starting")
        self._runner.run(
            partial(self._predict, request), self._on_done, self._on_failed, self._on_reported
        )

    def _on_done(self, prediction: Prediction) -> None:
        if self._finish(prediction.request):
            before = self._shown.get(_plane(prediction.request))
            if before is not None and _is_same_answer(prediction, before):
                # Asked again as a plane or an image came back: what was chosen or painted stays.
                self._set_prediction(replace(prediction, chosen=before.chosen))
            else:
                self._show(prediction)
            if self._commit_waits:
                self.commit()

    def _on_failed(self, error: Exception) -> None:
        assert self._running is not None
        request, is_cancelled = self._running, self._is_cancelled
        if not self._finish(request):
            return
        if is_cancelled:
            self._start(request)  # wanted again meanwhile
        else:
            self._latest = None  # so that asking again tries again
            self._commit_waits = False
            self.noted.emit("")
            self.failed.emit(_sentence(error))

    def _on_reported(self, stage: str) -> None:
        if not self._closed:
            self.stage_changed.emit(stage)

    def _finish(self, request: Request) -> bool:
        """Take note that the worker is free; tell whether the request is still the newest."""
        self._running = None
        if self._closed:
            return False
        if request != self._latest and self._latest is not None:
            self._start(self._latest)
            return False
        self.stage_changed.emit("")
        return True

    def _show(self, prediction: Prediction) -> None:
        if self._writer is not None:
            try:
                self._writer.show(prediction)
            except PromptError as error:
                self.failed.emit(str(error))
                return
            self._shown[_plane(prediction.request)] = prediction
        self._set_prediction(prediction)

    def _commit(self, prompts: PromptLayers, writer: MaskWriter) -> None:
        try:
            label = writer.commit()
        except PromptError as error:
            self.failed.emit(str(error))
            return
        self._shown.clear()
        self._set_prediction(None)
        prompts.clear()
        self.committed.emit(label)

    def _set_prediction(self, prediction: Prediction | None) -> None:
        self._prediction = prediction
        if not self._closed:
            self.prediction_changed.emit(prediction)


def _plane(request: Request) -> Plane:
    return Plane(request.axes, request.plane)


def _is_same_answer(new: Prediction, old: Prediction) -> bool:
    return new.request.prompts == old.request.prompts and np.array_equal(new.masks, old.masks)


def _sentence(error: Exception) -> str:
    """Give our own errors as they are; name the others, whose text alone may say little."""
    return str(error) if isinstance(error, Sam2Error) else f"{type(error).__name__}: {error}"
