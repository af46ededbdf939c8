"""From the decoder's coarse logits to an answer with masks of the plane's own size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.model.outputs import MaskOutput
from napari_sam2.session.enlarge import positive_mask
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction

MASK_THRESHOLD = 0.0  # logit; above it a pixel belongs to the object
LOGIT_LIMIT = 32.0  # what is fed back is cut here, as the official predictor does


def as_prediction(request: Request, output: MaskOutput, region: Box | None = None) -> Prediction:
    """Make the answer to one prompt: batch 1 of the decoder's output, best predicted IoU first.

    Parameters
    ----------
    request : Request
        The question.
    output : MaskOutput
        What was decoded.
    region : (y0, x0, y1, x1), optional
        The part of the plane that the model saw; all of it by default.
    """
    ious, low_res_masks = output.iou_predictions[0], output.low_res_masks[0]
    order = torch.argsort(ious, descending=True, stable=True)
    return Prediction(
        request=request,
        candidates=to_candidates(low_res_masks[order], request.image.shape, region),
        iou_predictions=np.asarray(ious[order].float().cpu().numpy(), np.float32),
        low_res_masks=to_reusable_logits(low_res_masks[order]),
        object_score=float(output.object_score[0]),
        region=region,
    )


def no_prediction(request: Request, low_res_size: int, region: Box | None = None) -> Prediction:
    """Make the answer to no prompt: no candidates, in arrays of the usual shapes."""
    return Prediction(
        request=request,
        candidates=(),
        iou_predictions=np.zeros(0, np.float32),
        low_res_masks=np.zeros((0, low_res_size, low_res_size), np.float32),
        object_score=0.0,
        region=region,
    )


def to_candidates(
    low_res_masks: Tensor, shape: tuple[int, int], region: Box | None = None
) -> tuple[PackedMask, ...]:
    """Enlarge logits to the region that they cover and cut them at 0.

    Parameters
    ----------
    low_res_masks : Tensor, shape (M, h, w)
        Logits as the decoder gives them, not clamped.
    shape : (H, W)
        Size of the plane.
    region : (y0, x0, y1, x1), optional
        Of the plane; all of it by default.

    Returns
    -------
    tuple of PackedMask
        M masks of the plane.
    """
    logits = np.asarray(low_res_masks.float().cpu().numpy(), np.float32)
    region = region or (0, 0, *shape)
    size = region[2] - region[0], region[3] - region[1]
    masks = (positive_mask(one - np.float32(MASK_THRESHOLD), size) for one in logits)
    return tuple(mask.placed(region, shape) for mask in masks)


def to_reusable_logits(low_res_masks: Tensor) -> NDArray[np.float32]:
    """Give logits that may be fed back as `mask_logits`, clamped to [-32, 32]."""
    clamped = low_res_masks.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    return np.asarray(clamped.cpu().numpy(), np.float32)
