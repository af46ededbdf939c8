"""A second question after a single click, from the middle of what the click found.

A click near an object's edge says less than one in its middle, and a mask tells where that is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from napari_sam2.session.cleanup import clicked_parts
from napari_sam2.session.masks import Box, PackedMask, iou
from napari_sam2.session.postprocess import MASK_THRESHOLD
from napari_sam2.session.prompts import POSITIVE, Prompts, Request
from napari_sam2.session.results import Prediction
from napari_sam2.session.shape_prompts import interior_points

_OVERLAP = 0.4  # IoU with the first answer; with less, another object was found


def is_asked_twice(request: Request) -> bool:
    """Tell whether a request is one click on the object, and leaves to us how it is answered."""
    prompts = request.prompts
    is_click = prompts.polarity == (POSITIVE,) and prompts.box is None
    is_free = request.multimask is None and not request.field.is_official
    return is_click and prompts.mask_prompt is None and is_free


def with_the_middle(prediction: Prediction, region: Box) -> Prompts | None:
    """Give the click and the most interior place of the best mask; None if that is empty.

    Parameters
    ----------
    prediction : Prediction
        The answer to a click.
    region : (y0, x0, y1, x1)
        That its logits cover.
    """
    (click,) = prediction.request.prompts.points
    inside = prediction.low_res_masks[0] > MASK_THRESHOLD
    if not inside.any():
        return None
    y0, x0, y1, x1 = region
    corner = np.array([y0, x0], float)
    scale = np.array([y1 - y0, x1 - x0]) / inside.shape  # plane pixels of a coarse one
    y, x = (np.array(click) + 0.5 - corner) / scale - 0.5
    part = clicked_parts(PackedMask.of(inside), ((float(y), float(x)),))
    (middle,) = interior_points(part, 1)
    y, x = ((np.array(middle) + 0.5) * scale + corner - 0.5).clip(0, None)
    return Prompts((click, (float(y), float(x))), (POSITIVE, POSITIVE))


def better_of(first: Prediction, again: Prediction) -> Prediction:
    """Put the second answer in place of the best first one, if it is trusted more and alike.

    Its predicted IoU becomes the mean of both: the higher of two estimates is mostly too high.
    """
    trusted, before = float(again.iou_predictions[0]), float(first.iou_predictions[0])
    if math.isnan(trusted) or trusted <= before:
        return first
    pair = (PackedMask.of(one.low_res_masks[0] > MASK_THRESHOLD) for one in (first, again))
    if iou(*pair) < _OVERLAP:
        return first
    ious = first.iou_predictions.copy()
    ious[0] = (before + trusted) / 2
    return replace(
        first,
        candidates=(again.candidates[0], *first.candidates[1:]),
        iou_predictions=ious,
        low_res_masks=np.concatenate([again.low_res_masks[:1], first.low_res_masks[1:]]),
    )
