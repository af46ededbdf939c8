"""One object on one frame of a clip: look at memories, decode, and make a memory of the answer.

References
----------
SAM 2 (arXiv:2408.00714), "Memory attention", "Memory encoder and memory bank".
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.model.mask_decoder import NUM_CANDIDATES, single_mask
from napari_sam2.model.outputs import DecoderOutput, FrameOutput, ImageFeatures
from napari_sam2.model.positional import sine_grid, sine_line
from napari_sam2.model.prompt_encoder import PADDING
from napari_sam2.model.sam2 import Sam2

NEAR_FRAMES = 6  # so many tracked frames are looked at whole
MAX_POINTERS = 16
_MASK_SCALE, _MASK_BIAS = 20.0, -10.0  # a mask in [0, 1] to what the memory encoder takes
_NO_OBJECT = -1024.0  # logit of every pixel where there is no object
_LOW_RES_STRIDE = 4


def condition(
    model: Sam2,
    features: ImageFeatures,
    memories: Sequence[tuple[Tensor, int]],
    pointers: Sequence[tuple[Tensor, int]],
    pointer_span: int = MAX_POINTERS - 1,
) -> ImageFeatures:
    """Let a frame look at what is remembered of an object.

    Parameters
    ----------
    model : Sam2
    features : ImageFeatures
        Of the frame, batch 1 or B.
    memories : sequence of (Tensor, int)
        Output of `encode_memory`, (B, M, S/16, S/16), and how many frames ago it was, 1 to
        `NEAR_FRAMES`; 0 for a frame that the user prompted, whenever it was. At least one.
    pointers : sequence of (Tensor, int)
        Object pointers (B, C), and how many frames ago they were.
    pointer_span : int
        The distance that counts as 1: `MAX_POINTERS` - 1, or the last frame of a shorter clip.

    Returns
    -------
    ImageFeatures
        Of batch B, ready for `decode_frame`.
    """
    assert memories, "a frame without any memory is decoded with `Sam2.without_memory`"
    image = features.image_embed
    parts = [_memory_tokens(model, memory, ago) for memory, ago in memories]
    if pointers:
        parts.append(_pointer_tokens(model, pointers, pointer_span))
    memory, memory_pos = (
        torch.cat(part, dim=1).to(image.dtype) for part in zip(*parts, strict=True)
    )
    seen = model.memory_attention(
        image.expand(len(memory), -1, -1, -1),
        memory,
        memory_pos,
        parts[-1][0].shape[1] if pointers else 0,
    )
    return features._replace(image_embed=seen)


def decode_frame(
    model: Sam2,
    features: ImageFeatures,
    coords_xy: Tensor | None = None,
    labels: Tensor | None = None,
    mask_logits: Tensor | None = None,
) -> FrameOutput:
    """Predict the mask of an object on a frame.

    Up to one point gets the best of the three candidates, anything more the single mask.

    Parameters
    ----------
    model : Sam2
    features : ImageFeatures
        Of `condition` or `Sam2.without_memory`, batch B.
    coords_xy, labels : Tensor, optional
        As in `Sam2.decode`, (B, N, 2) and (B, N); none on a frame that is only tracked.
    mask_logits : Tensor, shape (B, 1, S/4, S/4), optional
        Of an earlier answer on this frame.
    """
    if coords_xy is None or labels is None or labels.shape[1] == 0:
        coords_xy, labels = _no_points(features.image_embed)
        is_ambiguous = True
    else:
        is_ambiguous = labels.shape[1] == 1
    output = model.decode_as_is(features, coords_xy, labels, mask_logits)
    return frame_output(model, output, is_ambiguous=is_ambiguous)


def frame_output(model: Sam2, output: DecoderOutput, *, is_ambiguous: bool) -> FrameOutput:
    """Choose the answer on a frame from the decoder's, and make the object pointer.

    Parameters
    ----------
    model : Sam2
    output : DecoderOutput
        Of batch B.
    is_ambiguous : bool
        Take the best of the three candidates, not the single mask.
    """
    masks, ious, token = _best_candidate(output) if is_ambiguous else _single(output)
    exists = output.object_score > 0  # (B,)
    return FrameOutput(
        low_res_masks=torch.where(exists[:, None, None, None], masks, _NO_OBJECT),
        iou_predictions=ious,
        object_score=output.object_score,
        object_pointer=_gated(model, model.obj_ptr_proj(token), exists),
    )


def accept_mask(model: Sam2, features: ImageFeatures, mask: Tensor) -> FrameOutput:
    """Take a mask as the answer on a frame; the decoder only makes the object pointer.

    Parameters
    ----------
    model : Sam2
    features : ImageFeatures
        As `Sam2.embed` gives them.
    mask : Tensor, shape (B, 1, S, S), float32
        0 or 1, on the square model input.
    """
    side = mask.shape[-1] // _LOW_RES_STRIDE
    coords_xy, labels = _no_points(mask)
    output = model.decode_as_is(features, coords_xy, labels, model.mask_downsample(mask))
    pointer = model.obj_ptr_proj(output.mask_tokens[:, 0])
    is_there = mask.flatten(1).any(1)  # (B,)
    for exists in (output.object_score > 0, is_there):
        pointer = _gated(model, pointer, exists)
    return FrameOutput(
        low_res_masks=F.interpolate(
            _scaled(mask), (side, side), mode="bilinear", align_corners=False, antialias=True
        ),
        iou_predictions=mask.new_ones(len(mask)),
        object_score=_scaled(is_there.to(mask.dtype)),
        object_pointer=pointer,
    )


def encode_memory(
    model: Sam2, features: ImageFeatures, output: FrameOutput, *, is_prompted: bool
) -> Tensor:
    """Make a memory of a frame and of an object's mask on it.

    Parameters
    ----------
    model : Sam2
    features : ImageFeatures
        As `Sam2.embed` gives them, batch 1 or B.
    output : FrameOutput
        Of batch B.
    is_prompted : bool
        Whether the user said what is there: the mask then counts as certain.

    Returns
    -------
    Tensor, shape (B, M, S/16, S/16)
    """
    size = model.config.image_size
    logits = F.interpolate(
        output.low_res_masks.float(), (size, size), mode="bilinear", align_corners=False
    )
    mask = (logits > 0).to(logits.dtype) if is_prompted else logits.sigmoid()
    image = features.image_embed.expand(len(mask), -1, -1, -1)
    memory: Tensor = model.memory_encoder(image, _scaled(mask).to(image.dtype))
    if model.config.version == "2.1":
        is_gone = (output.object_score <= 0).to(memory.dtype).view(-1, 1, 1, 1)
        memory = memory + is_gone * model.no_obj_embed_spatial[..., None, None]
    return memory


def _memory_tokens(model: Sam2, memory: Tensor, ago: int) -> tuple[Tensor, Tensor]:
    """Give tokens (B, H*W, M) and their positions; those of prompted frames come last."""
    _, dim, _, side = memory.shape
    where = sine_grid(dim, side, memory.device).flatten(2).transpose(1, 2)  # (1, H*W, M)
    when = model.maskmem_tpos_enc[ago - 1].view(1, 1, -1)  # the last one is that of 0
    position = (where + when).expand(len(memory), -1, -1)
    return memory.flatten(2).transpose(1, 2), position


def _pointer_tokens(
    model: Sam2, pointers: Sequence[tuple[Tensor, int]], span: int
) -> tuple[Tensor, Tensor]:
    """Cut pointers into tokens (B, P * C/M, M), and place them in time where 2.1 does."""
    width = model.config.memory_dim
    stacked = torch.stack([pointer for pointer, _ in pointers], dim=1)  # (B, P, C)
    pieces = stacked.shape[2] // width
    tokens = stacked.unflatten(2, (pieces, width)).flatten(1, 2)
    if model.config.version == "2.0":
        return tokens, torch.zeros_like(tokens)
    ago = torch.tensor([float(ago) for _, ago in pointers], device=stacked.device)
    when = model.obj_ptr_tpos_proj(sine_line(ago / max(span, 1), stacked.shape[2]))  # (P, M)
    when = when.repeat_interleave(pieces, dim=0)[None].expand_as(tokens)
    return tokens, when


def _no_points(like: Tensor) -> tuple[Tensor, Tensor]:
    """Give one padding point; the prompt encoder adds another."""
    batch, device = len(like), like.device
    coords_xy = torch.zeros(batch, 1, 2, device=device)
    return coords_xy, torch.full((batch, 1), PADDING, dtype=torch.int32, device=device)


def _best_candidate(output: DecoderOutput) -> tuple[Tensor, Tensor, Tensor]:
    """Give mask (B, 1, h, w), IoU (B,) and token (B, C) of the candidate that the model prefers."""
    best = output.iou_predictions[:, -NUM_CANDIDATES:].argmax(dim=1) + 1  # behind the single mask
    rows = torch.arange(len(best), device=best.device)
    masks, ious = output.low_res_masks[rows, best], output.iou_predictions[rows, best]
    return masks[:, None], ious, output.mask_tokens[rows, best]


def _single(output: DecoderOutput) -> tuple[Tensor, Tensor, Tensor]:
    """Give mask, IoU and token; the token is the single mask's own even where that is unstable."""
    single = single_mask(output)
    return single.low_res_masks, single.iou_predictions[:, 0], output.mask_tokens[:, 0]


def _gated(model: Sam2, pointer: Tensor, exists: Tensor) -> Tensor:
    return torch.where(exists[:, None], pointer, model.no_obj_ptr)


def _scaled(mask: Tensor) -> Tensor:
    return mask * _MASK_SCALE + _MASK_BIAS
