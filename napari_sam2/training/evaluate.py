"""How good the masks are, by the prompts that a person would give.

Every object of every picture is prompted through `ImageSegmenter`, as a user's would be: one click
at its most interior pixel, a tight box, and three clicks, each in the deepest error so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.errors import PromptError
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.prompts import NEGATIVE, POSITIVE
from napari_sam2.session.results import Prediction
from napari_sam2.training.data import Picture

PROTOCOLS = ("click", "box", "3 clicks")
_CLICKS = 3
_Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Score:
    """How one object fared under one protocol.

    Attributes
    ----------
    picture, kind : str
        Where the object is.
    label : int
        Which one.
    protocol : str
        One of `PROTOCOLS`.
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
    protocol: str
    chosen: float
    best: float
    predicted: float


def evaluate(
    segmenter: ImageSegmenter,
    pictures: Sequence[Picture],
    *,
    objects: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Score]:
    """Score every object, or `objects` random ones of each picture, under every protocol.

    Raises
    ------
    PromptError
        If there is no object in any picture.
    """
    rng = np.random.default_rng(seed)
    scores: list[Score] = []
    for index, picture in enumerate(pictures):
        labels = np.unique(picture.labels[picture.labels > 0])
        if objects is not None and len(labels) > objects:
            labels = rng.choice(labels, objects, replace=False)
        for label in labels:
            scores += score_object(segmenter, picture, int(label))
        if progress is not None:
            progress(index + 1, len(pictures))
    if not scores:
        raise PromptError(
            f"Evaluating needs at least one object, got none in {len(pictures)} pictures. "
            "Check the list of names, and that labels are above 0 on objects."
        )
    return scores


def score_object(segmenter: ImageSegmenter, picture: Picture, label: int) -> Iterator[Score]:
    """Score one object under every protocol."""
    truth = picture.labels == label
    for protocol, prediction, others in (
        ("click", *_click(segmenter, picture, truth)),
        ("box", *_box(segmenter, picture, truth)),
        ("3 clicks", *_three_clicks(segmenter, picture, truth)),
    ):
        chosen = iou(prediction.mask, truth)
        best = max([chosen, *(iou(mask, truth) for mask in others)])
        predicted = float(prediction.iou_predictions[prediction.chosen])
        yield Score(picture.name, picture.kind, label, protocol, chosen, best, predicted)


def iou(a: _Mask, b: _Mask) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def most_interior(mask: _Mask) -> tuple[int, int]:
    """Give the pixel (y, x) that is farthest from the mask's edge; outside the picture is edge."""
    y, x = np.nonzero(mask)
    low = np.array([y.min(), x.min()])
    part = np.pad(mask[low[0] : y.max() + 1, low[1] : x.max() + 1], 1)
    depth = ndimage.distance_transform_edt(part)
    found = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(found[0] + low[0] - 1), int(found[1] + low[1] - 1)


def tight_box(mask: _Mask) -> tuple[float, float, float, float]:
    """Give the edges (y0, x0, y1, x1) of the smallest box around a mask."""
    y, x = np.nonzero(mask)
    return float(y.min()), float(x.min()), float(y.max() + 1), float(x.max() + 1)


def correction(truth: _Mask, mask: _Mask) -> tuple[tuple[int, int], int]:
    """Give the click that an annotator would make next: the middle of the largest error."""
    missing, extra = _largest_part(truth & ~mask), _largest_part(mask & ~truth)
    if not missing.any() and not extra.any():
        return most_interior(truth), POSITIVE
    if missing.sum() >= extra.sum():
        return most_interior(missing), POSITIVE
    return most_interior(extra), NEGATIVE


def table(scores: Iterable[Score]) -> str:
    """Lay mean IoUs out by kind: what a user sees / the best candidate, per protocol."""
    scores = list(scores)
    kinds = [*sorted({score.kind for score in scores}), "all"]
    head = ["kind", "objects", *(f"{name} chosen / best" for name in PROTOCOLS)]
    rows = [head, ["---"] * len(head)]
    for kind in kinds:
        of_kind = [score for score in scores if kind in (score.kind, "all")]
        cells = [kind, str(len(of_kind) // len(PROTOCOLS))]
        for protocol in PROTOCOLS:
            chosen = [score.chosen for score in of_kind if score.protocol == protocol]
            best = [score.best for score in of_kind if score.protocol == protocol]
            cells.append(f"{np.mean(chosen):.3f} / {np.mean(best):.3f}")
        rows.append(cells)
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def summary(scores: Iterable[Score]) -> dict[str, dict[str, dict[str, float]]]:
    """Give the figures of `table` as {kind: {protocol: {"chosen", "best", "objects"}}}."""
    scores = list(scores)
    result: dict[str, dict[str, dict[str, float]]] = {}
    for kind in [*sorted({score.kind for score in scores}), "all"]:
        for protocol in PROTOCOLS:
            of_both = [s for s in scores if s.protocol == protocol and kind in (s.kind, "all")]
            result.setdefault(kind, {})[protocol] = {
                "chosen": float(np.mean([s.chosen for s in of_both])),
                "best": float(np.mean([s.best for s in of_both])),
                "objects": len(of_both),
            }
    return result


def _click(
    segmenter: ImageSegmenter, picture: Picture, truth: _Mask
) -> tuple[Prediction, NDArray[np.bool_]]:
    prediction = segmenter.segment(picture.image, points=[most_interior(truth)])
    return prediction, prediction.masks


def _box(
    segmenter: ImageSegmenter, picture: Picture, truth: _Mask
) -> tuple[Prediction, NDArray[np.bool_]]:
    box = tight_box(truth)
    candidates = segmenter.segment(picture.image, box=box, multimask=True)
    return segmenter.segment(picture.image, box=box), candidates.masks


def _three_clicks(
    segmenter: ImageSegmenter, picture: Picture, truth: _Mask
) -> tuple[Prediction, NDArray[np.bool_]]:
    points, polarity = [most_interior(truth)], [POSITIVE]
    prediction = segmenter.segment(picture.image, points, polarity)
    for _ in range(_CLICKS - 1):
        point, kind = correction(truth, prediction.mask)
        points.append(point)
        polarity.append(kind)
        prediction = segmenter.segment(picture.image, points, polarity)
    candidates = segmenter.segment(picture.image, points, polarity, multimask=True)
    return prediction, candidates.masks


def _largest_part(mask: _Mask) -> _Mask:
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    largest: _Mask = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    return largest
