from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import LowResMask, Prompts, Request
from napari_sam2.session.regions import FieldOfView
from napari_sam2.session.results import Prediction
from napari_sam2.training.evaluate import Asker, Target, choose_targets, evaluate, score_target
from napari_sam2.training.protocols import CLICK, PROTOCOLS, RANDOM_CLICK, single_prompts
from napari_sam2.training.scores import Score
from tests.session.conftest import make_tiny_model
from tests.training.drawn import SHAPE, packed, picture, rectangle

TRUTH = packed(6, 8, 16, 28)
HALF = packed(6, 8, 16, 18)
QUARTER = packed(6, 8, 16, 13)
TARGET = Target(picture(TRUTH.to_array()), 10)


class FakeSegmenter:
    """Answers with the masks that it was given, and remembers the questions."""

    def __init__(self, answer: Callable[[Request], list[PackedMask]]) -> None:
        self.asked: list[Request] = []
        self._answer = answer

    def predict(self, request: Request) -> Prediction:
        self.asked.append(request)
        masks = self._answer(request)
        ious = np.linspace(0.9, 0.5, len(masks)).astype(np.float32)
        logits = np.arange(len(masks), dtype=np.float32)[:, None, None].repeat(4, 1).repeat(4, 2)
        return Prediction(request, tuple(masks), ious, logits, 1.0)


def as_segmenter(fake: FakeSegmenter) -> ImageSegmenter:
    return cast(ImageSegmenter, fake)


def by_protocol(answer: Callable[[Request], list[PackedMask]]) -> dict[str, Score]:
    scores = score_target(as_segmenter(FakeSegmenter(answer)), TARGET)
    return {score.protocol: score for score in scores}


# Objects


def test_every_object_of_every_picture_is_a_target() -> None:
    pictures = [
        picture(rectangle(1, 1, 5, 5), rectangle(9, 9, 14, 14)),
        picture(name="fluo_empty"),
        picture(rectangle(2, 2, 9, 9), name="bright_2"),
    ]
    targets = choose_targets(pictures)
    places = [(target.picture.name, target.label, target.weight) for target in targets]
    assert places == [("fluo_1", 10, 1), ("fluo_1", 20, 1), ("bright_2", 10, 1)]
    assert targets[1].truth() == packed(9, 9, 14, 14)


def test_no_object_is_lost_where_there_is_no_background() -> None:
    left = rectangle(0, 0, 30, 20)
    targets = choose_targets([picture(left, ~left)])
    assert {target.label for target in targets} == {10, 20}


MANY = [rectangle(y, x, y + 2, x + 2) for y in (1, 9, 17) for x in range(1, 30, 4)]


def test_a_sample_is_taken_of_each_kind_over_all_its_pictures() -> None:
    fluo = [picture(*MANY, name="fluo_1"), picture(*MANY, name="fluo_2")]
    few = picture(*MANY[:3], name="bright_1")
    targets = choose_targets([*fluo, few], per_kind=8)
    assert sum(target.picture is few for target in targets) == 3
    assert {t.picture.name for t in targets} == {"fluo_1", "fluo_2", "bright_1"}
    weights = {target.picture.kind: target.weight for target in targets}
    assert weights == {"fluo": 2 * len(MANY) / 8, "bright": 1}
    names = [target.picture.name for target in targets]
    assert names == sorted(names, key=["fluo_1", "fluo_2", "bright_1"].index), "pictures in a row"


def test_a_sample_is_the_same_for_the_same_seed_and_whatever_other_kinds_there_are() -> None:
    many = picture(*MANY)

    def labels(seed: int, *others: str) -> list[int]:
        pictures = [*(picture(*MANY, name=name) for name in others), many]
        targets = choose_targets(pictures, per_kind=4, seed=seed)
        return [target.label for target in targets if target.picture is many]

    assert len(set(labels(0))) == 4
    assert labels(0) == labels(0) == labels(0, "bright_1")
    assert labels(0) != labels(1)


def test_the_luck_of_an_object_is_its_own_and_the_same_each_time() -> None:
    pictures = [picture(*MANY[:2], name=name) for name in ("fluo_1", "fluo_2")]
    draws = [target.rng().random() for target in choose_targets(pictures)]
    assert len(set(draws)) == 4
    assert draws == [target.rng().random() for target in choose_targets(pictures)]


def test_nothing_to_score_is_said() -> None:
    for pictures in ([], [picture()]):
        with pytest.raises(PromptError, match="at least one object"):
            choose_targets(pictures)


# Asking


