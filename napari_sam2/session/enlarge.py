"""Coarse logits enlarged to a plane, only where the mask can be: cost follows the object."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_sam2.session.masks import PackedMask

_Floats = NDArray[np.float32]

_SMALL = 128  # H + W up to which torch sums in another order, and is quick anyway
_STRIP_PIXELS = 2**18  # enlarged at a time: what fits into a processor's cache


def positive_mask(logits: _Floats, shape: tuple[int, int]) -> PackedMask:
    """Enlarge logits to the plane, and give where they are positive.

    The mask is that of `interpolate(logits, shape, mode="bilinear", align_corners=False) > 0` of
    torch, rounded as torch rounds on processors with fused multiply-add. Only the box around
    the positive logits is computed: an object costs the same on a plane of any size.

    Parameters
    ----------
    logits : float32, shape (h, w)
        Above 0 on the object.
    shape : (H, W)
        Size of the plane.
    """
    if sum(shape) <= _SMALL:
        return _by_torch(logits, shape)
    positive = logits > 0
    rows, columns = np.flatnonzero(positive.any(axis=1)), np.flatnonzero(positive.any(axis=0))
    if rows.size == 0:
        return PackedMask(shape)
    y = _Taps.around(rows[0], rows[-1], logits.shape[0], shape[0])
    x = _Taps.around(columns[0], columns[-1], logits.shape[1], shape[1])
    top, bottom = y.before[0], y.after[-1] + 1
    coarse = logits[top:bottom]
    bands = _blend(
        coarse.take(x.before, 1), coarse.take(x.after, 1), x.weight
    )  # (rows, width of the box)
    part = _blend_is_positive(bands, y.before - top, y.after - top, y.weight)
    return PackedMask.of(part, (y.start, x.start), shape)


@dataclass(frozen=True)
class _Taps:
    """What each of some consecutive pixels of one axis is blended from.

    Attributes
    ----------
    start : int
        The first of the pixels.
    before, after : intp, shape (N,)
        The two coarse pixels, by index.
    weight : float32, shape (N,)
        Of the second one; the first one has the rest.
    """

    start: int
    before: NDArray[np.intp]
    after: NDArray[np.intp]
    weight: _Floats

    @classmethod
    def around(cls, first: int, last: int, size: int, length: int) -> _Taps:
        """Take all of `length` pixels that the coarse ones from first to last, of `size`, reach."""
        ratio = length / size
        start = max(0, math.floor((first - 0.5) * ratio) - 1)
        stop = min(length, math.ceil((last + 1.5) * ratio) + 1)
        # A product and a sum with one rounding, from integers that doubles hold exactly.
        scale = np.float64(np.float32(size) / np.float32(length))
        at = (scale * (np.arange(start, stop) + 0.5) - 0.5).astype(np.float32)
        before = np.minimum(at.astype(np.intp), size - 1)
        weight = (at - before.astype(np.float32)).clip(0, 1)  # at may lie outside by half a pixel
        return cls(start, before, np.minimum(before + 1, size - 1), weight)


def _blend(before: _Floats, after: _Floats, weight: _Floats) -> _Floats:
    """Give before * (1 - weight) + after * weight, of which only `after` is rounded on its own."""
    exact = np.multiply(before, 1 - weight, dtype=np.float64)
    blend: _Floats = (exact + after * weight).astype(np.float32)
    return blend


def _blend_is_positive(
    bands: _Floats, before: NDArray[np.intp], after: NDArray[np.intp], weight: _Floats
) -> NDArray[np.bool_]:
    """Tell where the blend of two rows of `bands` (h, W) is positive, for each of N rows: (N, W).

    Only where one is positive and the other is not, the weights decide: at the object's edge.
    """
    is_positive = bands > 0
    part = np.empty((len(weight), bands.shape[1]), bool)
    step = max(1, _STRIP_PIXELS // bands.shape[1])
    for strip in (slice(at, at + step) for at in range(0, len(part), step)):
        above, below = is_positive[before[strip]], is_positive[after[strip]]
        np.logical_and(above, below, out=part[strip])
        rows, columns = np.divmod(np.flatnonzero(above != below), bands.shape[1])
        first, second = bands[before[strip][rows], columns], bands[after[strip][rows], columns]
        part[strip][rows, columns] = _blend(first, second, weight[strip][rows]) > 0
    return part


def _by_torch(logits: _Floats, shape: tuple[int, int]) -> PackedMask:
    coarse = torch.from_numpy(np.ascontiguousarray(logits))[None, None]
    full = F.interpolate(coarse, shape, mode="bilinear", align_corners=False)  # (1, 1, H, W)
    return PackedMask.of((full[0, 0] > 0).numpy(), shape=shape)
