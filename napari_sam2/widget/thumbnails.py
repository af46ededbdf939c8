"""Masks made small, at a cost that depends on what is shown and not on the plane."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import Box, PackedMask, around

_SAMPLES = 144  # of the longer side: sharp on a dense screen too
_SPECKS = 0.005  # of a mask's pixels, on each side, that a thumbnail may leave out
_MARGIN = 0.08  # around all candidates, in sides of their box


def thumbnail(mask: PackedMask, box: Box, samples: int = _SAMPLES) -> NDArray[np.uint8]:
    """Give what a mask looks like in a box of its plane: 0 or 255, longer side <= `samples`.

    Only the pixels that are shown are unpacked, so a mask that fills a large plane costs no more
    than a small one.
    """
    rows, columns = _sampled(box[0], box[2], box, samples), _sampled(box[1], box[3], box, samples)
    shown = np.zeros((len(rows), len(columns)), np.uint8)
    y0, x0, y1, x1 = mask.box
    down, across = (rows >= y0) & (rows < y1), (columns >= x0) & (columns < x1)
    places = (rows[down, None] - y0) * (x1 - x0) + (columns[across] - x0)  # in C order of the box
    packed = np.frombuffer(mask.bits, np.uint8)
    shown[np.ix_(down, across)] = (packed[places >> 3] >> (7 - (places & 7)) & 1) * 255
    return shown


def common_box(candidates: tuple[PackedMask, ...]) -> Box:
    """Give a box around all candidates, with a margin, inside the plane; of at least one pixel.

    Specks far away are left out: the objects would be drawn small.
    """
    boxes = [_without_specks(mask) for mask in candidates if mask] or [around()]
    y0, x0 = (min(corner) for corner in list(zip(*boxes, strict=True))[:2])
    y1, x1 = (max(corner) for corner in list(zip(*boxes, strict=True))[2:])
    height, width = candidates[0].shape
    margin = max(1, round(max(y1 - y0, x1 - x0) * _MARGIN))
    return (
        max(y0 - margin, 0),
        max(x0 - margin, 0),
        min(y1 + margin, height),
        min(x1 + margin, width),
    )


def _without_specks(mask: PackedMask) -> Box:
    """Give the box that holds all but a few of a mask's pixels on each side, from a thumbnail."""
    shown = thumbnail(mask, mask.box) > 0
    y0, x0, y1, x1 = mask.box
    top, bottom = _middle(shown.sum(axis=1))
    left, right = _middle(shown.sum(axis=0))
    down, across = (y1 - y0) / shown.shape[0], (x1 - x0) / shown.shape[1]
    return (
        y0 + int(top * down),
        x0 + int(left * across),
        y0 + math.ceil(bottom * down),
        x0 + math.ceil(right * across),
    )


def _middle(counts: NDArray[np.intp]) -> tuple[int, int]:
    """Give where counts begin and end that are more than specks: start, and stop past the end."""
    sums = np.cumsum(counts)
    few = sums[-1] * _SPECKS
    inside = np.flatnonzero((sums > few) & (sums[-1] - sums + counts > few))
    return (int(inside[0]), int(inside[-1]) + 1) if inside.size else (0, len(counts))


def pixel_count(mask: PackedMask) -> int:
    """Count pixels without unpacking them, as `mask.area` does."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        return int(np.bitwise_count(np.frombuffer(mask.bits, np.uint8)).sum())
    return int.from_bytes(mask.bits, "little").bit_count()


def _sampled(start: int, stop: int, box: Box, samples: int) -> NDArray[np.intp]:
    step = max(1.0, max(box[2] - box[0], box[3] - box[1]) / samples)
    count = max(1, round((stop - start) / step))
    return start + ((np.arange(count) + 0.5) * (stop - start) / count).astype(np.intp)
