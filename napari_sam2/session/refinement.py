"""A second look at a mask: what the refiner sees of it, and what becomes of the mask's logits.

Frames are squares of the coarse grid of logits, around what was prompted. So an object is seen at
the same size, however large it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.model.outputs import ImageFeatures, MaskOutput
from napari_sam2.model.refiner import REFINED_SIZE, SURE
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.prompts import NEGATIVE, POSITIVE

STRIDE = 4  # model pixels per coarse pixel
_ROOM = 1.8  # a frame's side, in sides of the mask
_LEAST = 10  # coarse pixels of a frame's side
_CLICK = 2.0  # pixels of the refiner: standard deviation of the spot that tells of a click
_BOX_BLUR = 0.08  # of the root of the box's area: how deep inside a box is far inside
_CORNERS = (2, 3)  # labels of a box's corners
_NONE = -8.0  # logit beyond the grid
_FLAT = 0.1  # standard deviation of a picture's values, below which contrast is not stretched

Frame = tuple[int, int, int]
"""Row and column of the corner, and the side, in coarse pixels; may reach beyond the grid."""


def refine(
    model: Sam2,
    features: ImageFeatures,
    output: MaskOutput,
    coords_xy: Tensor,
    labels: Tensor,
    given: Tensor | None = None,
) -> MaskOutput:
    """Refine the masks that one prompt got, and trust them more or less, if the model can.

    Predicted IoUs become the mean of the decoder's and the refiner's: on 8 200 training objects
    that chose candidates about as well as the refiner's alone, and better on drawn shapes.

    Parameters
    ----------
    model : Sam2
    features : ImageFeatures
        Of batch 1; without a picture, nothing is refined.
    output : MaskOutput
        Of batch 1, M masks.
    coords_xy, labels : Tensor, shapes (1, P, 2) and (1, P)
        As the decoder took them.
    given : Tensor, shape (1, 1, S/4, S/4), optional
        Logits of the mask prompt.
    """
    if model.refiner is None or features.picture is None:
        return output
    logits = output.low_res_masks[0].float().cpu()
    coords_xy, labels = coords_xy[0].cpu(), labels[0].cpu()
    before = None if given is None else given[0].float().cpu()
    frames = [frame_around(mask, coords_xy, labels) for mask in (logits > 0).numpy()]
    views = [see(features.picture[0], frame, coords_xy, labels, before) for frame in frames]
    weight, ious = model.refiner.stem.weight, output.iou_predictions[0]
    refined = model.refiner(
        torch.stack(views).to(weight), framed(logits, frames).to(weight), ious.to(weight)
    )
    changed = changed_logits(logits, refined.change.float().cpu(), frames)
    trusted = (ious + refined.iou_predictions.to(ious)) / 2
    return output._replace(
        low_res_masks=changed[None].to(output.low_res_masks), iou_predictions=trusted[None]
    )


def see(
    picture: Tensor,
    frame: Frame,
    coords_xy: Tensor,
    labels: Tensor,
    given: Tensor | None = None,
) -> Tensor:
    """Give what the refiner sees in a frame besides the logits, (8, R, R), on the CPU.

    Parameters
    ----------
    picture : Tensor, shape (3, S, S)
    frame : Frame
        Some of it lies in the picture.
    coords_xy, labels : Tensor, shapes (P, 2) and (P,)
    given : Tensor, shape (1, S/4, S/4), optional
        Logits of the mask prompt: decoders lose much of a good one.
    """
    pixels = _cut(picture, frame, STRIDE, float("nan"))
    inside = ~pixels[:1].isnan()
    std, mean = torch.std_mean(pixels[:, inside[0]], correction=0)
    pixels = ((pixels - mean) / (std + _FLAT)).nan_to_num(0.0)
    if given is None:
        before = torch.zeros(1, REFINED_SIZE, REFINED_SIZE)
    else:
        before = _cut(given.clamp(-SURE, SURE) / SURE, frame, 1, -1.0)
    return torch.cat([pixels, inside.float(), _prompt_maps(coords_xy, labels, frame), before])


def framed(
    planes: Tensor, frames: Sequence[Frame], stride: int = 1, beyond: float = _NONE
) -> Tensor:
    """Cut each plane (N, H, W), of `stride` pixels per coarse one, to its frame: (N, 1, R, R)."""
    pairs = zip(planes, frames, strict=True)
    return torch.stack([_cut(plane[None], frame, stride, beyond) for plane, frame in pairs])


def frame_around(mask: NDArray[np.bool_], coords_xy: Tensor, labels: Tensor) -> Frame:
    """Choose a frame around a coarse mask and its prompts.

    Parameters
    ----------
    mask : bool, shape (h, w)
    coords_xy, labels : Tensor, shapes (P, 2) and (P,)
    """
    xy = (coords_xy.cpu().numpy() + 0.5) / STRIDE  # 0 is the edge of the first coarse pixel
    kinds = labels.cpu().numpy()
    wanted = xy[(kinds == POSITIVE) | np.isin(kinds, _CORNERS)]
    mask = _prompted(mask, xy[kinds == POSITIVE], xy[np.isin(kinds, _CORNERS)])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    lows = [*wanted, *([(columns[0], rows[0])] if len(rows) else [])]
    highs = [*wanted, *([(columns[-1] + 1, rows[-1] + 1)] if len(rows) else [])]
    if not lows:
        return 0, 0, max(mask.shape)
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    side = int(np.clip(np.ceil(_ROOM * (high - low).max()), _LEAST, 1.25 * max(mask.shape)))
    x, y = np.round((low + high - side) / 2).astype(int)
    return int(y), int(x), side


def _prompted(
    mask: NDArray[np.bool_], clicks: NDArray[np.float64], corners: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Keep the parts of a mask that are clicked; else what lies in a box; else the largest."""
    parts, count = ndimage.label(mask)
    if count < 2:
        return mask
    height, width = mask.shape
    hit = set()
    for x, y in clicks:
        hit.add(int(parts[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)]))
    hit -= {0}
    if not hit and len(corners) == 2:
        (x0, y0), (x1, y1) = np.maximum(corners, 0).astype(int)
        hit = set(np.unique(parts[y0 : y1 + 1, x0 : x1 + 1]).tolist()) - {0}
    if not hit:
        hit = {1 + int(np.bincount(parts.ravel())[1:].argmax())}
    kept: NDArray[np.bool_] = np.isin(parts, list(hit))
    return kept


