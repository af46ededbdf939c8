"""Stand-ins for what is slow or runs elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event

import numpy as np

from napari_sam2.asker import Report, Work
from napari_sam2.session.cache_folder import CacheOptions
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction
from napari_sam2.session.view import Look


class HeldRunner:
    """Does the work when the test says so."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self.started = 0
        self.cancelled = 0

    @property
    def busy(self) -> bool:
        return self._work is not None

    def run(
        self,
        work: Work,
        done: Callable[[Prediction], None],
        failed: Callable[[Exception], None],
        reported: Report,
    ) -> None:
        assert not self.busy, "the work before must have ended"
        self._work, self._done, self._failed, self._reported = work, done, failed, reported
        self.started += 1

    def cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        self._work = None

    def finish(self) -> None:
        assert self._work is not None
        work, self._work = self._work, None
        try:
            prediction = work(self._reported)
        except Exception as error:  # noqa: BLE001  # as a worker thread would
            self._failed(error)
        else:
            self._done(prediction)

    def finish_all(self) -> None:
        while self.busy:
            self.finish()


class SquarePredict:
    """Three squares of side 7, 9 and 5 around the first point, or the box itself.

    Attributes
    ----------
    asked, looked : list of Request
        Every question, and every one of what the model sees.
    scores : tuple of float
        The predicted IoUs, descending.
    embed_seconds : float
        How long each embedding is said to have taken; 0 is not known.
    note : str
        Why the next answer came from the CPU; said once.
    region : (y0, x0, y1, x1) or None
        Where the model is said to have looked.
    error : Exception or None
        Raised instead of an answer.
    may_answer : Event
        Answers wait for it.
    """

    def __init__(self) -> None:
        self.device = "cpu (1 thread)"
        self.devices = {"auto": "Automatic: CPU", "cpu": "CPU"}
        self.asked: list[Request] = []
        self.looked: list[Request] = []
        self.scores = (0.91, 0.8, 0.5)
        self.embed_seconds = 0.0
        self.cache, self.trouble, self.cleared = CacheOptions(), "", 0
        self.note = ""
        self.region: Box | None = None
        self.error: Exception | None = None
        self.may_answer = Event()
        self.may_answer.set()

    def clear_cache(self) -> None:
        self.cleared += 1

    def __call__(self, request: Request, report: Report) -> Prediction:
        self.asked.append(request)
        report("embedding")
        assert self.may_answer.wait(10), "nobody let the fake answer"
        if self.error is not None:
            raise self.error
        report("decoding")
        masks = _squares(request)
        prediction = Prediction(
            request=request,
            candidates=masks,
            iou_predictions=np.array(self.scores[: len(masks)], np.float32),
            low_res_masks=np.zeros((len(masks), 4, 4), np.float32),
            object_score=1.0,
        )
        note, self.note = self.note, ""
        return replace(
            prediction,
            embed_seconds=self.embed_seconds,
            device="cpu",
            note=note,
            region=self.region,
        )

    def look(self, request: Request) -> Look:
        """Give a picture whose brightness counts how often it was looked at."""
        self.looked.append(request)
        assert self.may_answer.wait(10), "nobody let the fake answer"
        if self.error is not None:
            raise self.error
        picture = np.full((8, 8, 3), len(self.looked) / 100, np.float32)
        return Look(request.image.whole, picture)


def _squares(request: Request) -> tuple[PackedMask, ...]:
    """Give squares inside the plane, which may be of any size."""
    height, width = request.image.shape
    if request.prompts.box is not None:
        y0, x0, y1, x1 = (round(value) for value in request.prompts.box)
        corners = [(y0, x0, y1, x1)]
    elif request.prompts.points:
        y, x = (round(value) for value in request.prompts.points[0])
        corners = [(y - r, x - r, y + r + 1, x + r + 1) for r in (3, 4, 2)]
    else:
        corners = []
    masks = []
    for y0, x0, y1, x1 in corners:
        y0, x0, y1, x1 = max(y0, 0), max(x0, 0), min(y1, height), min(x1, width)
        square = np.ones((max(y1 - y0, 0), max(x1 - x0, 0)), bool)
        masks.append(PackedMask.of(square, (y0, x0), (height, width)))
    return tuple(masks)
