from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import NEGATIVE, POSITIVE, Prompts, Request
from napari_sam2.session.results import Prediction
from napari_sam2.training.protocols import (
    BOX,
    CLICK,
    LOOSE_BOX,
    PROTOCOLS,
    RANDOM_CLICK,
    Answered,
    ask_all,
    single_prompts,
)
from tests.training.drawn import SHAPE, packed

TRUTH = packed(6, 8, 16, 28)
HALF = packed(6, 8, 16, 18)
QUARTER = packed(6, 8, 16, 13)
IMAGE = PlaneImage.of("fake", np.zeros(SHAPE))


@dataclass(frozen=True)
class Asked:
    prompts: Prompts
    before: Prediction | None
    multimask: bool | None


class FakeAsk:
    """Answers with the masks that it was given, and remembers the questions."""

    def __init__(self, answer: Callable[[Asked], list[PackedMask]]) -> None:
        self.asked: list[Asked] = []
        self._answer = answer

    def __call__(
        self, prompts: Prompts, *, before: Prediction | None = None, multimask: bool | None = None
    ) -> Prediction:
        asked = Asked(prompts, before, multimask)
        self.asked.append(asked)
        masks = self._answer(asked)
        ious = np.linspace(0.9, 0.5, len(masks)).astype(np.float32)
        logits = np.zeros((len(masks), 4, 4), np.float32)
        return Prediction(Request(IMAGE, prompts), tuple(masks), ious, logits, 1.0)


def as_sam_does(asked: Asked) -> list[PackedMask]:
    one_click = len(asked.prompts.points) == 1
    return [QUARTER, TRUTH, HALF] if asked.multimask or one_click else [HALF]


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def ask(fake: FakeAsk, truth: PackedMask = TRUTH) -> dict[str, Answered]:
    return {answered.protocol: answered for answered in ask_all(fake, truth, rng())}


def test_the_prompts_of_an_object_are_where_it_is() -> None:
    prompts = single_prompts(TRUTH, rng())
    ((y, x),) = prompts[CLICK].points
    assert y in (10, 11)
    assert 12 <= x <= 23
    ((y, x),) = prompts[RANDOM_CLICK].points
    assert TRUTH.to_array()[int(y), int(x)]
    assert prompts[BOX] == Prompts(box=(6, 8, 16, 28))
    loose = prompts[LOOSE_BOX].box
    assert loose is not None
    assert loose != (6, 8, 16, 28)
    assert np.allclose(loose, (6, 8, 16, 28), atol=4)


def test_the_prompts_of_an_object_are_the_same_each_time() -> None:
    assert single_prompts(TRUTH, rng()) == single_prompts(TRUTH, rng())
    other = single_prompts(TRUTH, np.random.default_rng(4))
    assert other[LOOSE_BOX] != single_prompts(TRUTH, rng())[LOOSE_BOX]


@pytest.mark.parametrize("edges", [(5, 7, 6, 8), (29, 39, 30, 40), (0, 0, 30, 40), (0, 0, 30, 3)])
def test_tiny_cut_and_whole_objects_can_be_prompted(edges: tuple[int, int, int, int]) -> None:
    for prompts in single_prompts(packed(*edges), rng()).values():
        prompts.check(SHAPE)
    answers = ask(FakeAsk(lambda asked: [PackedMask(SHAPE)]), packed(*edges))
    assert set(answers) == set(PROTOCOLS)


def test_every_protocol_is_answered_with_what_is_shown_and_three_candidates() -> None:
    answers = ask(FakeAsk(as_sam_does))
    assert set(answers) == set(PROTOCOLS)
    for protocol, answered in answers.items():
        one_click = protocol in (CLICK, RANDOM_CLICK)
        assert answered.prediction.packed_mask == (QUARTER if one_click else HALF)
        assert answered.candidates == (QUARTER, TRUTH, HALF)


def test_three_clicks_are_the_first_and_two_corrections() -> None:
    answers = ask(fake := FakeAsk(as_sam_does))
    first = answers[CLICK].prediction.request.prompts.points
    three = answers["3 clicks"].prediction.request.prompts
    five = answers["5 clicks"].prediction.request.prompts
    assert len(three.points) == 3
    assert len(five.points) == 5
    assert three.points[:1] == first
    assert five.points[:3] == three.points
    assert five.polarity == (POSITIVE,) * 5, "part of the object is missing each time"
    assert all(18 <= x < 28 for _, x in five.points[2:]), "half of it is, from the second click on"
    corrections = [asked for asked in fake.asked if len(asked.prompts.points) > 1]
    assert all(asked.before is not None for asked in corrections)


def test_a_correction_goes_on_from_the_answer_before_and_so_do_its_candidates() -> None:
    ask(fake := FakeAsk(as_sam_does))
    of_three = [asked for asked in fake.asked if len(asked.prompts.points) == 3]
    assert [asked.multimask for asked in of_three] == [None, True]
    before = {id(asked.before) for asked in of_three}
    assert len(before) == 1
    assert of_three[0].before is not None
    assert len(of_three[0].before.request.prompts.points) == 2
    fresh = [asked for asked in fake.asked if len(asked.prompts.points) < 2]
    assert all(asked.before is None for asked in fresh)


def test_a_mask_that_is_too_large_is_corrected_by_a_background_click() -> None:
    answers = ask(FakeAsk(lambda asked: [packed(0, 0, 30, 40)]))
    prompts = answers["3 clicks"].prediction.request.prompts
    assert prompts.polarity == (POSITIVE, NEGATIVE, NEGATIVE)
    mask = TRUTH.to_array()
    assert not any(mask[int(y), int(x)] for y, x in prompts.points[1:])
