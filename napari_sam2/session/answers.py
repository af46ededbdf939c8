"""From a prediction to the answer that is kept with an object, and which candidate to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer
from napari_sam2.session.prompts import LowResMask
from napari_sam2.session.results import Prediction

Rule = Literal["best", "largest", "smallest", "same"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class LastChoice:
    """What was chosen for the object that was kept last.

    Attributes
    ----------
    area : int
        Pixels of its mask on one plane; 0 if it is not known.
    rank : int
        Place of the chosen candidate by size, 0 for the smallest.
    """

    area: int = 0
    rank: int = 0


def answer_of(prediction: Prediction, chosen: int = 0) -> Answer:
    """Make what is kept of a prediction.

    Parameters
    ----------
    prediction : Prediction
        With at least one candidate.
    chosen : int
        The candidate that is shown.

    Raises
    ------
    ValueError
        If there is no such candidate.
    """
    candidates = prediction.candidates
    if not 0 <= chosen < len(candidates):
        raise ValueError(
            f"chosen must be one of {len(candidates)} candidates, counted from 0, got {chosen}."
        )
    return Answer(
        prompts=prediction.request.prompts,
        candidates=candidates,
        scores=tuple(float(score) for score in prediction.iou_predictions),
        logits=tuple(LowResMask.of(one, prediction.region) for one in prediction.low_res_masks),
        chosen=chosen,
        model=prediction.request.model,
        weights_hash=prediction.weights_hash,
    )


def last_choice_of(answer: Answer, area: int | None = None) -> LastChoice:
    """Remember the choice of an object that is kept.

    Parameters
    ----------
    answer : Answer
        On the plane that was worked on last.
    area : int, optional
        Of the mask that is kept, after corrections; by default that of the chosen candidate.
    """
    own = answer.mask.area
    smaller = [candidate for candidate in answer.candidates if 0 < candidate.area < own]
    return LastChoice(own if area is None else area, len(smaller))


def choose_candidate(
    candidates: Sequence[PackedMask], rule: Rule = "best", last: LastChoice | None = None
) -> int:
    """Choose the candidate to show first.

    Empty candidates are chosen only where all are empty; of equal ones, the first.

    Parameters
    ----------
    candidates : sequence of PackedMask
        Best predicted IoU first; at least one.
    rule : str
        "best" takes the first one; "largest" and "smallest" go by area; "same" takes the one
        whose area is nearest to that of the object kept last, as a ratio, or where that is not
        known, the one of the same rank by size.
    last : LastChoice, optional
        The object kept last. Without it "same" is "best".

    Returns
    -------
    int
        Index of the candidate.

    Raises
    ------
    ValueError
        If there is no candidate or no such rule.
    """
    if not candidates:
        raise ValueError("Choosing needs at least one candidate, got none.")
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}.")
    areas = [candidate.area for candidate in candidates]
    filled = [index for index, area in enumerate(areas) if area]
    if not filled:
        return 0
    if rule == "largest":
        return max(filled, key=areas.__getitem__)
    if rule == "smallest":
        return min(filled, key=areas.__getitem__)
    if rule == "best" or last is None:
        return filled[0]
    if last.area > 0:
        return min(filled, key=lambda index: abs(math.log(areas[index] / last.area)))
    return sorted(filled, key=areas.__getitem__)[min(last.rank, len(filled) - 1)]
