from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.session.answers import (
    RULES,
    LastChoice,
    Rule,
    answer_of,
    choose_candidate,
    last_choice_of,
)
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.results import Prediction

SHAPE = (20, 30)
PROMPTS = Prompts(((5.0, 6.0),), (1,))


def candidates(*areas: int) -> tuple[PackedMask, ...]:
    return tuple(PackedMask.of((np.arange(600) < area).reshape(SHAPE)) for area in areas)


def prediction(*areas: int) -> Prediction:
    request = Request(PlaneImage.of("key", np.zeros(SHAPE)), PROMPTS, model="tiny")
    scores = np.linspace(0.75, 0.5, len(areas), dtype=np.float32)
    logits = np.arange(len(areas) * 16, dtype=np.float32).reshape(-1, 4, 4) / 2
    return Prediction(request, candidates(*areas), scores, logits, 1.0, weights_hash="abc")


def test_an_answer_keeps_the_question_and_all_candidates() -> None:
    predicted = prediction(9, 5, 7)
    answer = answer_of(predicted, chosen=1)
    assert answer.prompts == PROMPTS
    assert answer.candidates == predicted.candidates
    assert answer.scores == (0.75, 0.625, 0.5)
    assert (answer.mask.area, answer.score) == (5, 0.625)
    assert (answer.model, answer.weights_hash) == ("tiny", "abc")
    np.testing.assert_array_equal(answer.logits[2].to_array(), predicted.low_res_masks[2])


def test_equal_predictions_make_equal_answers() -> None:
    assert answer_of(prediction(9, 5)) == answer_of(prediction(9, 5))
    assert hash(answer_of(prediction(9, 5))) == hash(answer_of(prediction(9, 5)))


@pytest.mark.parametrize(("areas", "chosen"), [((), 0), ((9,), 1), ((9,), -1)])
def test_a_candidate_that_is_not_there_cannot_be_chosen(
    areas: tuple[int, ...], chosen: int
) -> None:
    with pytest.raises(ValueError, match=f"one of {len(areas)} candidates, .* got {chosen}"):
        answer_of(prediction(*areas), chosen)


@pytest.mark.parametrize(
    ("rule", "areas", "wanted"),
    [
        ("best", (50, 90, 10), 0),
        ("largest", (50, 90, 10), 1),
        ("smallest", (50, 90, 10), 2),
        ("same", (50, 90, 10), 0),  # nothing was kept before
        ("largest", (50, 90, 90), 1),  # of equal ones, the better
        ("smallest", (50, 10, 10), 1),
        ("best", (0, 90, 10), 1),  # an empty mask helps nobody
        ("smallest", (50, 0, 10), 2),
        ("same", (0, 0, 0), 0),
        ("smallest", (50,), 0),
    ],
)
def test_a_rule_chooses_the_candidate_to_show_first(
    rule: Rule, areas: tuple[int, ...], wanted: int
) -> None:
    assert choose_candidate(candidates(*areas), rule) == wanted


@pytest.mark.parametrize(
    ("last_area", "wanted"),
    [
        (5, 0),
        (10, 0),
        (31, 0),  # 31 / 10 is less than 100 / 31
        (32, 2),  # the ratio counts: in pixels, 10 would be nearer
        (90, 2),
        (399, 1),
    ],
)
def test_the_same_scale_is_the_nearest_area_as_a_ratio(last_area: int, wanted: int) -> None:
    last = LastChoice(area=last_area, rank=2)
    assert choose_candidate(candidates(10, 400, 100), "same", last) == wanted


@pytest.mark.parametrize(("rank", "wanted"), [(0, 1), (1, 2), (2, 0), (7, 0)])
def test_the_same_scale_is_the_same_rank_where_no_area_is_known(rank: int, wanted: int) -> None:
    last = LastChoice(rank=rank)
    assert choose_candidate(candidates(90, 10, 50), "same", last) == wanted


@pytest.mark.parametrize("rule", ["best", "largest", "smallest"])
def test_other_rules_do_not_look_back(rule: Rule) -> None:
    last = LastChoice(area=50, rank=1)
    options = candidates(90, 50, 10)
    assert choose_candidate(options, rule, last) == choose_candidate(options, rule)


@pytest.mark.parametrize(("chosen", "wanted"), [(0, 2), (1, 0), (2, 1), (3, 0)])
def test_a_choice_is_remembered_with_its_area_and_its_rank(chosen: int, wanted: int) -> None:
    answer = answer_of(prediction(90, 10, 50, 0), chosen)
    assert last_choice_of(answer) == LastChoice(answer.mask.area, wanted)
    assert last_choice_of(answer, area=33) == LastChoice(33, wanted)


def test_a_remembered_rank_chooses_again_what_was_chosen() -> None:
    for chosen in range(3):
        last = last_choice_of(answer_of(prediction(90, 10, 50), chosen), area=0)
        assert choose_candidate(candidates(90, 10, 50), "same", last) == chosen


def test_mistakes_are_told() -> None:
    with pytest.raises(ValueError, match="at least one candidate"):
        choose_candidate(())
    with pytest.raises(ValueError, match="best, largest, smallest, same, got 'any'"):
        choose_candidate(candidates(5), "any")  # type: ignore[arg-type]
    assert RULES == ("best", "largest", "smallest", "same")
