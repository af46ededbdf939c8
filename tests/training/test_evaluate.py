from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import NEGATIVE, POSITIVE, Prompts, Request
from napari_sam2.session.results import Prediction
from napari_sam2.training.data import Picture
from napari_sam2.training.evaluate import (
    PROTOCOLS,
    Score,
    correction,
    evaluate,
    iou,
    most_interior,
    score_object,
    summary,
    table,
    tight_box,
)

SHAPE = (30, 40)
Mask = NDArray[np.bool_]


def rectangle(y0: int, x0: int, y1: int, x1: int) -> Mask:
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def picture(*masks: Mask, name: str = "fluo_1") -> Picture:
    labels = np.zeros(SHAPE, np.int32)
    for label, mask in enumerate(masks, start=1):
        labels[mask] = label * 10
    return Picture(name, name.split("_")[0], np.zeros((*SHAPE, 3), np.uint8), labels)


class FakeSegmenter:
    """Answers with the masks that it was given, and remembers the questions."""

    def __init__(self, answer: Callable[[dict[str, Any]], list[Mask]]) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answer = answer

    def segment(
        self,
        image: ArrayLike,
        points: Any = (),
        polarity: Any = None,
        box: Any = None,
        multimask: bool | None = None,
    ) -> Prediction:
        question = {
            "points": list(points),
            "polarity": None if polarity is None else list(polarity),
            "box": box,
            "multimask": multimask,
        }
        self.asked.append(question)
        masks = np.stack(self._answer(question))
        ious = np.linspace(0.9, 0.5, len(masks)).astype(np.float32)
        request = Request(PlaneImage.of("fake", np.asarray(image)), Prompts())
        logits = np.zeros((len(masks), 4, 4), np.float32)
        return Prediction.of_masks(request, masks, ious, logits, 1.0)


def as_segmenter(fake: FakeSegmenter) -> ImageSegmenter:
    return cast(ImageSegmenter, fake)


# Prompts


def test_the_most_interior_pixel() -> None:
    assert most_interior(rectangle(4, 10, 13, 31)) in {(8, x) for x in range(14, 27)}
    assert most_interior(rectangle(5, 7, 6, 8)) == (5, 7)
    assert most_interior(rectangle(29, 39, 30, 40)) == (29, 39)


def test_the_pictures_edge_is_an_edge_of_the_object() -> None:
    assert most_interior(rectangle(0, 0, 9, 9)) == (4, 4)
    assert most_interior(rectangle(21, 31, 30, 40)) == (25, 35)
    assert most_interior(np.ones((7, 7), bool)) == (3, 3)


def test_the_most_interior_pixel_of_a_ring_is_on_the_ring() -> None:
    ring = rectangle(4, 4, 20, 20) & ~rectangle(8, 8, 17, 17)
    y, x = most_interior(ring)
    assert ring[y, x]
    assert y in (5, 6) or x in (5, 6), "on a broad side, not on a narrow one"


@pytest.mark.parametrize(
    "edges", [(4, 10, 13, 31), (5, 7, 6, 8), (0, 0, 3, 40), (29, 39, 30, 40), (0, 0, 30, 40)]
)
def test_a_box_is_tight(edges: tuple[int, int, int, int]) -> None:
    mask = rectangle(*edges)
    assert tight_box(mask) == edges
    Prompts(box=tight_box(mask)).check(SHAPE)  # also of one pixel, and at the picture's edge


def test_missing_object_is_clicked_positive() -> None:
    (y, x), kind = correction(rectangle(2, 2, 11, 30), rectangle(2, 2, 11, 15))
    assert kind == POSITIVE
    assert 15 < x < 29
    assert y == 6


def test_too_much_is_clicked_negative() -> None:
    (y, x), kind = correction(rectangle(2, 2, 11, 15), rectangle(2, 2, 11, 30))
    assert kind == NEGATIVE
    assert 15 < x < 29
    assert y == 6


