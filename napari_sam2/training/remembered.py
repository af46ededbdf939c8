"""The memory's lesson: follow objects through a clip, from a prompt on its first frame.

References
----------
SAM 2 (arXiv:2408.00714), "Training".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.model import Sam2
from napari_sam2.model.outputs import DecoderOutput, FrameOutput, ImageFeatures
from napari_sam2.model.prompt_encoder import PADDING
from napari_sam2.model.tracking import (
    MAX_POINTERS,
    accept_mask,
    condition,
    decode_frame,
    encode_memory,
    frame_output,
)
from napari_sam2.session.memory_bank import Memory, MemoryBank
from napari_sam2.session.passes import FORWARD
from napari_sam2.training import prompts
from napari_sam2.training.losses import decoder_loss, iou, object_loss
from napari_sam2.training.window import Window

_MIN_AREA = 100  # pixels on the first frame; smaller objects are not followed
_THERE = 12  # pixels; of what is smaller nothing is asked
_MASKS, _CLICKS = 0.4, 0.3  # shares of the clips that begin so; the others with a box
_CORRECTED = 0.12  # share of the frames that are corrected by a click
_AS_SHORT_CLIPS = 0.5  # how often pointers are placed in time as in a clip of this length
_OBJECT_WEIGHT = 3.0
_LIKENESS_WEIGHT = 1.0


def clip_loss(
    window: Window, frames: Sequence[ImageFeatures], labels: Tensor, count: int
) -> tuple[Tensor, dict[str, float]]:
    """Follow up to `count` objects of the first frame to the last.

    The masks that are remembered are the model's own, as when it follows for a user.

    Parameters
    ----------
    window : Window
    frames : sequence of ImageFeatures
        Of batch 1 each.
    labels : Tensor, shape (T, S, S), integer
        0 background; an object has one number throughout.
    count : int

    Returns
    -------
    loss : Tensor
    scores : dict
        Mean IoU on the second frame and on the last, where objects are still there, and how often
        their being there is told right; empty if there is no object.
    """
    areas = torch.bincount(labels[0].flatten())
    areas[0] = 0
    ids = (areas >= _MIN_AREA).nonzero()[:, 0]
    ids = ids[torch.randperm(len(ids))[:count]]
    if not len(ids):
        return torch.zeros((), requires_grad=True), {}
    track = _Track(window, len(frames), labels, ids)
    track.begin(frames[0])
    losses, right, ious = [], [], {}
    for at in range(1, len(frames)):
        loss, share, there = track.follow(at, frames[at])
        losses.append(loss)
        right.append(share)
        if there is not None:
            ious[at] = there
    told = {"right": sum(right) / len(right)}
    for name, at in (("near", 1), ("far", len(frames) - 1)):
        if at in ious:
            told[name] = ious[at]
    return torch.stack(losses).mean(), told


class _Track:
    """Objects on their way through a clip."""

    def __init__(self, window: Window, length: int, labels: Tensor, ids: Tensor) -> None:
        self._model = cast(Sam2, window)
        self._labels, self._ids = labels, ids
        is_short = torch.rand(()) < _AS_SHORT_CLIPS
        self._bank = MemoryBank(length if is_short else MAX_POINTERS)

    def begin(self, features: ImageFeatures) -> None:
        """Prompt the objects on the first frame."""
        model, full = self._model, self._full(0)
        features_of_each = _spread(features, len(full))
        chance = torch.rand(())
        if chance < _MASKS:
            answer = accept_mask(model, features_of_each, full[:, None].float())
            self._keep(0, features, answer, is_prompted=True)
            return
        masks = _halved(full)
        if chance < _MASKS + _CLICKS:
            coords = prompts.click_inside(masks, torch.ones(len(full)))[:, None]
            kinds = torch.ones(len(full), 1, dtype=torch.int32)
        else:
            coords = prompts.boxes_around(full, 0.05 * torch.rand(len(full)))
            kinds = torch.tensor([[2, 3]], dtype=torch.int32).expand(len(full), -1)
        answer = decode_frame(model, model.without_memory(features_of_each), coords, kinds)
        self._keep(0, features, answer, is_prompted=True)

    def follow(self, at: int, features: ImageFeatures) -> tuple[Tensor, float, float | None]:
        """Find the objects on a frame, and remember what was found.

        Returns
        -------
        loss : Tensor
        right : float
            How often it is told rightly whether an object is there.
        iou : float or None
            Mean of those that are.
        """
        model, full = self._model, self._full(at)
        memories, pointers = self._bank.recall(at, FORWARD)
        seen = condition(model, features, memories, pointers, self._bank.pointer_span)
        count = len(full)
        nothing = torch.zeros(count, 1, 2), torch.full((count, 1), PADDING, dtype=torch.int32)
        spread = _spread(features, count)._replace(image_embed=seen.image_embed)
        output = model.decode_as_is(spread, *nothing)
        answer = frame_output(model, output, is_ambiguous=True)
        target = F.avg_pool2d(full.float()[:, None], 4)[:, 0]
        present = full.sum((1, 2)) >= _THERE
        loss = _OBJECT_WEIGHT * object_loss(output.object_score, present.float())
        rows = present.nonzero()[:, 0]
        right = ((output.object_score > 0) == present).float().mean().item()
        found = None
        if len(rows):
            loss = loss + self._distance(features, seen.image_embed[rows], full[rows])
            there = DecoderOutput(*(part[rows] for part in output))
            loss = loss + decoder_loss(there, target[rows]) * len(rows) / count
            shown = there.low_res_masks[
                torch.arange(len(rows)), there.iou_predictions[:, 1:].argmax(1) + 1
            ]
            found = iou(shown > 0, target[rows] > 0.5).mean().item()
        is_corrected = len(rows) == count and float(torch.rand(())) < _CORRECTED
        if is_corrected:
            shown = F.interpolate(answer.low_res_masks, scale_factor=2.0, mode="bilinear")[:, 0]
            coords, kinds = prompts.correct(_halved(full), shown.detach() > 0)
            output = model.decode_as_is(spread, coords[:, None], kinds[:, None])
            loss = loss + decoder_loss(output, target)
            answer = frame_output(model, output, is_ambiguous=True)
        self._keep(at, features, answer, is_prompted=is_corrected)
        return loss, right, found

    def _distance(self, features: ImageFeatures, seen: Tensor, full: Tensor) -> Tensor:
        """Compare what a frame became (B, C, h, w) with what it would be if its mask were known.

        The decoder has learnt to answer a mask alone; so the memory is to put into the frame what
        a mask prompt would. A frozen decoder says little about how to get there.
        """
        model = self._model
        encoder = model.sam_prompt_encoder
        known = encoder.encode_mask(prompts.as_mask_prompt(_halved(full)), len(full))
        known = known - encoder.no_mask_embed.weight.view(1, -1, 1, 1)
        wanted = model.without_memory(features).image_embed + known
        apart = (seen - wanted).square().mean((1, 2, 3)) / known.square().mean((1, 2, 3))
        return _LIKENESS_WEIGHT * apart.mean()

    def _keep(
        self, at: int, features: ImageFeatures, answer: FrameOutput, *, is_prompted: bool
    ) -> None:
        """Remember an answer; what was wrong with it is not blamed on the memory before."""
        answer = answer._replace(
            low_res_masks=answer.low_res_masks.detach(), object_score=answer.object_score.detach()
        )
        memory = encode_memory(self._model, features, answer, is_prompted=is_prompted)
        put = self._bank.put_prompted if is_prompted else self._bank.put_tracked
        put(at, Memory(memory, answer.object_pointer))

    def _full(self, at: int) -> Tensor:
        """Give the truth of a frame, (B, S, S)."""
        return self._labels[at] == self._ids[:, None, None]


def _halved(full: Tensor) -> Tensor:
    """Give masks (B, S, S) at the resolution of `prompts`; none that had a pixel is empty."""
    half = F.avg_pool2d(full.float()[:, None], prompts.STEP)[:, 0]
    return half >= half.amax((1, 2), keepdim=True).clamp(1e-6, 0.5)


def _spread(features: ImageFeatures, count: int) -> ImageFeatures:
    return features.take(torch.zeros(count, dtype=torch.long))
