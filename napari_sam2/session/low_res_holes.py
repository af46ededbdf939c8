"""Holes of low-resolution masks, as the official video predictor fills them on CUDA."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

_TOUCHING = np.ones((3, 3), bool)  # pixels that meet at a corner belong together
_FILLED = 0.1  # logit


def fill_holes(low_res_masks: Tensor, max_area: int) -> Tensor:
    """Make small parts of the background positive, also those at the border.

    Parameters
    ----------
    low_res_masks : Tensor, shape (B, M, h, w)
        Logits.
    max_area : int
        In pixels of these masks; parts that meet at a corner are one.
    """
    is_hole = torch.zeros(low_res_masks.shape, dtype=torch.bool)
    for mask, holes in zip(low_res_masks.flatten(0, 1), is_hole.flatten(0, 1), strict=True):
        parts, _ = ndimage.label((mask <= 0).cpu().numpy(), _TOUCHING)
        areas = np.bincount(parts.ravel())
        areas[0] = max_area + 1  # the foreground
        holes.copy_(torch.from_numpy(areas[parts] <= max_area))
    return torch.where(is_hole.to(low_res_masks.device), _FILLED, low_res_masks)
