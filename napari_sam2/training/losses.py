"""What the decoder and the encoder are asked to get right.

References
----------
SAM (arXiv:2304.02643), "Training"; SAM 2 (arXiv:2408.00714), "Training".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam2.model.outputs import DecoderOutput
from napari_sam2.training.levels import Levels

_AREA_FLOOR = 8.0  # low-res pixels; keeps the tiniest objects from ruling the loss
_OTHERS = 0.4  # what the two candidates that are not best contribute
_IOU_WEIGHT = 6.0
_OBJECT_WEIGHT = 0.2
_ORDER_WEIGHT = 0.05
_AUX_WIDTH = 48
_EMBEDDING = 16
_PIXELS = 192  # compared with each other, per picture


def decoder_loss(
    output: DecoderOutput,
    target: Tensor,
    background: float = 1.0,
    levels: Levels | None = None,
) -> Tensor:
    """Score all four masks: the single one, the best of the three candidates, and their IoUs.

    Where a click may mean more than one thing, each candidate has its own truth instead: part,
    object, group. Everywhere the candidates are asked to grow in this order, weakly.

    Parameters
    ----------
    output : DecoderOutput
        Of N prompts.
    target : Tensor, shape (N, h, w), float32 in [0, 1]
        How much of each low-resolution pixel the object covers.
    background : float
        Weight of the pixels outside, see `mask_loss`.
    levels : Levels, optional
        What a single click may mean.
    """
    per_mask = mask_loss(output.low_res_masks, target[:, None], background)  # (N, 4)
    single, candidates = per_mask[:, 0], per_mask[:, 1:]
    best = candidates.amin(1) + _OTHERS * candidates.mean(1)
    if levels is not None:
        best = best + _ORDER_WEIGHT * _disorder(output.low_res_masks[:, 1:])
        rows = (levels.known.sum(1) > 1).nonzero()[:, 0]
        if len(rows):
            known = levels.known[rows].float()
            own = mask_loss(output.low_res_masks[rows, 1:], levels.targets[rows], background)
            own = (own * known).sum(1) / known.sum(1) * (1 + _OTHERS)
            best = best.index_put((rows,), own)
    masks = single + best
    truth = iou(output.low_res_masks > 0, target[:, None] > 0.5)
    ious = F.mse_loss(output.iou_predictions, truth)
    return masks.mean() + _IOU_WEIGHT * ious


def _disorder(logits: Tensor) -> Tensor:
    """Tell how much larger candidates (N, 3, h, w) are than those behind them, (N,)."""
    size = (logits.sigmoid().sum((-2, -1)) + _AREA_FLOOR).log()
    return F.relu(size[:, :-1] - size[:, 1:]).sum(1)


def object_loss(object_score: Tensor, present: Tensor) -> Tensor:
    """Score the belief that there is an object at all; `present` (N,) is 1 or 0."""
    return _OBJECT_WEIGHT * F.binary_cross_entropy_with_logits(object_score, present)


def mask_loss(logits: Tensor, target: Tensor, background: float = 1.0) -> Tensor:
    """Sum cross-entropy relative to the areas, and dice, per mask: (N, M, h, w) to (N, M).

    Relative to the object's area alone, a tiny object under a large wrong mask would rule the
    gradient. At `background` 1 wrong pixels count alike wherever they are; balancing object against
    background for good makes masks several times too large. Much less at the start keeps the
    decoder from settling on empty masks before it has found out what a prompt means.
    """
    target = target.expand_as(logits)
    area = target.sum((-2, -1))
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * (background + (1 - background) * target)).sum((-2, -1))
    probability = logits.sigmoid()
    overlap = (probability * target).sum((-2, -1))
    dice = 1 - (2 * overlap + 1) / (probability.sum((-2, -1)) + area + 1)
    return entropy / (area + probability.detach().sum((-2, -1)) + _AREA_FLOOR) * 2 + dice


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of bool masks (..., h, w); 1 where both are empty."""
    union = (a | b).sum((-2, -1))
    return torch.where(union > 0, (a & b).sum((-2, -1)) / union.clamp(min=1), 1.0)


