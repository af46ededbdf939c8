"""A second look at one mask: the picture around it, at the object's own scale.

This is no part of SAM 2; the small model that comes with the package has it, because its own masks
are coarse. A small U-Net sees the picture and the mask's logits, and tells what to add to them.

References
----------
U-Net (arXiv:1505.04597).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam2.model.blocks import MLP

REFINED_SIZE = 64  # side of the square that is looked at, in its own pixels
_SEEN = 10  # channels: the 8 of `Refiner.forward`, the logits, and where these are near 0
_GROUPS = 8
_SHARP = 3.0  # logits: what is nearer to 0 is the edge
SURE = 6.0  # logits: what is farther from 0 is sure


class Refined(NamedTuple):
    """What a second look gives.

    Attributes
    ----------
    change : Tensor, shape (N, 1, R, R)
        To be added to the logits.
    iou_predictions : Tensor, shape (N,)
        Of the changed masks, in [0, 1].
    """

    change: Tensor
    iou_predictions: Tensor


class Refiner(nn.Module):
    """Sees a picture and a mask's logits, and tells how to change these.

    Parameters
    ----------
    widths : sequence of int
        Channels at R/2 x R/2 pixels and each coarser scale.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4 * _SEEN, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.joined = nn.ModuleList(_Block(width) for width in widths[:-1])
        self.change = nn.Conv2d(widths[0], 4, 1)
        self.iou = MLP(widths[-1] + 2 * widths[0] + 1, widths[-1], 1, num_layers=2)
        nn.init.zeros_(self.change.weight)
        assert self.change.bias is not None
        nn.init.zeros_(self.change.bias)

    def forward(self, seen: Tensor, logits: Tensor, ious: Tensor) -> Refined:
        """Look at N masks.

        Parameters
        ----------
        seen : Tensor, shape (N, 8, R, R)
            The picture (3), where there is any, clicks on the object and off it, how far inside
            the box a pixel lies, and the mask that was given to be corrected, both in [-1, 1]; see
            `session.refinement`.
        logits : Tensor, shape (N, 1, R, R)
        ious : Tensor, shape (N,)
            As the decoder predicts them, in [0, 1].
        """
        edge = torch.exp(-((logits / _SHARP) ** 2))
        x = torch.cat([seen, logits.clamp(-SURE, SURE) / SURE, edge], 1)
        x = self.stem(F.pixel_unshuffle(x, 2))
        kept = []
        for block, down in zip(self.blocks, [*self.downs, None], strict=True):
            x = block(x)
            if down is not None:
                kept.append(x)
                x = down(x)
        coarse = x.mean((2, 3))
        for up, block, fine in zip(
            reversed(self.ups), reversed(self.joined), reversed(kept), strict=True
        ):
            x = block(fine + F.interpolate(up(x), scale_factor=2.0, mode="nearest"))
        change = F.pixel_shuffle(self.change(x), 2)
        inside = F.avg_pool2d((logits + change).detach().sigmoid(), 2)
        parts = [_mean(x, inside), _mean(x, 4 * inside * (1 - inside))]
        told = torch.cat([coarse, *parts, ious[:, None]], 1)
        return Refined(change, self.iou(told)[:, 0].sigmoid())


def widths_in(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """Read a refiner's widths from the shapes of a model's tensors; none if it has none."""
    widths: list[int] = []
    while (key := f"refiner.blocks.{len(widths)}.norm.weight") in shapes:
        widths.append(shapes[key][0])
    return tuple(widths)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Change (N, C, h, w) a little."""
        out: Tensor = x + self.second(F.relu(self.first(self.norm(x))))
        return out


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """Give the mean of (N, C, h, w) over pixels, weighed by (N, 1, h, w): (N, C)."""
    return (x * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(min=1)