def test_only_the_largest_error_counts() -> None:
    truth = rectangle(2, 2, 8, 8) | rectangle(12, 2, 17, 7) | rectangle(12, 12, 17, 17)
    shown = rectangle(2, 2, 8, 8) | rectangle(20, 20, 26, 26)
    # 50 pixels are missing, but in two parts of 25; the part too much has 36
    assert correction(truth, shown)[1] == NEGATIVE
    assert correction(truth, rectangle(2, 2, 8, 8) | rectangle(20, 20, 24, 24))[1] == POSITIVE


def test_a_perfect_mask_is_clicked_in_its_middle() -> None:
    mask = rectangle(4, 10, 13, 19)
    assert correction(mask, mask) == ((8, 14), POSITIVE)


def test_an_error_of_one_pixel_is_clicked() -> None:
    truth = rectangle(4, 10, 13, 19)
    assert correction(truth, truth | rectangle(29, 39, 30, 40)) == ((29, 39), NEGATIVE)
    assert correction(truth | rectangle(0, 0, 1, 1), truth) == ((0, 0), POSITIVE)


def test_iou() -> None:
    empty = np.zeros(SHAPE, bool)
    assert iou(rectangle(0, 0, 4, 10), rectangle(2, 0, 6, 10)) == pytest.approx(1 / 3)
    assert iou(rectangle(0, 0, 4, 4), empty) == 0
    assert iou(empty, empty) == 1


# Scores

TRUTH = rectangle(6, 8, 16, 28)
HALF = rectangle(6, 8, 16, 18)
QUARTER = rectangle(6, 8, 16, 13)


def by_protocol(answer: Callable[[dict[str, Any]], list[Mask]]) -> dict[str, Score]:
    scores = score_object(as_segmenter(FakeSegmenter(answer)), picture(TRUTH), 10)
    return {score.protocol: score for score in scores}


def test_a_perfect_model_scores_one() -> None:
    scores = by_protocol(lambda question: [TRUTH])
    assert tuple(scores) == PROTOCOLS
    for score in scores.values():
        assert (score.chosen, score.best) == (1, 1)
        assert score.predicted == pytest.approx(0.9)
        assert (score.picture, score.kind, score.label) == ("fluo_1", "fluo", 10)


def test_the_mask_that_is_seen_first_is_told_apart_from_the_best() -> None:
    def answer(question: dict[str, Any]) -> list[Mask]:
        one_click = len(question["points"]) == 1
        return [QUARTER, TRUTH, HALF] if question["multimask"] or one_click else [HALF]

    scores = by_protocol(answer)
    assert scores["click"].chosen == pytest.approx(0.25)
    assert scores["click"].best == 1
    assert scores["box"].chosen == pytest.approx(0.5)
    assert scores["box"].best == 1
    assert scores["3 clicks"].chosen == pytest.approx(0.5)
    assert scores["3 clicks"].best == 1


def test_the_best_is_never_below_what_is_seen() -> None:
    scores = by_protocol(lambda question: [QUARTER] * 3 if question["multimask"] else [TRUTH])
    for score in scores.values():
        assert (score.chosen, score.best) == (1, 1)


def test_what_a_person_would_give_is_asked() -> None:
    fake = FakeSegmenter(lambda question: [HALF])
    list(score_object(as_segmenter(fake), picture(TRUTH), 10))
    clicks = [question for question in fake.asked if question["box"] is None]
    boxes = [question for question in fake.asked if question["box"] is not None]
    assert {(tuple(q["points"]), q["box"]) for q in boxes} == {((), (6, 8, 16, 28))}
    assert sorted(str(q["multimask"]) for q in boxes) == ["None", "True"]
    first = clicks[0]["points"]
    assert first == [most_interior(TRUTH)]
    longest = clicks[-1]
    assert len(longest["points"]) == 3
    assert longest["points"][:1] == first
    assert longest["polarity"] == [POSITIVE] * 3, "half of the object is missing each time"
    assert all(18 <= x < 28 for _, x in longest["points"][1:])


