"""The decoder's lesson: prompts of random objects, as a person would give and correct them.

References
----------
SAM (arXiv:2304.02643), "Training algorithm".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.model import Sam2
from napari_sam2.model.mask_decoder import single_mask
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures
from napari_sam2.model.prompt_encoder import PADDING
from napari_sam2.training import prompts
from napari_sam2.training.levels import GROUP, OBJECT, PART, in_order, levels_at
from napari_sam2.training.losses import decoder_loss, iou, object_loss
from napari_sam2.training.window import Window

_MIN_AREA = 64  # pixels; smaller objects are not asked for
_MAX_LOGIT = 32.0
_BOXES = 0.5  # share of the objects that begin with a box
_OUTLINES = 0.1  # share of those that are outlined by hand; the others are clicked
_BADLY = (0.0, 0.06)  # how badly, see `prompts.draw_badly`
_CARRIED = 0.1  # share of the objects whose mask a moment ago is known
_ASTRAY = (0.02, 0.25)  # how far that one is off, in the same measure
_ALONE = 0.5  # how often it comes without a box and a click
_PARTS, _GROUPS = 0.12, 0.1  # shares of what is asked for, where there are any
_TIGHT = 0.5  # share of the boxes that are tight
_BOX_JITTER = 0.1  # of the other boxes' size, at most
_AS_EVALUATED = 0.5  # share of clicks at the most interior pixel, of the object or of the error
_SECOND_CORRECTION = 0.3  # how often there is one
_FEEDBACK = 0.5  # how often a correction comes with the earlier logits


class WindowDecoder:
    """The mask decoder on a window of the canvas.

    Parameters
    ----------
    model : Sam2
    features : ImageFeatures
        Of the windows, batch B.
    offset : (int, int)
        Row and column of the windows' corner on the canvas, in model pixels.
    side : int
        Of the windows, in model pixels.
    """

    def __init__(
        self, model: Sam2, features: ImageFeatures, offset: tuple[int, int], side: int
    ) -> None:
        self._window = Window(model, offset, side)
        self._features = model.without_memory(features)

    def __call__(
        self, images: Tensor, coords_xy: Tensor, labels: Tensor, mask_logits: Tensor | None = None
    ) -> DecoderOutput:
        """Decode N prompts, in window pixels, on the windows at `images` (N,)."""
        features = self._features.take(images)
        return self._window.decode_as_is(features, coords_xy, labels, mask_logits)


class Objects(NamedTuple):
    """What is asked for.

    Attributes
    ----------
    images : Tensor, shape (N,)
        The window of each object.
    full : Tensor, shape (N, S, S), bool
    masks : Tensor, shape (N, S/2, S/2), bool
        Where at least half of the four pixels are the object's.
    target : Tensor, shape (N, S/4, S/4), float32
        How much of each low-resolution pixel the object covers.
    """

    images: Tensor
    full: Tensor
    masks: Tensor
    target: Tensor

    def part(self, rows: slice | Tensor) -> Objects:
        """Give some of them."""
        return Objects(*(value[rows] for value in self))


def prompted_loss(
    decode: WindowDecoder,
    labels: Tensor,
    count: int,
    background: float,
    others: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """Prompt `count` objects by a click or a box, and correct each once or twice.

    Some are outlined by hand instead, and of some the mask a moment ago is given.

    Parameters
    ----------
    decode : WindowDecoder
    labels : Tensor, shape (B, S, S), integer
        0 background.
    count : int
        Objects in all.
    background : float
        See `losses.mask_loss`.
    others : Tensor, shape (B, 2, S, S), integer, optional
        Parts of objects and groups of them, 0 where there is none.

    Returns
    -------
    loss : Tensor
    scores : dict
        Mean IoU of the mask that a session would show after a click and a box, and after their
        corrections; of outlines and of masks a moment ago, and of the answers to them. Empty if
        there are too few objects.
    """
    planes = in_order(labels, others)
    objects = choose_objects(planes, count)
    total = len(objects.images)
    if total < 2:
        return torch.zeros((), requires_grad=True), {}
    outlines, carried = round(total * _OUTLINES), round(total * _CARRIED)
    boxes = min(round(total * _BOXES), total - outlines - carried - 1)
    clicks = total - boxes - outlines - carried
    shares = (clicks, boxes, outlines, carried)
    split = zip(*(values.split(shares) for values in objects), strict=True)
    click, box, outline, carry = (Objects(*values) for values in split)
    by_click, scores = _click_loss(decode, click, planes, background)
    by_box, more = _box_loss(decode, box, background)
    loss, scores = (clicks * by_click + boxes * by_box) / 2, {**scores, **more}
    if outlines:
        by_outline, more = _outline_loss(decode, outline, background)
        loss, scores = loss + outlines * by_outline, {**scores, **more}
    if carried:
        by_mask, more = _carried_loss(decode, carry, background)
        loss, scores = loss + carried * by_mask, {**scores, **more}
    return loss / total, scores


def choose_objects(planes: Tensor, count: int) -> Objects:
    """Pick about `count` objects, evenly over windows, in random order.

    Parameters
    ----------
    planes : Tensor, shape (B, 3, S, S), integer
        Parts, objects and groups; a few of the first and the last are picked as well.
    count : int
    """
    images, chosen = [], []
    share = -(-count // len(planes))
    for index, levels in enumerate(planes):
        wanted = 0
        for level, part in ((PART, _PARTS), (GROUP, _GROUPS), (OBJECT, 1.0)):
            most = share - wanted if level == OBJECT else int(part * share + torch.rand(()))
            areas = torch.bincount(levels[level].flatten())
            areas[0] = 0
            ids = (areas >= _MIN_AREA).nonzero()[:, 0]
            ids = ids[torch.randperm(len(ids))[:most]]
            wanted += len(ids)
            chosen.append(levels[level] == ids[:, None, None])
            images.append(torch.full((len(ids),), index))
    full = torch.cat(chosen)
    half = F.avg_pool2d(full.float()[:, None], prompts.STEP)[:, 0]
    masks = half >= 0.5
    objects = Objects(torch.cat(images), full, masks, F.avg_pool2d(half[:, None], 2)[:, 0])
    kept = masks.flatten(1).any(1).nonzero()[:, 0]  # not dust
    return objects.part(kept[torch.randperm(len(kept))])


def _click_loss(
    decode: WindowDecoder, objects: Objects, planes: Tensor, background: float
) -> tuple[Tensor, dict[str, float]]:
    """Click each object, and each window once where there is none, for the object score."""
    count = len(objects.images)
    coords = torch.where(
        torch.rand(count, 1) < _AS_EVALUATED,
        prompts.most_interior_clicks(objects.masks),
        prompts.click_inside(objects.masks, torch.rand(count).round()),
    )[:, None]  # (N, 1, 2)
    nowhere = planes[:, OBJECT, :: prompts.STEP, :: prompts.STEP]
    windows, elsewhere = prompts.background_clicks(nowhere)
    everywhere = torch.cat([coords, elsewhere[:, None]])
    rows = torch.cat([objects.images, windows])
    kinds = torch.ones(len(rows), 1, dtype=torch.int32)
    output = decode(rows, everywhere, kinds)
    present = (torch.arange(len(rows)) < count).float()
    first = DecoderOutput(*(part[:count] for part in output))
    loss = object_loss(output.object_score, present)
    levels = levels_at(planes, objects.images, coords[:, 0])
    loss = loss + decoder_loss(first, objects.target, background, levels)
    more, after = _corrections(decode, first, objects, coords, kinds[:count], background)
    return loss + more, {"click": _chosen_iou(first, kinds, objects.target), "click2": after}


def _box_loss(
    decode: WindowDecoder, objects: Objects, background: float
) -> tuple[Tensor, dict[str, float]]:
    count = len(objects.images)
    jitter = torch.rand(count) * _BOX_JITTER * (torch.rand(count) >= _TIGHT)
    coords = prompts.boxes_around(objects.full, jitter)
    kinds = torch.tensor([[2, 3]], dtype=torch.int32).expand(len(coords), -1)
    first = decode(objects.images, coords, kinds)
    loss = decoder_loss(first, objects.target, background)
    more, after = _corrections(decode, first, objects, coords, kinds, background)
    return loss + more, {"box": _chosen_iou(first, kinds, objects.target), "box2": after}


def _outline_loss(
    decode: WindowDecoder, objects: Objects, background: float
) -> tuple[Tensor, dict[str, float]]:
    """Outline each object roughly: its mask, the box around that, and a click in its middle."""
    coords, kinds, mask_prompt = drawn_by_hand(objects.masks)
    output = decode(objects.images, coords, kinds, mask_prompt)
    scores = {
        "drawn": iou(mask_prompt[:, 0] > 0, objects.target > 0.5).mean().item(),
        "outline": _chosen_iou(output, kinds, objects.target),
    }
    return decoder_loss(output, objects.target, background), scores


def _carried_loss(
    decode: WindowDecoder, objects: Objects, background: float
) -> tuple[Tensor, dict[str, float]]:
    """Give each object's mask as it may have been on the frame before, with or without prompts."""
    coords, kinds, mask_prompt = drawn_before(objects.masks)
    output = decode(objects.images, coords, kinds, mask_prompt)
    scores = {
        "before": iou(mask_prompt[:, 0] > 0, objects.target > 0.5).mean().item(),
        "carried": _chosen_iou(output, kinds, objects.target),
    }
    return decoder_loss(output, objects.target, background), scores


