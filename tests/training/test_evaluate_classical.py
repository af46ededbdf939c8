from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.training.classical import BOX_METHODS, CLICK_METHODS
from napari_sam2.training.evaluate import Target, choose_targets
from napari_sam2.training.evaluate_classical import (
    ClassicalScore,
    at_their_best,
    evaluate_classical,
)
from napari_sam2.training.protocols import BOX, CLICK, LOOSE_BOX, RANDOM_CLICK
from tests.training.drawn import picture, rectangle

SCORE = ClassicalScore("fluo", 1.0, CLICK, "flood with tolerance", 0, 0.5)


@pytest.fixture
def targets() -> list[Target]:
    """Two bright rectangles on black."""
    labelled = picture(rectangle(4, 5, 14, 17), rectangle(18, 20, 27, 35))
    image = np.where(labelled.labels[..., None] > 0, 200, 20).astype(np.uint8)
    return choose_targets([replace(labelled, image=image.repeat(3, axis=-1))])


def test_every_setting_answers_single_clicks_and_boxes(targets: list[Target]) -> None:
    told: list[tuple[int, int]] = []
    scores = evaluate_classical(targets, progress=lambda *count: told.append(count))
    assert told == [(1, 2), (2, 2)]
    methods = {
        p: {s.method for s in scores if s.protocol == p} for p in {s.protocol for s in scores}
    }
    assert methods == {
        CLICK: set(CLICK_METHODS),
        RANDOM_CLICK: set(CLICK_METHODS),
        BOX: set(BOX_METHODS),
        LOOSE_BOX: set(BOX_METHODS),
    }
    of_flood = [s for s in scores if (s.protocol, s.method) == (CLICK, SCORE.method)]
    assert sorted(s.setting for s in of_flood) == sorted([0, 1, 2, 3] * 2)


def test_what_is_easy_is_found(targets: list[Target]) -> None:
    scores = evaluate_classical(targets)
    otsu = [s.iou for s in scores if s.method == "Otsu component"]
    assert len(otsu) == 4
    assert min(otsu) > 0.8


def test_of_each_method_the_best_setting_of_a_kind_is_kept() -> None:
    fluo = [replace(SCORE, setting=1, iou=iou) for iou in (0.6, 0.7)]
    fluo += [replace(SCORE, iou=iou) for iou in (0.9, 0.1)]
    bright = [replace(SCORE, kind="bright"), replace(SCORE, kind="bright", setting=1, iou=0.2)]
    box = replace(SCORE, protocol=BOX, method="Otsu in the box", iou=0.3)
    assert at_their_best([*fluo, *bright, box]) == [*fluo[:2], bright[0], box]


def test_no_scores_have_no_best() -> None:
    assert at_their_best([]) == []
