"""The refiner's lesson: masks that the model gives, and what they should have been."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.model.mask_decoder import single_mask
from napari_sam2.model.refiner import REFINED_SIZE, Refined, Refiner
from napari_sam2.session.postprocess import LOGIT_LIMIT
from napari_sam2.session.refinement import STRIDE, Frame, changed_logits, frame_around, framed, see
from napari_sam2.training import prompts
from napari_sam2.training.levels import in_order
from napari_sam2.training.losses import iou, mask_loss
from napari_sam2.training.prompted import (
    Objects,
    WindowDecoder,
    choose_objects,
    drawn_before,
    drawn_by_hand,
)

_BOXES = 0.3  # share of the objects that begin with a box
_OUTLINES, _CARRIED = 0.08, 0.12  # shares of those with a mask that was drawn, or is of before
_TIGHT = 0.5  # share of the boxes that are tight
_BOX_JITTER = 0.12  # of the other boxes' size, at most
_AS_EVALUATED = 0.5  # share of clicks at the most interior pixel, of the object or of the error
_ROUNDS = {"click": 4, "box": 3, "mask": 2}  # the first answer, and those to corrections
_AGAIN = 0.5  # how often the first correction of a click is a second question instead
_IOU_WEIGHT = 6.0
_WIDER = (0.9, 1.25)  # frames are this much larger than they would be
_OFF = 0.06  # of a frame's side: how far off they are, standard deviation


class Answer(NamedTuple):
    """What was asked, and answered.

    Attributes
    ----------
    objects : Objects
        N of them.
    coords_xy, labels : Tensor, shapes (N, P, 2) and (N, P)
    logits : Tensor, shape (N, M, h, w)
    ious : Tensor, shape (N, M)
        As the decoder predicts them.
    truths : Tensor, shape (N, M, S, S), bool
        What each mask should become.
    given : Tensor, shape (N, 1, h, w), or None
        Logits of the mask prompts.
    """

    objects: Objects
    coords_xy: Tensor
    labels: Tensor
    logits: Tensor
    ious: Tensor
    truths: Tensor
    given: Tensor | None


def refiner_loss(
    decode: WindowDecoder,
    refiner: Refiner,
    pixels: Tensor,
    labels: Tensor,
    others: Tensor | None,
    count: int,
) -> tuple[Tensor, dict[str, float]]:
    """Prompt `count` objects, refine what the model answers, correct that, and refine again.

    Parameters
    ----------
    decode : WindowDecoder
    refiner : Refiner
    pixels : Tensor, shape (B, 3, S, S)
        As they were embedded.
    labels : Tensor, shape (B, S, S), integer
    others : Tensor, shape (B, 2, S, S), integer, or None
        Parts of objects and groups of them.
    count : int

    Returns
    -------
    loss : Tensor
    scores : dict
        Mean IoUs before and after refinement, and those after corrections.
    """
    planes = in_order(labels, others)
    objects = choose_objects(planes, count)
    total = len(objects.images)
    if total < 4:
        return sum((p.sum() * 0 for p in refiner.parameters()), torch.zeros(())), {}
    boxes, drawn = round(total * _BOXES), round(total * (_OUTLINES + _CARRIED))
    shares = (total - boxes - drawn, boxes, drawn)
    split = zip(*(values.split(shares) for values in objects), strict=True)
    click, box, mask = (Objects(*values) for values in split)
    losses: list[Tensor] = []
    scores: dict[str, float] = {}
    for name, some, ask in (
        ("click", click, _clicked),
        ("box", box, _boxed),
        ("mask", mask, _drawn),
    ):
        if not len(some.images):
            continue
        with torch.no_grad():
            answer = ask(decode, some, planes)
        for turn in range(_ROUNDS[name]):
            loss, better, before, after = _refined(refiner, pixels, answer)
            losses.append(loss)
            scores |= {f"{name}{turn}_was": before, f"{name}{turn}_now": after}
            if turn + 1 < _ROUNDS[name]:
                is_first = name == "click" and turn == 0
                again = is_first and bool(torch.rand(()) < _AGAIN)
                with torch.no_grad():
                    answer = _corrected(decode, answer, better, again)
    loss = torch.cat(losses).mean()
    return loss, {**scores, "loss": loss.item()}


def _clicked(decode: WindowDecoder, objects: Objects, planes: Tensor) -> Answer:
    count = len(objects.images)
    coords = torch.where(
        torch.rand(count, 1) < _AS_EVALUATED,
        prompts.most_interior_clicks(objects.masks),
        prompts.click_inside(objects.masks, torch.rand(count).round()),
    )[:, None]
    kinds = torch.ones(count, 1, dtype=torch.int32)
    output = decode(objects.images, coords, kinds)
    logits = output.low_res_masks[:, 1:]
    truths = _truths_at(planes, objects, coords[:, 0], logits > 0)
    return Answer(objects, coords, kinds, logits, output.iou_predictions[:, 1:], truths, None)


def _boxed(decode: WindowDecoder, objects: Objects, planes: Tensor) -> Answer:
    del planes
    count = len(objects.images)
    jitter = torch.rand(count) * _BOX_JITTER * (torch.rand(count) >= _TIGHT)
    coords = prompts.boxes_around(objects.full, jitter)
    kinds = torch.tensor([[2, 3]], dtype=torch.int32).expand(count, -1)
    return _single(decode, objects, coords, kinds, None)


def _drawn(decode: WindowDecoder, objects: Objects, planes: Tensor) -> Answer:
    del planes
    drawn = drawn_by_hand if torch.rand(()) < _OUTLINES / (_OUTLINES + _CARRIED) else drawn_before
    coords, kinds, mask_prompt = drawn(objects.masks)
    return _single(decode, objects, coords, kinds, mask_prompt)


def _single(
    decode: WindowDecoder, objects: Objects, coords: Tensor, kinds: Tensor, given: Tensor | None
) -> Answer:
    one = single_mask(decode(objects.images, coords, kinds, given))
    truths = objects.full[:, None]
    return Answer(objects, coords, kinds, one.low_res_masks, one.iou_predictions, truths, given)


def _corrected(decode: WindowDecoder, answer: Answer, better: Tensor, again: bool) -> Answer:
    """Correct refined masks (N, 1, h, w), which are fed back; or ask again from their middles."""
    objects = answer.objects
    logits = better.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
    shown = F.interpolate(logits, size=objects.masks.shape[1:], mode="bilinear")[:, 0] > 0
    if again:
        found = torch.where(shown.flatten(1).any(1)[:, None, None], shown, objects.masks)
        point, kind = prompts.most_interior_clicks(found), torch.ones(len(shown)).int()
    else:
        exact = torch.rand(()) < _AS_EVALUATED
        correct = prompts.correct_as_evaluated if exact else prompts.correct
        point, kind = correct(objects.masks, shown)
    coords = torch.cat([answer.coords_xy, point[:, None]], 1)
    kinds = torch.cat([answer.labels, kind[:, None]], 1)
    return _single(decode, objects, coords, kinds, logits)


def _truths_at(planes: Tensor, objects: Objects, coords_xy: Tensor, masks: Tensor) -> Tensor:
    """Choose for each candidate (N, 3, h, w) what it means of all that lies at the click."""
    x, y = coords_xy.round().long().clamp(0, planes.shape[-1] - 1).T
    ids = planes[objects.images, :, y, x]  # (N, 3)
    there = (planes[objects.images] == ids[..., None, None]) & (ids > 0)[..., None, None]
    truths = torch.cat([objects.full[:, None], there], 1)  # (N, 4, S, S)
    coarse = F.avg_pool2d(truths.float(), 4) > 0.5
    alike = iou(masks[:, :, None], coarse[:, None])  # (N, 3, 4)
    alike[:, :, 1:] -= 2.0 * ~coarse[:, 1:].flatten(2).any(2)[:, None]
    best = alike.argmax(2)
    return truths[torch.arange(len(best))[:, None], best]


def _refined(
    refiner: Refiner, pixels: Tensor, answer: Answer
) -> tuple[Tensor, Tensor, float, float]:
    """Refine all masks.

    Returns
    -------
    loss : Tensor, shape (N * M,)
    better : Tensor, shape (N, 1, h, w)
        The refined mask that is trusted most.
    before, after : float
        Mean IoU of the mask that was trusted most before, and is now.
    """
    count, many = answer.ious.shape
    rows = [row for row in range(count) for _ in range(many)]
    images = answer.objects.images[rows].tolist()
    logits, truths = answer.logits.flatten(0, 1), answer.truths.flatten(0, 1)
    asked = answer.objects.full[rows]
    frames = [
        _jittered(frame_around(mask, answer.coords_xy[row], answer.labels[row]))
        for mask, row in zip((logits > 0).numpy(), rows, strict=True)
    ]
    given = [None] * count if answer.given is None else answer.given
    views = [
        see(pixels[image], frame, answer.coords_xy[row], answer.labels[row], given[row])
        for image, frame, row in zip(images, frames, rows, strict=True)
    ]
    shown = framed(logits, frames)
    weight = refiner.stem.weight  # may be on another device than all else
    asked_of = (part.to(weight) for part in (torch.stack(views), shown, answer.ious.flatten()))
    refined = Refined(*(part.cpu() for part in refiner(*asked_of)))
    target = framed(truths.float(), frames, STRIDE, 0.0)
    changed = shown + refined.change
    asked_framed = framed(asked.float(), frames, STRIDE, 0.0)
    truth = _iou_in_frame(changed.detach() > 0, asked_framed, asked, frames)
    before = _iou_in_frame(shown > 0, asked_framed, asked, frames)
    loss = mask_loss(changed, target)[:, 0]
    loss = loss + _IOU_WEIGHT * (refined.iou_predictions - truth) ** 2
    with torch.no_grad():
        best = refined.iou_predictions.view(count, many).argmax(1)
        index = torch.arange(count) * many + best
        kept = changed_logits(
            logits[index], refined.change[index], [frames[i] for i in index.tolist()]
        )
        was = torch.arange(count) * many + answer.ious.argmax(1)
    return loss, kept[:, None], before[was].mean().item(), truth[index].mean().item()


def _iou_in_frame(masks: Tensor, truths: Tensor, full: Tensor, frames: Sequence[Frame]) -> Tensor:
    """Give the IoU of framed masks (N, 1, R, R) with truths that may reach beyond the frame."""
    sides = torch.tensor([side for _, _, side in frames])
    area = full.sum((1, 2)) * (REFINED_SIZE / (STRIDE * sides)) ** 2
    both = (masks & (truths > 0.5)).sum((1, 2, 3))
    union = masks.sum((1, 2, 3)) + area - both
    return (both / union.clamp(min=1)).clamp(0, 1)


def _jittered(frame: Frame) -> Frame:
    y, x, side = frame
    low, high = _WIDER
    wide = max(round(side * (low + (high - low) * torch.rand(()).item())), 4)
    dy, dx = (torch.randn(2) * _OFF * side + (side - wide) / 2).round().int().tolist()
    return y + dy, x + dx, wide
