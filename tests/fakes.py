"""Stand-ins for what is slow or runs elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event

import numpy as np

from napari_sam2.asker import Report, Work
from napari_sam2.session.masks import Box
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction


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
    asked : list of Request
        Every question.
    scores : tuple of float
        The predicted IoUs, descending.
    region : (y0, x0, y1, x1) or None
        Where the model is said to have looked.
    error : Exception or None
        Raised instead of an answer.
    may_answer : Event
        Answers wait for it.
    """

    def __init__(self) -> None:
        self.device = "cpu (1 thread)"
        self.asked: list[Request] = []
        self.scores = (0.91, 0.8, 0.5)
        self.region: Box | None = None
        self.error: Exception | None = None
        self.may_answer = Event()
        self.may_answer.set()

    def __call__(self, request: Request, report: Report) -> Prediction:
        self.asked.append(request)
        report("embedding")
        assert self.may_answer.wait(10), "nobody let the fake answer"
        if self.error is not None:
            raise self.error
        report("decoding")
        masks = _squares(request)
        prediction = Prediction.of_masks(
            request=request,
            masks=masks,
            iou_predictions=np.array(self.scores[: len(masks)], np.float32),
            low_res_masks=np.zeros((len(masks), 4, 4), np.float32),
            object_score=1.0,
        )
        return replace(prediction, region=self.region)


def _squares(request: Request) -> np.ndarray:
    if request.prompts.box is not None:
        y0, x0, y1, x1 = (round(value) for value in request.prompts.box)
        corners = [(y0, x0, y1, x1)]
    elif request.prompts.points:
        y, x = (round(value) for value in request.prompts.points[0])
        corners = [(y - r, x - r, y + r + 1, x + r + 1) for r in (3, 4, 2)]
    else:
        corners = []
    masks = np.zeros((len(corners), *request.image.shape), bool)
    for mask, (y0, x0, y1, x1) in zip(masks, corners, strict=True):
        mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return masks
