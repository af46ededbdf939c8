"""Prompts that an annotator would give: clicks inside, boxes, corrections where the mask is wrong.

Masks of clicks are (N, h, w) at half the window's resolution, which places them to two pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.session.prompts import NEGATIVE, POSITIVE
from napari_sam2.training.annotator import correction, most_interior

STEP = 2  # window pixels per mask pixel
_BENDS = 12  # along a side of a window, of what pushes a hand-drawn edge about


def click_inside(masks: Tensor, interior: Tensor) -> Tensor:
    """Click each mask once.

    Parameters
    ----------
    masks : Tensor, shape (N, h, w), bool
        None of them empty.
    interior : Tensor, shape (N,)
        0: anywhere inside; 1: as far from the edge as possible.

    Returns
    -------
    Tensor, shape (N, 2)
        (x, y) in window pixels.
    """
    weight = interior.view(-1, 1, 1)
    score = weight * _depth(masks) + (1 - weight) * torch.rand(masks.shape)
    return _peak(score.masked_fill(~masks, -1))


def most_interior_clicks(masks: Tensor) -> Tensor:
    """Click each mask (N, h, w) at its most interior pixel, as evaluation does: (N, 2)."""
    return _in_window(torch.tensor([most_interior(mask) for mask in masks.numpy()]).flip(-1))


def boxes_around(masks: Tensor, jitter: Tensor) -> Tensor:
    """Draw a box round each mask (N, S, S), its sides off by about `jitter` (N,) of its size.

    Returns
    -------
    Tensor, shape (N, 2, 2)
        Top-left and bottom-right corner, (x, y) in window pixels.
    """
    side = torch.tensor([masks.shape[2], masks.shape[1]])
    x0, x1 = _extent(masks.any(dim=1))
    y0, y1 = _extent(masks.any(dim=2))
    low, high = torch.stack([x0, y0], 1).float(), torch.stack([x1, y1], 1).float()
    size = (high - low).clamp(min=2)
    low = low + torch.randn(low.shape) * jitter[:, None] * size
    high = high + torch.randn(high.shape) * jitter[:, None] * size
    low, high = torch.minimum(low, high - 1), torch.maximum(high, low + 1)
    return torch.stack([low.clamp(min=0), torch.minimum(high, side)], 1)


def draw_badly(masks: Tensor, badly: Tensor) -> Tensor:
    """Draw round each mask (N, h, w) by hand: its edge pushed about smoothly.

    Parameters
    ----------
    masks : Tensor, shape (N, h, w), bool
    badly : Tensor, shape (N,)
        How far the edge goes astray, relative to the square root of the area: a standard deviation.

    Returns
    -------
    Tensor, shape (N, h, w), bool
        Never empty: a mask that would be is left as it is.
    """
    count, height, width = masks.shape
    reach = badly * masks.sum((1, 2)).float().sqrt()  # in mask pixels
    bends = torch.randn(count, 2, _BENDS, _BENDS) + torch.randn(count, 2, 1, 1)
    push = F.interpolate(bends, (height, width), mode="bicubic").permute(0, 2, 3, 1)
    push = push * reach.view(-1, 1, 1, 1) * 2 / torch.tensor([width, height])
    still = torch.eye(2, 3).expand(count, -1, -1)
    grid = F.affine_grid(still, [count, 1, height, width], align_corners=False)
    drawn = F.grid_sample(masks.float()[:, None], grid + push, align_corners=False)[:, 0] > 0.5
    return torch.where(drawn.flatten(1).any(1).view(-1, 1, 1), drawn, masks)


def as_mask_prompt(masks: Tensor) -> Tensor:
    """Give masks (N, h, w) as a session gives an outline to the model, (N, 1, h / 2, w / 2)."""
    covered = F.avg_pool2d(masks.float()[:, None], 2)
    return covered / covered.amax((2, 3), keepdim=True).clamp(min=1e-6) * 20 - 10


def correct(masks: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Click in the deepest error: missing object, or mask outside the object.

    Returns
    -------
    coords_xy : Tensor, shape (N, 2)
        In window pixels.
    labels : Tensor, shape (N,)
        1 where object is missing, 0 where there is too much; 1 inside where nothing is wrong.
    """
    missing, extra = masks & ~predicted, predicted & ~masks
    deep_missing, deep_extra = _depth(missing), _depth(extra)
    worst_missing, worst_extra = deep_missing.flatten(1).amax(1), deep_extra.flatten(1).amax(1)
    add = worst_missing >= worst_extra
    perfect = (worst_missing == 0) & (worst_extra == 0)
    score = torch.where(add.view(-1, 1, 1), deep_missing, deep_extra)
    score = torch.where(perfect.view(-1, 1, 1), _depth(masks), score)
    score = score + 0.15 * torch.rand(score.shape) * (score > 0)
    labels = torch.where(add | perfect, POSITIVE, NEGATIVE).int()
    return _peak(score), labels


def correct_as_evaluated(masks: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Click in the middle of the largest error, as evaluation does; see `correct`."""
    clicks = []
    for truth, shown in zip(masks.numpy(), predicted.numpy(), strict=True):
        rows, columns = (torch.from_numpy((truth | shown).any(axis)).nonzero() for axis in (1, 0))
        y, x = int(rows.min()), int(columns.min())
        part = slice(y, int(rows.max()) + 1), slice(x, int(columns.max()) + 1)
        point, kind = correction(truth[part], shown[part])  # small arrays, for speed
        clicks.append((point[1] + x, point[0] + y, kind))
    x_y_kind = torch.tensor(clicks)
    return _in_window(x_y_kind[:, :2]), x_y_kind[:, 2].int()


def background_clicks(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Click each window (B, h, w) of labels once where there is no object, if there is room.

    Returns
    -------
    windows : Tensor, shape (K,)
        Which ones have room.
    coords_xy : Tensor, shape (K, 2)
        In window pixels.
    """
    empty = F.max_pool2d((labels > 0).float()[:, None], 5, 1, 2)[:, 0] == 0
    windows = empty.flatten(1).any(1).nonzero()[:, 0]
    return windows, _peak(((1 + torch.rand(labels.shape)) * empty)[windows])


def _depth(masks: Tensor) -> Tensor:
    """Estimate depth below the edge, in (0, 1] inside and 0 outside: means over two windows."""
    x = masks.float()[:, None]
    near = F.avg_pool2d(F.avg_pool2d(x, (5, 1), 1, (2, 0)), (1, 5), 1, (0, 2))
    half = F.avg_pool2d(x, 2)
    wide = F.avg_pool2d(F.avg_pool2d(half, (9, 1), 1, (4, 0)), (1, 9), 1, (0, 4))
    wide = F.interpolate(wide, scale_factor=2.0)
    return ((0.4 * near + 0.6 * wide) * x)[:, 0]


def _peak(score: Tensor) -> Tensor:
    width = score.shape[2]
    index = score.flatten(1).argmax(1)
    return _in_window(torch.stack([index % width, index // width], 1))


def _in_window(xy: Tensor) -> Tensor:
    """Give mask pixels as points of the window, anywhere on the mask pixel."""
    return xy.float() * STEP + torch.rand(xy.shape) * (STEP - 1)


def _extent(hits: Tensor) -> tuple[Tensor, Tensor]:
    positions = torch.arange(hits.shape[1])
    low = torch.where(hits, positions, hits.shape[1]).amin(1)
    high = torch.where(hits, positions, -1).amax(1)
    return low, high + 1
