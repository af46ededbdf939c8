"""From a mask that is roughly right to the logits that the prompt encoder takes."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.prompts import LowResMask

_Floats = NDArray[np.float32]

_SCALE, _BIAS = 20.0, -10.0  # how SAM 2 makes logits of a mask, -10 outside and 10 inside


def as_logits(
    mask_prompt: PackedMask | LowResMask, size: int, region: Box, shape: tuple[int, int]
) -> _Floats:
    """Give a mask prompt as the prompt encoder takes it.

    Logits of an earlier answer go in unchanged; those of a model with another size are resized
    first, those of another region are moved. A mask of the plane becomes the part p of each coarse
    pixel that it covers, and that becomes 20 p - 10. So that an object smaller than a coarse pixel
    is not lost, its p are enlarged until the largest is 1.

    Parameters
    ----------
    mask_prompt : PackedMask or LowResMask
        A mask of the plane, or an earlier answer.
    size : int
        Side S/4 of the model's low-resolution masks.
    region : (y0, x0, y1, x1)
        The part of the plane that the model sees.
    shape : (H, W)
        Size of the plane.

    Returns
    -------
    float32, shape (1, 1, size, size)

    References
    ----------
    SAM 2 (arXiv:2408.00714); the scale is the one of its masks given as prompts on a frame.
    """
    if isinstance(mask_prompt, LowResMask):
        before = mask_prompt.region or (0, 0, *shape)
        logits = mask_prompt.to_array()
        logits = (
            _resized(logits, size) if before == region else _moved(logits, before, region, size)
        )
    else:
        covered = covered_parts(mask_prompt.within(region), size)
        logits = covered / max(float(covered.max()), np.finfo(np.float32).tiny) * _SCALE + _BIAS
    return logits.astype(np.float32, copy=False)[None, None]


def covered_parts(mask: PackedMask, size: int) -> _Floats:
    """Give which part of each pixel of a coarse grid a mask covers.

    Work and memory follow the mask's box, not the plane.

    Returns
    -------
    float32, shape (size, size), in [0, 1]
    """
    covered = np.zeros((size, size), np.float32)
    if not mask:
        return covered
    y0, x0, y1, x1 = mask.box
    (top, rows), (left, columns) = (
        _overlaps(y0, y1, mask.shape[0], size),
        _overlaps(x0, x1, mask.shape[1], size),
    )
    crop = mask.crop()
    bands = np.empty((len(rows), crop.shape[1]), np.float32)
    for band, row in zip(bands, rows, strict=True):
        used = np.flatnonzero(row)  # neighbours: only they are turned into floats
        np.matmul(row[used], crop[used].astype(np.float32), out=band)
    part = bands @ columns.T
    covered[top : top + part.shape[0], left : left + part.shape[1]] = part
    return covered.clip(0, 1)


def _overlaps(start: int, stop: int, length: int, size: int) -> tuple[int, _Floats]:
    """Give how much of each coarse pixel each pixel from `start` to `stop` of an axis fills.

    Returns
    -------
    first : int
        The first coarse pixel that they reach.
    overlaps : float32, shape (coarse pixels reached, stop - start)
    """
    ratio = length / size
    first, last = int(start / ratio), min(math.ceil(stop / ratio), size)
    edges = np.arange(first, last + 1) * ratio
    pixels = np.arange(start, stop)
    ends = np.minimum(edges[1:, None], pixels + 1)  # (coarse, pixels)
    begins = np.maximum(edges[:-1, None], pixels)
    return first, ((ends - begins).clip(min=0) / ratio).astype(np.float32)


def _moved(logits: _Floats, before: Box, after: Box, size: int) -> _Floats:
    """Sample logits of one region where another has its pixels; nothing is known outside."""
    rows, is_row_known = _taps(logits.shape[0], before[::2], after[::2], size)
    columns, is_column_known = _taps(logits.shape[1], before[1::2], after[1::2], size)
    moved: _Floats = rows @ logits @ columns.T
    moved[~(is_row_known[:, None] & is_column_known)] = _BIAS
    return moved


def _taps(
    length: int, before: tuple[int, ...], after: tuple[int, ...], size: int
) -> tuple[_Floats, NDArray[np.bool_]]:
    """Give the weights (size, length) that interpolate along an axis, and where there are any."""
    (start, stop), (first, last) = before, after
    places = first + (np.arange(size) + 0.5) * ((last - first) / size)  # in pixels of the plane
    at = ((places - start) * (length / (stop - start)) - 0.5).clip(0, length - 1)
    weights = (1 - np.abs(at[:, None] - np.arange(length))).clip(min=0)
    return weights.astype(np.float32), (places >= start) & (places <= stop)


def _resized(logits: _Floats, size: int) -> _Floats:
    if logits.shape == (size, size):
        return logits
    pixels = torch.from_numpy(logits)[None, None]
    resized = F.interpolate(
        pixels, (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return np.asarray(resized[0, 0].numpy(), np.float32)
