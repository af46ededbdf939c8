from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.session.masks import PackedMask
from napari_sam2.training.scores import Score, calibration_error, figures_of, iou, weighted_quantile
from tests.training.drawn import SHAPE, packed

ONES = np.ones


def test_iou() -> None:
    empty = PackedMask(SHAPE)
    assert iou(packed(0, 0, 4, 10), packed(2, 0, 6, 10)) == pytest.approx(1 / 3)
    assert iou(packed(0, 0, 4, 10), packed(10, 0, 16, 10)) == 0
    assert iou(packed(0, 0, 4, 4), empty) == 0
    assert iou(empty, packed(0, 0, 4, 4)) == 0
    assert iou(empty, empty) == 1


def test_quantiles_of_weights_are_those_of_repeated_values() -> None:
    values, weights = np.array([0.9, 0.1, 0.5]), np.array([1.0, 2.0, 5.0])
    repeated = np.repeat(values, weights.astype(int))
    for part in (0.25, 0.5, 0.75, 0.9):
        wanted = np.quantile(repeated, part, method="inverted_cdf")
        assert weighted_quantile(values, weights, part) == wanted
        assert weighted_quantile(values, weights / 8, part) == wanted


def test_a_model_that_knows_how_good_it_is_has_no_calibration_error() -> None:
    actual = np.array([0.1, 0.95, 1.0, 0.52])
    assert calibration_error(actual, actual, ONES(4)) == 0


def test_errors_within_a_bin_cancel_and_between_bins_add() -> None:
    assert calibration_error(np.array([0.72, 0.78]), np.array([0.5, 1.0]), ONES(2)) == 0
    apart = calibration_error(np.array([0.65, 0.85]), np.array([0.45, 1.0]), ONES(2))
    assert apart == pytest.approx((0.2 + 0.15) / 2)


def test_a_bin_weighs_as_much_as_its_objects() -> None:
    predicted, actual = np.array([0.65, 0.85]), np.array([0.45, 0.85])
    assert calibration_error(predicted, actual, np.array([3.0, 1.0])) == pytest.approx(0.15)


def test_figures_count_what_each_score_stands_for() -> None:
    score = Score("p", "fluo", 1, 1.0, "box", 0.5, 0.75, 0.5)
    scores = [score, replace(score, weight=3.0, chosen=0.9, best=1.0, predicted=1.0)]
    figures = figures_of(scores)
    assert figures.objects == 2
    assert figures.mean == pytest.approx((0.5 + 3 * 0.9) / 4)
    assert figures.best == pytest.approx((0.75 + 3) / 4)
    assert figures.quartiles == (0.5, 0.9, 0.9)
    assert figures.calibration_error == pytest.approx(3 * 0.1 / 4)
    assert figures_of(scores, [1, 1]).mean == pytest.approx(0.7)
