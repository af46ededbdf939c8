from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.training.data import Picture
from napari_sam2.training.holdout import hold_out, mean_of
from napari_sam2.training.tuning import Figures
from tests.training.test_finetune import scene


def labels_of(pictures: list[Picture]) -> dict[str, set[int]]:
    return {p.name: set(np.unique(p.labels[p.labels > 0]).tolist()) for p in pictures}


def test_a_fifth_of_the_pictures_is_held_out() -> None:
    pictures = [scene(name) for name in "abcdefghij"]
    learnt, held_out = hold_out(pictures)
    names = {target.picture.name for target in held_out}
    assert len(names) == 2
    assert names.isdisjoint(picture.name for picture in learnt)
    assert len(learnt) == 8
    assert len(held_out) == 18


def test_of_few_pictures_objects_are_held_out() -> None:
    pictures = [scene("a"), scene("b")]
    split = hold_out(pictures)
    held = {(target.picture.name, target.label) for target in split.held_out}
    learnt = {(name, label) for name, those in labels_of(split.learnt).items() for label in those}
    assert len(held) == 4
    assert split.objects == len(learnt) == 14
    assert held.isdisjoint(learnt)
    assert len(np.unique(pictures[0].labels)) == 10, "what was given is not changed"


def test_a_picture_with_most_of_the_objects_is_not_held_out() -> None:
    small = [scene(name) for name in "ab"]
    for picture in small:
        picture.labels[picture.labels > 1] = 0
    for seed in range(5):
        split = hold_out([*small, scene("c")], seed)
        assert split.objects > 5


def test_pictures_without_objects_are_left_out() -> None:
    empty = scene("empty")
    empty.labels[:] = 0
    split = hold_out([empty, scene("a")])
    assert {p.name for p in split.learnt} == {"a"}


def test_the_seed_draws_what_is_held_out() -> None:
    def held(seed: int) -> list[int]:
        return [target.label for target in hold_out([scene()], seed).held_out]

    assert held(1) == held(1)
    assert len({tuple(held(seed)) for seed in range(6)}) > 1


def test_not_too_many_are_checked_on() -> None:
    assert len(hold_out([scene(str(i)) for i in range(30)]).held_out) == 24


def test_the_mean_of_figures() -> None:
    mean = mean_of([Figures(0.5, 0.75), Figures(0.25, 0.25)])
    assert mean == Figures(0.375, 0.5)
    assert mean.mean == pytest.approx(0.4375)
