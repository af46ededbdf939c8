from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_sam2.session.mask_prompts import as_logits
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import NEGATIVE, POSITIVE
from napari_sam2.training.annotator import correction, most_interior
from napari_sam2.training.prompts import (
    STEP,
    as_mask_prompt,
    background_clicks,
    boxes_around,
    click_inside,
    correct,
    correct_as_evaluated,
    draw_badly,
    most_interior_clicks,
)

Correct = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

SIZE = 32  # of a mask, half a window


def rectangle(y0: int, x0: int, y1: int, x1: int) -> Tensor:
    mask = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    mask[y0:y1, x0:x1] = True
    return mask


def odd_masks() -> Tensor:
    """Give masks that are hard to click: a ring, a line, a pixel, corners of the window, all."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    distance = ((y - 15) ** 2 + (x - 17) ** 2).float().sqrt()
    return torch.stack(
        [
            (distance < 11) & (distance > 8),
            rectangle(4, 3, 5, 29),
            rectangle(20, 9, 21, 10),
            rectangle(0, 0, 3, 4),
            rectangle(29, 28, SIZE, SIZE),
            rectangle(0, 0, SIZE, SIZE),
        ]
    )


def at(masks: Tensor, coords_xy: Tensor) -> Tensor:
    """Look masks (N, h, w) up at (x, y) in window pixels, (N, 2)."""
    x, y = (coords_xy / STEP).floor().long().unbind(-1)
    return masks[torch.arange(len(masks)), y, x]


# Clicks


@pytest.mark.parametrize("interior", [0.0, 1.0])
def test_a_click_is_inside_its_mask(interior: float) -> None:
    masks = odd_masks()
    for _ in range(20):
        assert at(masks, click_inside(masks, torch.full((len(masks),), interior))).all()


def distance_to_edge(mask: tuple[int, int, int, int], coords_xy: Tensor) -> Tensor:
    y0, x0, y1, x1 = (STEP * edge for edge in mask)
    x, y = coords_xy.unbind(-1)
    return torch.stack([x - x0, x1 - 1 - x, y - y0, y1 - 1 - y]).amin(0)


def test_an_interior_click_is_deeper_than_a_random_one() -> None:
    edges = (6, 4, 20, 26)
    masks = rectangle(*edges).expand(40, -1, -1)
    deep = distance_to_edge(edges, click_inside(masks, torch.ones(40)))
    anywhere = distance_to_edge(edges, click_inside(masks, torch.zeros(40)))
    assert deep.min() > STEP * 4
    assert anywhere.mean() < deep.mean() - STEP
    assert anywhere.min() < STEP * 2


def test_random_clicks_reach_every_part() -> None:
    masks = rectangle(8, 8, 12, 12).expand(400, -1, -1)
    coords = click_inside(masks, torch.zeros(400))
    assert len((coords / STEP).floor().unique(dim=0)) == 16


def test_clicks_are_x_first() -> None:
    coords = click_inside(rectangle(2, 20, 4, 30)[None], torch.ones(1))[0]
    assert 20 * STEP <= coords[0] < 30 * STEP
    assert 2 * STEP <= coords[1] < 4 * STEP


def test_a_background_click_keeps_its_distance_from_objects() -> None:
    labels = torch.ones(1, SIZE, SIZE, dtype=torch.int64)
    labels[0, 10:17, 3:10] = 0
    for _ in range(10):
        windows, coords = background_clicks(labels)
        assert windows.tolist() == [0]
        x, y = (coords[0] / STEP).floor().tolist()
        assert 12 <= y < 15
        assert 5 <= x < 8


def test_a_window_without_background_is_not_clicked_there() -> None:
    """It was clicked at its corner, on an object, and told that there was none."""
    labels = torch.ones(3, SIZE, SIZE, dtype=torch.int64)
    labels[1, 10:20, 10:20] = 0
    windows, coords = background_clicks(labels)
    assert windows.tolist() == [1]
    assert coords.shape == (1, 2)
    windows, coords = background_clicks(labels[[0, 2]])
    assert len(windows) == len(coords) == 0


def test_the_most_interior_click_is_evaluation_s() -> None:
    masks = odd_masks()
    x, y = (most_interior_clicks(masks) / STEP).floor().long().unbind(-1)
    wanted = [most_interior(mask.numpy()) for mask in masks]
    assert list(zip(y.tolist(), x.tolist(), strict=True)) == wanted


# Boxes


def test_a_box_without_jitter_is_tight() -> None:
    boxes = boxes_around(odd_masks()[1:], torch.zeros(5))
    wanted = torch.tensor(
        [
            [[3, 4], [29, 5]],
            [[9, 20], [10, 21]],
            [[0, 0], [4, 3]],
            [[28, 29], [32, 32]],
            [[0, 0], [32, 32]],
        ]
    )
    assert torch.equal(boxes, wanted.float())


def test_a_jittered_box_is_a_box_in_the_window_near_its_mask() -> None:
    masks = odd_masks().repeat(20, 1, 1)
    jitter = torch.full((len(masks),), 0.1)
    tight, boxes = boxes_around(masks, 0 * jitter), boxes_around(masks, jitter)
    low, high = boxes.unbind(1)
    assert (low < high).all()
    assert (low >= 0).all()
    assert (high <= SIZE).all()
    size = (tight[:, 1] - tight[:, 0])[:, None]
    assert ((boxes - tight).abs() <= 0.5 * size + 1).all()
    assert ((boxes - tight).abs() / size).mean() > 0.02


def test_every_box_has_its_own_jitter() -> None:
    masks = odd_masks()[:2]
    exact, loose = boxes_around(masks, torch.tensor([0.0, 0.1]))
    tight = boxes_around(masks, torch.zeros(2))
    assert torch.equal(exact, tight[0])
    assert not torch.equal(loose, tight[1])


# Corrections

CORRECT = pytest.mark.parametrize("correct", [correct, correct_as_evaluated])


@CORRECT
def test_where_object_is_missing_the_click_is_positive_and_there(correct: Correct) -> None:
    truth = rectangle(4, 4, 20, 24)
    shown = rectangle(4, 4, 20, 12)
    coords, labels = correct(truth[None], shown[None])
    assert labels.tolist() == [POSITIVE]
    assert at((truth & ~shown)[None], coords).all()


@CORRECT
def test_where_there_is_too_much_the_click_is_negative_and_there(correct: Correct) -> None:
    truth = rectangle(4, 4, 20, 12)
    shown = rectangle(4, 4, 20, 24)
    coords, labels = correct(truth[None], shown[None])
    assert labels.tolist() == [NEGATIVE]
    assert at((shown & ~truth)[None], coords).all()


@CORRECT
def test_a_perfect_mask_is_clicked_inside(correct: Correct) -> None:
    masks = odd_masks()
    coords, labels = correct(masks, masks)
    assert labels.tolist() == [POSITIVE] * len(masks)
    assert at(masks, coords).all()


@CORRECT
def test_an_empty_answer_is_corrected_inside_the_object(correct: Correct) -> None:
    masks = odd_masks()
    coords, labels = correct(masks, torch.zeros_like(masks))
    assert labels.tolist() == [POSITIVE] * len(masks)
    assert at(masks, coords).all()


@CORRECT
def test_the_deepest_error_goes_first(correct: Correct) -> None:
    truth = rectangle(2, 2, 12, 12)
    shown = rectangle(2, 2, 12, 11) | rectangle(18, 18, 30, 30)  # a column short, a blob too much
    for _ in range(10):
        coords, labels = correct(truth[None], shown[None])
        assert labels.tolist() == [NEGATIVE]
        x, y = (coords[0] / STEP).tolist()
        assert 20 <= x < 28, "well inside the blob"
        assert 20 <= y < 28, "well inside the blob"


@CORRECT
def test_each_mask_of_a_batch_is_corrected_for_itself(correct: Correct) -> None:
    left, right = rectangle(4, 2, 16, 12), rectangle(4, 18, 16, 28)
    truth = torch.stack([left, left | right, left])
    shown = torch.stack([left | right, left, left])
    coords, labels = correct(truth, shown)
    assert labels.tolist() == [NEGATIVE, POSITIVE, POSITIVE]
    assert labels.dtype == torch.int32
    assert at(torch.stack([right, right, left]), coords).all()


def test_evaluation_s_corrections_are_evaluation_s() -> None:
    truth = rectangle(4, 4, 20, 24).expand(4, -1, -1)
    shown = torch.stack(
        [
            rectangle(4, 9, 20, 24) | rectangle(25, 25, 28, 28),
            rectangle(4, 4, 30, 30),
            rectangle(22, 2, 31, 31) | rectangle(4, 4, 15, 24),
            truth[0],
        ]
    )
    coords, labels = correct_as_evaluated(truth, shown)
    x, y = (coords / STEP).floor().long().unbind(-1)
    for index in range(4):
        point, kind = correction(truth[index].numpy(), shown[index].numpy())
        assert (y[index], x[index], labels[index]) == (*point, kind)


# Outlines


@pytest.mark.parametrize("badly", [0.0, 0.05])
def test_an_outline_is_as_badly_drawn_as_asked_for(badly: float) -> None:
    masks = torch.zeros(6, 64, 64, dtype=torch.bool)
    masks[:, 20:44, 16:48] = True
    drawn = draw_badly(masks, torch.full((6,), badly))
    overlap = (drawn & masks).sum((1, 2)) / (drawn | masks).sum((1, 2))
    assert drawn.dtype == torch.bool
    if badly:
        assert 0.6 < overlap.mean() < 0.97
        assert len(overlap.unique()) > 1
    else:
        assert (overlap == 1).all()


def test_an_outline_is_never_empty() -> None:
    masks = torch.zeros(4, 64, 64, dtype=torch.bool)
    masks[:, 0, 0] = True
    assert draw_badly(masks, torch.full((4,), 9.0)).flatten(1).any(1).all()


def test_an_outline_is_given_as_a_session_gives_it() -> None:
    masks = torch.rand(2, 32, 32) < 0.1
    got = as_mask_prompt(masks)
    for mask, logits in zip(masks, got, strict=True):
        wanted = as_logits(
            PackedMask.of(mask.numpy(), (0, 0), (32, 32)), 16, (0, 0, 32, 32), (32, 32)
        )
        np.testing.assert_allclose(logits[None], wanted, atol=1e-4)
