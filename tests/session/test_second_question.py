from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import LowResMask, Prompts, Request
from napari_sam2.session.regions import FieldOfView
from napari_sam2.session.results import Prediction
from napari_sam2.session.second_question import better_of, is_asked_twice, with_the_middle

IMAGE = PlaneImage.of("plane", np.zeros((60, 90), np.uint8))
CLICK = Prompts(((20.0, 30.0),), (1,))
AUTO = FieldOfView("auto")


def logits(*boxes: tuple[int, int, int, int], side: int = 16) -> np.ndarray:
    """Coarse logits that are positive inside boxes."""
    values = np.full((side, side), -5, np.float32)
    for y0, x0, y1, x1 in boxes:
        values[y0:y1, x0:x1] = 5
    return values


def answer(*found: tuple[float, np.ndarray], click: tuple[float, float] = (20, 30)) -> Prediction:
    """A prediction of scores and logits that cover the plane."""
    scores, masks = zip(*found, strict=True)
    candidates = tuple(PackedMask.of(mask > 0, shape=(60, 90)) for mask in masks)
    request = Request(IMAGE, Prompts((click,), (1,)), field=AUTO)
    return Prediction(request, candidates, np.array(scores, np.float32), np.stack(masks), 1.0)


def test_one_click_is_asked_twice() -> None:
    assert is_asked_twice(Request(IMAGE, CLICK, field=AUTO))
    assert is_asked_twice(Request(IMAGE, CLICK, field=FieldOfView("fixed", (0, 0, 9, 9))))


@pytest.mark.parametrize(
    "changes",
    [
        {"field": FieldOfView("whole")},
        {"multimask": True},
        {"multimask": False},
        {"prompts": Prompts()},
        {"prompts": Prompts(((20.0, 30.0),), (0,))},
        {"prompts": Prompts(((20.0, 30.0), (4.0, 5.0)), (1, 1))},
        {"prompts": Prompts(((20.0, 30.0),), (1,), (0.0, 0.0, 9.0, 9.0))},
        {"prompts": Prompts(((20.0, 30.0),), (1,), None, LowResMask.of(logits()))},
    ],
)
def test_anything_else_is_asked_once(changes: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"prompts": CLICK, "field": AUTO, **changes}
    assert not is_asked_twice(Request(IMAGE, **asked))


def test_the_middle_is_the_most_interior_place_in_pixels_of_the_plane() -> None:
    found = answer((0.9, logits((2, 4, 7, 9))))  # its middle is coarse pixel (4, 6)
    prompts = with_the_middle(found, (10, 20, 42, 84))  # 2 and 4 plane pixels for a coarse one
    assert prompts == Prompts(((20, 30), (10 + 4.5 * 2 - 0.5, 20 + 6.5 * 4 - 0.5)), (1, 1))


def test_the_middle_is_of_the_part_that_was_clicked() -> None:
    small, large = (1, 1, 4, 4), (6, 6, 15, 15)
    found = answer((0.9, logits(small, large)), click=(2, 2))
    prompts = with_the_middle(found, (0, 0, 16, 16))
    assert prompts is not None
    assert prompts.points[1] == (2, 2)


def test_an_empty_mask_has_no_middle() -> None:
    assert with_the_middle(answer((0.9, logits())), (0, 0, 16, 16)) is None


def test_a_mask_that_fills_the_region_has_its_middle_inside() -> None:
    prompts = with_the_middle(answer((0.9, logits((0, 0, 16, 16)))), (0, 0, 60, 90))
    assert prompts is not None
    prompts.check((60, 90))
    assert 20 < prompts.points[1][0] < 40
    assert 35 < prompts.points[1][1] < 55


def test_what_is_trusted_more_takes_the_place_of_the_best() -> None:
    first = answer((0.7, logits((2, 2, 8, 8))), (0.6, logits((2, 2, 4, 4))))
    again = answer((0.8, logits((2, 2, 9, 9))))
    better = better_of(first, again)
    assert better.candidates == (again.candidates[0], first.candidates[1])
    np.testing.assert_allclose(better.iou_predictions, [0.75, 0.6])  # the mean of both
    np.testing.assert_allclose(first.iou_predictions, [0.7, 0.6])  # as it was
    np.testing.assert_array_equal(better.low_res_masks[0], again.low_res_masks[0])
    np.testing.assert_array_equal(better.low_res_masks[1], first.low_res_masks[1])
    assert better.iou_predictions.dtype == np.float32


@pytest.mark.parametrize(
    ("score", "box"),
    [
        (0.7, (2, 2, 9, 9)),  # trusted as much
        (float("nan"), (2, 2, 9, 9)),
        (0.9, (2, 2, 12, 12)),  # 36 of 100 pixels
        (0.9, (9, 9, 12, 12)),  # another object
        (0.9, (0, 0, 0, 0)),
    ],
)
def test_otherwise_the_first_answer_stays(score: float, box: tuple[int, int, int, int]) -> None:
    first = answer((0.7, logits((2, 2, 8, 8))), (0.6, logits((2, 2, 4, 4))))
    assert better_of(first, answer((score, logits(box)))) is first
