"""Scoring the classical methods on the objects, and by the prompts, that a model is scored by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import Prompts
from napari_sam2.training.classical import BOX_METHODS, CLICK_METHODS, GreyPicture
from napari_sam2.training.evaluate import Progress, Target
from napari_sam2.training.protocols import single_prompts
from napari_sam2.training.scores import iou


@dataclass(frozen=True)
class ClassicalScore:
    """How one object fared under one setting of a classical method.

    Attributes
    ----------
    kind : str
        Of the picture.
    weight : float
        How many objects of its kind it stands for.
    protocol : str
        One of `protocols.PROTOCOLS`.
    method : str
        A name in `classical.CLICK_METHODS` or `classical.BOX_METHODS`.
    setting : int
        Which of the method's.
    iou : float
        Of its mask.
    """

    kind: str
    weight: float
    protocol: str
    method: str
    setting: int
    iou: float


def evaluate_classical(
    targets: Sequence[Target], progress: Progress | None = None
) -> list[ClassicalScore]:
    """Score every setting of every method, under the protocols of a single prompt."""
    scores: list[ClassicalScore] = []
    done = 0
    for picture, group in groupby(targets, key=lambda target: target.picture):
        grey = GreyPicture(picture.image)
        for target in group:
            scores += _score_target(grey, target)
            done += 1
            if progress is not None:
                progress(done, len(targets))
    return scores


def at_their_best(scores: Sequence[ClassicalScore]) -> list[ClassicalScore]:
    """Keep of each method the setting with the highest mean, for each kind and protocol.

    It is chosen with the truth in hand: no user could do better with that method.
    """
    groups: dict[tuple[str, str, str], dict[int, list[ClassicalScore]]] = {}
    for score in scores:
        settings = groups.setdefault((score.kind, score.protocol, score.method), {})
        settings.setdefault(score.setting, []).append(score)
    best = (max(settings.values(), key=_mean) for settings in groups.values())
    return [score for group in best for score in group]


def _mean(scores: Sequence[ClassicalScore]) -> float:
    return float(np.mean([score.iou for score in scores]))


def _score_target(grey: GreyPicture, target: Target) -> Iterator[ClassicalScore]:
    truth, kind = target.truth(), target.picture.kind
    for protocol, prompts in single_prompts(truth, target.rng()).items():
        for method, setting, mask in _answers(grey, prompts):
            yield ClassicalScore(kind, target.weight, protocol, method, setting, iou(mask, truth))


def _answers(grey: GreyPicture, prompts: Prompts) -> Iterator[tuple[str, int, PackedMask]]:
    if prompts.box is not None:
        for method, boxers in BOX_METHODS.items():
            for setting, by_box in enumerate(boxers):
                yield method, setting, by_box(grey, prompts.box)
        return
    ((y, x),) = prompts.points
    for method, clickers in CLICK_METHODS.items():
        for setting, by_click in enumerate(clickers):
            yield method, setting, by_click(grey, (int(y), int(x)))