def test_a_correction_starts_from_the_logits_of_the_mask_that_is_shown() -> None:
    fake = FakeSegmenter(lambda request: [PackedMask(SHAPE), HALF])
    ask = Asker(as_segmenter(fake), TARGET.picture)
    first = ask(Prompts(((10.0, 10.0),), (1,)))
    assert first.packed_mask == HALF, "an empty mask is not shown where there is another"
    ask(Prompts(((10.0, 10.0), (10.0, 20.0)), (1, 1)), before=first, multimask=True)
    request = fake.asked[1]
    assert request.prompts.mask_prompt == LowResMask.of(first.low_res_masks[1])
    assert request.multimask is True
    assert fake.asked[0].prompts.mask_prompt is None
    assert fake.asked[0].multimask is None


def test_a_correction_begins_in_the_region_where_the_mask_was_found() -> None:
    fake = FakeSegmenter(lambda request: [HALF])
    ask = Asker(as_segmenter(fake), TARGET.picture)
    first = ask(Prompts(((10.0, 10.0),), (1,)))
    both = Prompts(((10.0, 10.0), (10.0, 20.0)), (1, 1))
    ask(both, before=replace(first, region=(0, 0, 20, 20)))
    ask(both, before=first)
    assert [request.field for request in fake.asked] == [
        FieldOfView("auto"),
        FieldOfView("auto", near=(0, 0, 20, 20)),
        FieldOfView("auto", near=(0, 0, *SHAPE)),
    ]
    moved = fake.asked[1].prompts.mask_prompt
    assert moved == LowResMask.of(first.low_res_masks[0], (0, 0, 20, 20))


def test_a_small_object_is_looked_at_closer_unless_the_whole_picture_is_asked_for() -> None:
    labelled = picture()
    labels = np.zeros((200, 300), np.int32)
    labels[20:30, 40:50] = 1
    large = replace(labelled, image=np.zeros((200, 300, 3), np.uint8), labels=labels)
    segmenter, box = ImageSegmenter(make_tiny_model()), Prompts(box=(20.0, 40.0, 30.0, 50.0))
    assert Asker(segmenter, large, "whole")(box).region is None
    assert Asker(segmenter, large)(box).region is not None


def test_a_picture_is_embedded_once() -> None:
    segmenter = ImageSegmenter(make_tiny_model())
    ask = Asker(segmenter, TARGET.picture, "whole")
    singles = single_prompts(TRUTH, TARGET.rng())
    predictions = [ask(prompts) for prompts in singles.values()]
    assert [p.embed_was_cached for p in predictions] == [False, True, True, True]
    again = ask(predictions[0].request.prompts, before=predictions[0])
    assert again.embed_was_cached


# Scores


def test_a_perfect_model_scores_one() -> None:
    scores = by_protocol(lambda request: [TRUTH])
    assert set(scores) == set(PROTOCOLS)
    for score in scores.values():
        assert (score.chosen, score.best) == (1, 1)
        assert score.predicted == pytest.approx(0.9)
        assert (score.picture, score.kind, score.label) == ("fluo_1", "fluo", 10)


def test_the_mask_that_is_seen_first_is_told_apart_from_the_best() -> None:
    def answer(request: Request) -> list[PackedMask]:
        one_click = len(request.prompts.points) == 1
        return [QUARTER, TRUTH, HALF] if request.multimask or one_click else [HALF]

    scores = by_protocol(answer)
    for protocol, score in scores.items():
        seen = 0.25 if protocol in (CLICK, RANDOM_CLICK) else 0.5
        assert score.chosen == pytest.approx(seen)
        assert score.best == 1


def test_the_best_is_never_below_what_is_seen() -> None:
    scores = by_protocol(lambda request: [QUARTER] * 3 if request.multimask else [TRUTH])
    for score in scores.values():
        assert (score.chosen, score.best) == (1, 1)


def test_what_is_predicted_is_that_of_the_mask_that_is_seen() -> None:
    scores = by_protocol(lambda request: [PackedMask(SHAPE), HALF])
    assert scores[CLICK].predicted == pytest.approx(0.5)


def test_a_model_that_finds_nothing_is_scored() -> None:
    scores = by_protocol(lambda request: [PackedMask(SHAPE)])
    assert {score.best for score in scores.values()} == {0}


def test_all_targets_are_scored_and_counted() -> None:
    pictures = [picture(*MANY[:2]), picture(MANY[0], name="bright_2")]
    targets = [replace(target, weight=2.0) for target in choose_targets(pictures)]
    told: list[tuple[int, int]] = []
    fake = as_segmenter(FakeSegmenter(lambda request: [TRUTH]))
    scores = evaluate(fake, targets, progress=lambda *count: told.append(count))
    assert len(scores) == 3 * len(PROTOCOLS)
    assert {score.weight for score in scores} == {2.0}
    assert told == [(1, 3), (2, 3), (3, 3)]
