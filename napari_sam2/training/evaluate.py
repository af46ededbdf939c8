"""Scoring a model: objects of labelled pictures, prompted as a person would through the session."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_sam2.errors import PromptError
from napari_sam2.session.answers import choose_candidate
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import LowResMask, Prompts, Request
from napari_sam2.session.regions import FieldOfView, Mode
from napari_sam2.session.results import Prediction
from napari_sam2.training.data import Picture
from napari_sam2.training.protocols import Answered, ask_all
from napari_sam2.training.scores import Score, iou

Progress = Callable[[int, int], None]
"""Told how many objects are done, of how many."""


@dataclass(frozen=True, eq=False)
class Target:
    """One object that is to be segmented.

    Attributes
    ----------
    picture : Picture
    label : int
        Its value in `picture.labels`.
    weight : float
        How many objects of its kind it stands for.
    """

    picture: Picture
    label: int
    weight: float = 1.0

    def truth(self) -> PackedMask:
        """Give its mask."""
        return PackedMask.of(self.picture.labels == self.label)

    def rng(self) -> np.random.Generator:
        """Give a fresh generator of its own, the same each time."""
        return np.random.default_rng([zlib.crc32(self.picture.name.encode()), self.label])


def choose_targets(
    pictures: Sequence[Picture], per_kind: int | None = None, seed: int = 0
) -> list[Target]:
    """Choose all objects, or `per_kind` random ones of each kind, picture after picture.

    Raises
    ------
    PromptError
        If there is no object in any picture.
    """
    by_kind: dict[str, list[Target]] = {}
    for picture in pictures:
        labels = np.unique(picture.labels[picture.labels > 0])
        targets = by_kind.setdefault(picture.kind, [])
        targets += [Target(picture, int(label)) for label in labels]
    chosen = []
    for kind, targets in by_kind.items():
        chosen += _sample(
            targets, per_kind, np.random.default_rng([seed, zlib.crc32(kind.encode())])
        )
    if not chosen:
        raise PromptError(
            f"Evaluating needs at least one object, got none in {len(pictures)} pictures. "
            "Check the list of names, and that labels are above 0 on objects."
        )
    return chosen


def _sample(targets: Sequence[Target], count: int | None, rng: np.random.Generator) -> list[Target]:
    if count is None or len(targets) <= count:
        return list(targets)
    weight = len(targets) / count
    kept = sorted(rng.choice(len(targets), count, replace=False))
    return [replace(targets[index], weight=weight) for index in kept]


def evaluate(
    segmenter: ImageSegmenter,
    targets: Sequence[Target],
    mode: Mode = "auto",
    progress: Progress | None = None,
) -> list[Score]:
    """Score a model on objects, under every protocol.

    Parameters
    ----------
    segmenter : ImageSegmenter
    targets : sequence of Target
        Those of one picture in a row, so that it is embedded once.
    mode : str
        Where the model looks, see `FieldOfView`: "auto" as the plugin does, or "whole".
    progress : callable, optional
        Told after each object.
    """
    scores: list[Score] = []
    for done, target in enumerate(targets, start=1):
        scores += score_target(segmenter, target, mode)
        if progress is not None:
            progress(done, len(targets))
    return scores


def score_target(segmenter: ImageSegmenter, target: Target, mode: Mode = "auto") -> Iterator[Score]:
    """Score a model on one object, under every protocol."""
    truth = target.truth()
    for answered in ask_all(Asker(segmenter, target.picture, mode), truth, target.rng()):
        yield _score(target, truth, answered)


class Asker:
    """Asks about one picture as the plugin does, for `protocols.Ask`.

    Masks are tidied as by default. A correction comes with the logits of the mask that is shown,
    and begins in the region where that was found. What was found of other objects is not made use
    of.
    """

    def __init__(self, segmenter: ImageSegmenter, picture: Picture, mode: Mode = "auto") -> None:
        self._segmenter = segmenter
        self._image = PlaneImage.of(picture.name, picture.image)
        self._field = FieldOfView(mode)

    def __call__(
        self, prompts: Prompts, *, before: Prediction | None = None, multimask: bool | None = None
    ) -> Prediction:
        """Answer prompts; with the answer before, its shown mask is corrected."""
        field = self._field
        if before is not None:
            logits = LowResMask.of(before.low_res_masks[before.chosen], before.region)
            prompts = replace(prompts, mask_prompt=logits)
            field = replace(field, near=before.region or self._image.whole)
        request = Request(self._image, prompts, multimask=multimask, field=field)
        prediction = self._segmenter.predict(request)
        prediction = prediction.tidied(Cleanup())
        return prediction.choose(choose_candidate(prediction.candidates))


def _score(target: Target, truth: PackedMask, answered: Answered) -> Score:
    prediction = answered.prediction
    chosen = iou(prediction.packed_mask, truth)
    return Score(
        picture=target.picture.name,
        kind=target.picture.kind,
        label=target.label,
        weight=target.weight,
        protocol=answered.protocol,
        chosen=chosen,
        best=max([chosen, *(iou(mask, truth) for mask in answered.candidates)]),
        predicted=float(prediction.iou_predictions[prediction.chosen]),
    )