class DenseHead(nn.Module):
    """A helper of training only: the neck's levels predict foreground, edge, centre and sameness.

    It teaches the encoder to tell objects apart long before the decoder can. Sameness is what the
    decoder must answer: do two pixels belong to one object?
    """

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(d_model, _AUX_WIDTH, 1) for _ in range(3))
        self.out = nn.Conv2d(_AUX_WIDTH, 4, 1)
        self.embedding = nn.Conv2d(_AUX_WIDTH, _EMBEDDING, 1)
        self.sameness = nn.Parameter(torch.tensor([1.0, 0.1]))  # of identical pixels; per distance

    def forward(self, levels: tuple[Tensor, Tensor, Tensor], labels: Tensor) -> Tensor:
        """Score the neck's levels (strides 4, 8, 16) against labels (B, S, S)."""
        fine, middle, coarse = (conv(x) for conv, x in zip(self.levels, levels, strict=True))
        x = middle + F.interpolate(coarse, scale_factor=2.0, mode="bilinear")
        x = fine + F.interpolate(x, scale_factor=2.0, mode="bilinear")
        x = F.gelu(x)
        logits = self.out(x).float()  # (B, 4, S/4, S/4)
        foreground, edge, offset, inside = _dense_targets(labels)
        shapes = F.binary_cross_entropy_with_logits(logits[:, 0], foreground)
        edges = F.binary_cross_entropy_with_logits(logits[:, 1], edge)
        miss = (logits[:, 2:] - offset).abs().sum(1)
        centres = (miss * inside).sum() / inside.sum().clamp(min=1)
        sameness = self._sameness(self.embedding(x).float(), labels[:, 1::4, 1::4])
        total: Tensor = shapes + edges + centres + sameness
        return total

    def _sameness(self, embedding: Tensor, small: Tensor) -> Tensor:
        losses = []
        for vectors, plane in zip(embedding.flatten(2), small.flatten(1), strict=True):
            inside = plane.nonzero()[:, 0]
            if len(inside) < 2:
                continue
            picked = inside[torch.randint(len(inside), (_PIXELS,))]
            e = vectors[:, picked].T
            distance = (e[:, None] - e[None]).square().sum(-1)
            same = (plane[picked][:, None] == plane[picked][None]).float()
            bias, slope = self.sameness
            balance = same / same.mean() + (1 - same) / (1 - same).mean().clamp(min=0.05)
            logits = bias - slope.abs() * distance
            losses.append(F.binary_cross_entropy_with_logits(logits, same, balance / 2))
        return torch.stack(losses).mean() if losses else embedding.sum() * 0


def _dense_targets(labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    small = labels[:, 1::4, 1::4]  # (B, h, w)
    foreground = F.avg_pool2d((labels > 0).float()[:, None], 4)[:, 0]
    high = F.max_pool2d(small.float()[:, None], 3, 1, 1)[:, 0]
    low = -F.max_pool2d(-small.float()[:, None], 3, 1, 1)[:, 0]
    edge = ((high != low) & (small > 0)).float()
    offset = torch.zeros(len(small), 2, *small.shape[1:])
    for index, plane in enumerate(small):
        offset[index] = _offset_to_centre(plane)
    return foreground, edge, offset, (small > 0).float()


def _offset_to_centre(plane: Tensor) -> Tensor:
    """Vector from each pixel to its object's centre over the object's radius, (2, h, w)."""
    ids, index = plane.unique(return_inverse=True)
    flat = index.flatten()
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in plane.shape), indexing="ij")
    count = torch.bincount(flat, minlength=len(ids)).clamp(min=1)
    radius = (count / 3.14).sqrt()[index]
    vectors = []
    for axis in (y, x):
        centre = torch.bincount(flat, weights=axis.flatten(), minlength=len(ids)) / count
        vectors.append((centre[index] - axis) / radius)
    return torch.stack(vectors).float().clamp(-3, 3)