def _cut(plane: Tensor, frame: Frame, stride: int, beyond: float) -> Tensor:
    """Cut a frame out of a plane (C, H, W), of `stride` pixels per coarse one: (C, R, R).

    On the CPU: MPS cannot shrink without artefacts.
    """
    y, x, side = (stride * length for length in frame)
    height, width = plane.shape[-2:]
    part = plane[:, max(y, 0) : max(y + side, 0), max(x, 0) : max(x + side, 0)]
    padding = (max(-x, 0), max(x + side - width, 0), max(-y, 0), max(y + side - height, 0))
    part = F.pad(part.float().cpu(), padding, value=beyond)[None]
    size = (REFINED_SIZE, REFINED_SIZE)
    return F.interpolate(part, size, mode="bilinear", antialias=True)[0]


def _prompt_maps(coords_xy: Tensor, labels: Tensor, frame: Frame) -> Tensor:
    """Draw prompts as the refiner sees them: clicks on and off, and a box's depth, (3, R, R)."""
    y, x, side = (STRIDE * length for length in frame)
    at = torch.arange(REFINED_SIZE) + 0.5
    xy = (coords_xy.float() + 0.5 - torch.tensor([x, y])) * (REFINED_SIZE / side)
    maps = [_spots(xy[labels == kind], at) for kind in (POSITIVE, NEGATIVE)]
    corners = [xy[labels == corner] for corner in _CORNERS]
    if all(len(corner) == 1 for corner in corners):
        (x0, y0), (x1, y1) = (corner[0] for corner in corners)
        depth = torch.minimum(
            torch.minimum(at - y0, y1 - at)[:, None], torch.minimum(at - x0, x1 - at)[None]
        )
        blur = _BOX_BLUR * ((x1 - x0) * (y1 - y0)).clamp(min=1).sqrt()
        maps.append(torch.tanh(depth / blur))
    else:
        maps.append(torch.zeros(REFINED_SIZE, REFINED_SIZE))
    return torch.stack(maps)


def _spots(xy: Tensor, at: Tensor) -> Tensor:
    """Draw a spot at each place (P, 2), (R, R): 1 in its middle."""
    if not len(xy):
        return torch.zeros(len(at), len(at))
    x, y = torch.exp(-((at - xy.T[..., None]) ** 2) / (2 * _CLICK**2))  # (P, R) each
    spots: Tensor = y[:, :, None] * x[:, None, :]
    return spots.amax(0)


def changed_logits(logits: Tensor, change: Tensor, frames: Sequence[Frame]) -> Tensor:
    """Add what the refiner says (N, 1, R, R) to logits (N, h, w)."""
    changed = logits.clone()
    height, width = logits.shape[-2:]
    for one, delta, (y, x, side) in zip(changed, change, frames, strict=True):
        delta = F.interpolate(delta[None], (side, side), mode="bilinear", antialias=True)[0, 0]
        top, left = max(y, 0), max(x, 0)
        bottom, right = min(y + side, height), min(x + side, width)
        one[top:bottom, left:right] += delta[top - y : bottom - y, left - x : right - x]
    return changed
