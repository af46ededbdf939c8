"""Where a person would click or draw a box to get an object whose true mask is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.session.prompts import NEGATIVE, POSITIVE

_LOOSE, _LOOSEST = 0.1, 0.2  # a side's error: standard deviation, and at most; of the box's size

_Mask = NDArray[np.bool_]
_Box = tuple[float, float, float, float]


def most_interior(mask: _Mask) -> tuple[int, int]:
    """Give the pixel (y, x) that is farthest from the mask's edge; outside the picture is edge."""
    y, x = np.nonzero(mask)
    low = np.array([y.min(), x.min()])
    part = np.pad(mask[low[0] : y.max() + 1, low[1] : x.max() + 1], 1)
    depth = ndimage.distance_transform_edt(part)
    found = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(found[0] + low[0] - 1), int(found[1] + low[1] - 1)


def random_inside(mask: _Mask, rng: np.random.Generator) -> tuple[int, int]:
    """Give any pixel (y, x) of the mask."""
    pixels = np.argwhere(mask)
    y, x = pixels[rng.integers(len(pixels))]
    return int(y), int(x)


def loosened(box: _Box, shape: tuple[int, int], rng: np.random.Generator) -> _Box:
    """Move each side of a box, inwards or outwards, by about a tenth of its size.

    Parameters
    ----------
    box : (y0, x0, y1, x1)
        With y0 < y1 and x0 < x1; so it is afterwards.
    shape : (H, W)
        Of the picture, which the box does not leave.
    rng : numpy.random.Generator
    """
    edges = np.array(box)
    size = np.tile(edges[2:] - edges[:2], 2)
    error = rng.normal(0, _LOOSE, 4).clip(-_LOOSEST, _LOOSEST)
    y0, x0, y1, x1 = (edges + error * size).clip(0, (*shape, *shape)).tolist()
    return y0, x0, y1, x1


def correction(truth: _Mask, mask: _Mask) -> tuple[tuple[int, int], int]:
    """Give the click that an annotator would make next: the middle of the largest error."""
    missing, extra = _largest_part(truth & ~mask), _largest_part(mask & ~truth)
    if not missing.any() and not extra.any():
        return most_interior(truth), POSITIVE
    if missing.sum() >= extra.sum():
        return most_interior(missing), POSITIVE
    return most_interior(extra), NEGATIVE


def _largest_part(mask: _Mask) -> _Mask:
    parts, count = ndimage.label(mask)
    if count == 0:
        return mask
    largest: _Mask = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    return largest
