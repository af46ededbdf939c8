"""What is held out of training, to tell whether that helps: pictures, or objects of a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from napari_sam2.errors import PromptError
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.training.data import Picture
from napari_sam2.training.evaluate import Asker, Target, choose_targets
from napari_sam2.training.protocols import BOX, CLICK, single_prompts
from napari_sam2.training.scores import iou
from napari_sam2.training.tuning import FEWEST_OBJECTS, Figures, count_objects

_SHARE = 0.2
_MOST_CHECKED = 24  # objects; more cost more time than they tell
_FEWEST_PICTURES = 3  # of fewer, objects are held out: a picture would be too much of the whole


class Split(NamedTuple):
    """What is learnt from, and what is checked on."""

    learnt: list[Picture]
    held_out: list[Target]

    @property
    def objects(self) -> int:
        """How many objects are learnt from."""
        return sum(count_objects(picture.labels) for picture in self.learnt)


def hold_out(pictures: Sequence[Picture], seed: int = 0) -> Split:
    """Hold a fifth of the pictures out, or of the objects where there are few pictures.

    Held-out objects of a picture that is learnt from are as if they were not labelled.

    Parameters
    ----------
    pictures : sequence of Picture
        With names that differ; those without an object are left out.
    seed : int
        Draws what is held out.

    Raises
    ------
    PromptError
        If there are too few objects.
    """
    counts = {p.name: count_objects(p.labels) for p in pictures}
    pictures = [replace(picture, kind="") for picture in pictures if counts[picture.name]]
    total = sum(counts.values())
    if total < FEWEST_OBJECTS:
        raise PromptError(
            f"Training needs at least {FEWEST_OBJECTS} labelled objects, got {total}. Label more."
        )
    rng = np.random.default_rng([seed, len(pictures)])
    shuffled = [pictures[index] for index in rng.permutation(len(pictures))]
    held = shuffled[: max(1, round(_SHARE * len(pictures)))]
    few_are_left = sum(counts[picture.name] for picture in held) > total / 2
    if len(pictures) < _FEWEST_PICTURES or few_are_left:
        return _hold_objects_out(pictures, rng, seed)
    names = {picture.name for picture in held}
    learnt = [picture for picture in pictures if picture.name not in names]
    return Split(learnt, choose_targets(held, _MOST_CHECKED, seed))


def score(segmenter: ImageSegmenter, target: Target) -> Figures:
    """Ask about one held-out object by a click and by a box, as the plugin does."""
    truth = target.truth()
    ask = Asker(segmenter, target.picture)
    prompts = single_prompts(truth, target.rng())
    return Figures(*(iou(ask(prompts[name]).packed_mask, truth) for name in (CLICK, BOX)))


def mean_of(scores: Sequence[Figures]) -> Figures:
    """Give the mean of each figure."""
    click, box = np.mean(scores, axis=0)
    return Figures(float(click), float(box))


def _hold_objects_out(pictures: list[Picture], rng: np.random.Generator, seed: int) -> Split:
    targets = choose_targets(pictures)
    chosen = rng.permutation(len(targets))[: max(1, round(_SHARE * len(targets)))]
    held: dict[str, list[int]] = {picture.name: [] for picture in pictures}
    for index in chosen:
        held[targets[index].picture.name].append(targets[index].label)
    learnt = [
        replace(p, labels=np.where(np.isin(p.labels, held[p.name]), 0, p.labels)) for p in pictures
    ]
    checked = [
        replace(p, labels=np.where(np.isin(p.labels, held[p.name]), p.labels, 0)) for p in pictures
    ]
    return Split(
        [picture for picture in learnt if picture.labels.any()],
        choose_targets(checked, _MOST_CHECKED, seed),
    )
