"""The ways of prompting that are scored: what is asked about one object, and what comes back.

Whatever is random is drawn from a generator of the object's own, so that every model, and every
classical method, is asked the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from napari_sam2.session.masks import PackedMask, around
from napari_sam2.session.prompts import POSITIVE, Prompts
from napari_sam2.session.results import Prediction
from napari_sam2.training.annotator import correction, loosened, most_interior, random_inside

CLICK, RANDOM_CLICK, BOX, LOOSE_BOX = "click", "random click", "box", "loose box"
CORRECTED = {3: "3 clicks", 5: "5 clicks"}  # the first one is that of CLICK
PROTOCOLS = (CLICK, RANDOM_CLICK, BOX, LOOSE_BOX, *CORRECTED.values())


class Ask(Protocol):
    """Asks a model about one picture."""

    def __call__(
        self, prompts: Prompts, *, before: Prediction | None = None, multimask: bool | None = None
    ) -> Prediction:
        """Answer prompts; with the answer before, its shown mask is corrected."""


class Answered(NamedTuple):
    """How a model answered under one protocol.

    Attributes
    ----------
    protocol : str
        One of `PROTOCOLS`.
    prediction : Prediction
        What a user would see.
    candidates : tuple of PackedMask
        The three candidates for the same prompts, which a user could ask for.
    """

    protocol: str
    prediction: Prediction
    candidates: tuple[PackedMask, ...]


def single_prompts(truth: PackedMask, rng: np.random.Generator) -> dict[str, Prompts]:
    """Give the prompts of the protocols that need no answer before.

    Parameters
    ----------
    truth : PackedMask
        The object; not empty.
    rng : numpy.random.Generator
        Fresh, so that the prompts are the same each time.
    """
    mask = truth.crop()
    y0, x0, y1, x1 = (float(edge) for edge in truth.box)
    return {
        CLICK: _click(truth, most_interior(mask)),
        RANDOM_CLICK: _click(truth, random_inside(mask, rng)),
        BOX: Prompts(box=(y0, x0, y1, x1)),
        LOOSE_BOX: Prompts(box=loosened((y0, x0, y1, x1), truth.shape, rng)),
    }


def ask_all(ask: Ask, truth: PackedMask, rng: np.random.Generator) -> Iterator[Answered]:
    """Ask for one object under every protocol; parameters as in `single_prompts`."""
    for protocol, prompts in single_prompts(truth, rng).items():
        prediction = ask(prompts)
        yield Answered(protocol, prediction, _candidates(ask, prediction, None))
        if protocol == CLICK:
            yield from _ask_corrected(ask, truth, prediction)


def _ask_corrected(ask: Ask, truth: PackedMask, prediction: Prediction) -> Iterator[Answered]:
    for clicks in range(2, max(CORRECTED) + 1):
        before, prompts = prediction, _corrected(prediction, truth)
        prediction = ask(prompts, before=before)
        if clicks in CORRECTED:
            yield Answered(CORRECTED[clicks], prediction, _candidates(ask, prediction, before))


def _candidates(
    ask: Ask, prediction: Prediction, before: Prediction | None
) -> tuple[PackedMask, ...]:
    if len(prediction.candidates) > 1:
        return prediction.candidates
    prompts = replace(prediction.request.prompts, mask_prompt=None)
    return ask(prompts, before=before, multimask=True).candidates


def _corrected(prediction: Prediction, truth: PackedMask) -> Prompts:
    shown, asked = prediction.packed_mask, prediction.request.prompts
    box = around(truth, shown)  # small arrays, for speed
    (y, x), kind = correction(truth.crop(box), shown.crop(box))
    points = (*asked.points, (float(y + box[0]), float(x + box[1])))
    return Prompts(points, (*asked.polarity, kind))


def _click(truth: PackedMask, pixel: tuple[int, int]) -> Prompts:
    y, x = pixel
    return Prompts(((float(y + truth.box[0]), float(x + truth.box[1])),), (POSITIVE,))