def drawn_by_hand(masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Outline masks (N, h, w) roughly: the box around and a click, their labels, the logits."""
    drawn = _redrawn(masks, _BADLY)
    return *_box_and_click(drawn), prompts.as_mask_prompt(drawn)


def drawn_before(masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give masks as they may have been a moment ago, as `drawn_by_hand` does, or logits alone."""
    drawn = _redrawn(masks, _ASTRAY)
    logits = prompts.as_mask_prompt(drawn)
    if torch.rand(()) < _ALONE:
        nothing = torch.full((len(drawn), 1), PADDING, dtype=torch.int32)
        return torch.zeros(len(drawn), 1, 2), nothing, logits
    return *_box_and_click(drawn), logits


def _redrawn(masks: Tensor, badly: tuple[float, float]) -> Tensor:
    low, high = badly
    return prompts.draw_badly(masks, low + (high - low) * torch.rand(len(masks)))


def _box_and_click(drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Give the box around each mask and a click in its middle, (N, 3, 2), and their labels."""
    box = prompts.boxes_around(drawn, torch.zeros(len(drawn))) * prompts.STEP
    coords = torch.cat([box, prompts.most_interior_clicks(drawn)[:, None]], 1)
    return coords, torch.tensor([[2, 3, 1]], dtype=torch.int32).expand(len(drawn), -1)


def _corrections(
    decode: WindowDecoder,
    output: DecoderOutput,
    objects: Objects,
    coords: Tensor,
    kinds: Tensor,
    background: float,
) -> tuple[Tensor, float]:
    """Correct once or twice what a session shows, half of the time with its logits fed back."""
    loss = torch.zeros(())
    for _ in range(2 if torch.rand(()) < _SECOND_CORRECTION else 1):
        logits = _shown(output, kinds).detach().clamp(-_MAX_LOGIT, _MAX_LOGIT)  # (N, 1, h, w)
        shown = F.interpolate(logits, size=objects.masks.shape[1:], mode="bilinear")[:, 0] > 0
        exact = torch.rand(()) < _AS_EVALUATED
        correct = prompts.correct_as_evaluated if exact else prompts.correct
        point, kind = correct(objects.masks, shown)
        coords = torch.cat([coords, point[:, None]], 1)
        kinds = torch.cat([kinds, kind[:, None]], 1)
        feed = logits if torch.rand(()) < _FEEDBACK else None
        output = decode(objects.images, coords, kinds, feed)
        loss = loss + decoder_loss(output, objects.target, background)
    return loss, _chosen_iou(output, kinds, objects.target)


def _shown(output: DecoderOutput, kinds: Tensor) -> Tensor:
    """Give what a session shows for prompts of these kinds (N, P): logits, (N, 1, h, w).

    The best candidate of a single click, and otherwise the single mask.
    """
    if kinds.shape[1] > 1:
        return single_mask(output).low_res_masks
    index = output.iou_predictions[:, 1:].argmax(1) + 1
    return output.low_res_masks[torch.arange(len(index)), index][:, None]


def _chosen_iou(output: DecoderOutput, kinds: Tensor, target: Tensor) -> float:
    return iou(_shown(output, kinds)[:, 0] > 0, target > 0.5).mean().item()
