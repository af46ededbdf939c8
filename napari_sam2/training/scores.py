"""How well masks match, and what is told of many: mean, quartiles, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sam2.session.masks import PackedMask

QUARTILES = (0.25, 0.5, 0.75)
CALIBRATION_BINS = 10  # of equal width, over predicted IoUs from 0 to 1

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """How one object fared.

    Attributes
    ----------
    picture, kind : str
        Where the object is.
    label : int
        Which one.
    weight : float
        How many objects of its kind it stands for: 1 unless a sample was taken.
    protocol : str
        One of `protocols.PROTOCOLS`.
    chosen : float
        IoU of the mask that a user would see first.
    best : float
        IoU of the best among it and the three candidates.
    predicted : float
        The decoder's own estimate of `chosen`.
    """

    picture: str
    kind: str
    label: int
    weight: float
    protocol: str
    chosen: float
    best: float
    predicted: float


@dataclass(frozen=True)
class Figures:
    """What is told of many scores under one protocol.

    Attributes
    ----------
    objects : int
        How many were scored.
    mean : float
        Of the IoU of the masks that a user would see first.
    quartiles : (float, float, float)
        A quarter, half and three quarters of these IoUs are no higher.
    best : float
        Mean IoU of the best candidates.
    calibration_error : float
        See `calibration_error`.
    """

    objects: int
    mean: float
    quartiles: tuple[float, float, float]
    best: float
    calibration_error: float


def iou(a: PackedMask, b: PackedMask) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    both = (a & b).area
    union = a.area + b.area - both
    return both / union if union else 1.0


def figures_of(scores: Sequence[Score], weights: ArrayLike | None = None) -> Figures:
    """Summarise scores of one protocol.

    Parameters
    ----------
    scores : sequence of Score
        At least one.
    weights : array_like, shape (N,), optional
        How much each one counts; by default what it stands for.
    """
    counts = np.asarray([s.weight for s in scores] if weights is None else weights, float)
    chosen = np.array([score.chosen for score in scores])
    low, middle, high = (weighted_quantile(chosen, counts, part) for part in QUARTILES)
    predicted = np.array([score.predicted for score in scores])
    return Figures(
        objects=len(scores),
        mean=float(np.average(chosen, weights=counts)),
        quartiles=(low, middle, high),
        best=float(np.average([score.best for score in scores], weights=counts)),
        calibration_error=calibration_error(predicted, chosen, counts),
    )


def weighted_quantile(values: _Floats, weights: _Floats, part: float) -> float:
    """Give the smallest value below or at which `part` of the weight lies."""
    order = np.argsort(values)
    below = np.cumsum(weights[order])
    # A hair less, lest a sum that should be exact is missed by its rounding.
    wanted = part * below[-1] * (1 - 1e-9)
    return float(values[order][np.searchsorted(below, wanted)])


def calibration_error(predicted: _Floats, actual: _Floats, weights: _Floats) -> float:
    """Give the expected calibration error of predicted IoUs.

    Scores are put into `CALIBRATION_BINS` by their predicted IoU; in each, the mean of the
    predicted and the mean of the actual IoUs are compared. The result is the mean of the absolute
    differences, each bin weighing as much as what lies in it: 0 is perfect.

    Parameters
    ----------
    predicted, actual, weights : float, shape (N,)

    References
    ----------
    Guo et al., "On calibration of modern neural networks" (arXiv:1706.04599), section 2.
    """
    bins = np.minimum((predicted * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    difference = np.bincount(bins, weights * (predicted - actual), minlength=CALIBRATION_BINS)
    return float(np.abs(difference).sum() / weights.sum())
