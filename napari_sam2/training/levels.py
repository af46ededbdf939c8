"""Part, object, group: what one click may mean, and what the three candidates should answer."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_LOW_RES = 4  # window pixels per low-resolution pixel
_DISTINCT = 0.8  # a part has at most this share of its object's area, an object of its group's
PART, OBJECT, GROUP = range(3)


class Levels(NamedTuple):
    """The truths that contain a click.

    Attributes
    ----------
    targets : Tensor, shape (N, 3, h, w), float32 in [0, 1]
        Of part, object and group: how much of each low-resolution pixel it covers.
    known : Tensor, shape (N, 3), bool
        Which of them there are.
    """

    targets: Tensor
    known: Tensor


def in_order(labels: Tensor, others: Tensor | None) -> Tensor:
    """Put objects (B, S, S), and parts and groups (B, 2, S, S), in order: (B, 3, S, S)."""
    if others is None:
        others = torch.zeros_like(labels)[:, None].expand(-1, 2, -1, -1)
    return torch.stack([others[:, 0], labels, others[:, 1]], dim=1)


def levels_at(planes: Tensor, images: Tensor, coords_xy: Tensor) -> Levels:
    """Give what lies at clicks.

    Parameters
    ----------
    planes : Tensor, shape (B, 3, S, S), integer
        Parts, objects and groups, 0 where there is none.
    images : Tensor, shape (N,)
        The window of each click.
    coords_xy : Tensor, shape (N, 2)
        (x, y) in window pixels.
    """
    x, y = coords_xy.round().long().clamp(0, planes.shape[-1] - 1).T
    ids = planes[images, :, y, x]  # (N, 3)
    masks = (planes[images] == ids[..., None, None]) & (ids > 0)[..., None, None]
    targets = F.avg_pool2d(masks.float(), _LOW_RES)
    part, whole, group = targets.sum((-2, -1)).T
    known = ids > 0
    known[:, PART] &= (part > 0) & (part < _DISTINCT * whole)
    known[:, GROUP] &= whole < _DISTINCT * group
    return Levels(targets, known)
