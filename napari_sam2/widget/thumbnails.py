"""Masks made small, at a cost that depends on what is shown and not on the plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import Box, PackedMask, around

_SAMPLES = 144  # of the longer side: sharp on a dense screen too
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
    """Give a box around all candidates, with a margin, inside the plane; of at least one pixel."""
    y0, x0, y1, x1 = around(*candidates)
    height, width = candidates[0].shape
    margin = max(1, round(max(y1 - y0, x1 - x0) * _MARGIN))
    return (
        max(y0 - margin, 0),
        max(x0 - margin, 0),
        min(y1 + margin, height),
        min(x1 + margin, width),
    )


def pixel_count(mask: PackedMask) -> int:
    """Count pixels without unpacking them, as `mask.area` does."""
    if hasattr(np, "bitwise_count"):  # numpy 2
        return int(np.bitwise_count(np.frombuffer(mask.bits, np.uint8)).sum())
    return int.from_bytes(mask.bits, "little").bit_count()


def _sampled(start: int, stop: int, box: Box, samples: int) -> NDArray[np.intp]:
    step = max(1.0, max(box[2] - box[0], box[3] - box[1]) / samples)
    count = max(1, round((stop - start) / step))
    return start + ((np.arange(count) + 0.5) * (stop - start) / count).astype(np.intp)