@pytest.mark.parametrize("truth", [rectangle(29, 39, 30, 40), rectangle(0, 0, 30, 3)])
def test_tiny_and_cut_objects_are_scored(truth: Mask) -> None:
    fake = FakeSegmenter(lambda question: [np.zeros(SHAPE, bool)])
    scores = list(score_object(as_segmenter(fake), picture(truth), 10))
    assert [score.best for score in scores] == [0, 0, 0]


def test_every_object_of_every_picture_is_scored() -> None:
    pictures = [
        picture(rectangle(1, 1, 5, 5), rectangle(9, 9, 14, 14)),
        picture(name="fluo_empty"),
        picture(rectangle(2, 2, 9, 9), name="bright_2"),
    ]
    told: list[tuple[int, int]] = []
    fake = FakeSegmenter(lambda question: [TRUTH])
    scores = evaluate(as_segmenter(fake), pictures, progress=lambda *count: told.append(count))
    objects = [(score.picture, score.label) for score in scores if score.protocol == "box"]
    assert objects == [("fluo_1", 10), ("fluo_1", 20), ("bright_2", 10)]
    assert len(scores) == 3 * len(PROTOCOLS)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_no_object_is_lost_where_there_is_no_background() -> None:
    left = rectangle(0, 0, 30, 20)
    fake = FakeSegmenter(lambda question: [TRUTH])
    scores = evaluate(as_segmenter(fake), [picture(left, ~left)])
    assert {score.label for score in scores} == {10, 20}


def test_a_sample_of_objects_is_the_same_for_the_same_seed() -> None:
    many = picture(*[rectangle(y, x, y + 2, x + 2) for y in (1, 9, 17) for x in range(1, 30, 4)])
    fake = as_segmenter(FakeSegmenter(lambda question: [TRUTH]))

    def labels(seed: int) -> list[int]:
        scores = evaluate(fake, [many], objects=4, seed=seed)
        return [score.label for score in scores if score.protocol == "click"]

    assert len(set(labels(0))) == 4
    assert labels(0) == labels(0)
    assert labels(0) != labels(1)


def test_nothing_to_score_is_said() -> None:
    fake = as_segmenter(FakeSegmenter(lambda question: [TRUTH]))
    for pictures in ([], [picture()]):
        with pytest.raises(PromptError, match="at least one object"):
            evaluate(fake, pictures)


# What is told


def scores_of(kind: str, chosen: float, best: float) -> list[Score]:
    return [
        Score("p", kind, 1, name, chosen + i / 100, best, 0.5) for i, name in enumerate(PROTOCOLS)
    ]


SCORES = [
    *scores_of("fluo", 0.5, 0.6),
    *scores_of("fluo", 0.7, 0.8),
    *scores_of("bright", 0.2, 0.3),
]


def test_the_table_has_a_row_for_each_kind_and_one_for_all() -> None:
    lines = table(iter(SCORES)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == [
        *("kind", "objects", "click chosen / best", "box chosen / best"),
        "3 clicks chosen / best",
    ]
    assert cells[1] == ["---"] * 5
    assert cells[2] == ["bright", "1", "0.200 / 0.300", "0.210 / 0.300", "0.220 / 0.300"]
    assert cells[3] == ["fluo", "2", "0.600 / 0.700", "0.610 / 0.700", "0.620 / 0.700"]
    assert cells[4] == ["all", "3", "0.467 / 0.567", "0.477 / 0.567", "0.487 / 0.567"]
    assert len(cells) == 5


def test_the_summary_has_the_tables_figures() -> None:
    figures = summary(iter(SCORES))
    assert list(figures) == ["bright", "fluo", "all"]
    for kind in figures.values():
        assert tuple(kind) == PROTOCOLS
    assert figures["fluo"]["box"] == {
        "chosen": pytest.approx(0.61),
        "best": pytest.approx(0.7),
        "objects": 2,
    }
    assert figures["all"]["click"]["chosen"] == pytest.approx(1.4 / 3)
    assert figures["all"]["click"]["objects"] == 3
