"""Arithmetic with boxes (y0, x0, y1, x1): rows y0 to y1 - 1 and columns x0 to x1 - 1."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_sam2.session.masks import Box

_Edges = Sequence[float]


def box_around(points: Sequence[tuple[float, float]], *boxes: _Edges) -> Box | None:
    """Give the smallest box of whole pixels around points (y, x) and boxes; None without any."""
    corners = [*points, *(tuple(box[:2]) for box in boxes), *(tuple(box[2:]) for box in boxes)]
    if not corners:
        return None
    rows, columns = zip(*corners, strict=True)
    return (
        math.floor(min(rows)),
        math.floor(min(columns)),
        math.ceil(max(rows)),
        math.ceil(max(columns)),
    )


def longer_side(box: _Edges) -> float:
    """Give the longer side of a box."""
    return max(box[2] - box[0], box[3] - box[1])


def middle_of(box: _Edges) -> tuple[float, float]:
    """Give the middle (y, x) of a box."""
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def contains(outer: _Edges, inner: _Edges) -> bool:
    """Tell whether a box lies within another, edges included."""
    return (
        outer[0] <= inner[0]
        and outer[1] <= inner[1]
        and inner[2] <= outer[2]
        and inner[3] <= outer[3]
    )


def meet(a: _Edges, b: _Edges) -> bool:
    """Tell whether two boxes have a part in common."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def clipped(box: Box, shape: tuple[int, int]) -> Box | None:
    """Cut a box at the border of a plane (H, W); None if nothing is left."""
    y0, x0, y1, x1 = box
    cut = max(y0, 0), max(x0, 0), min(y1, shape[0]), min(x1, shape[1])
    return cut if cut[0] < cut[2] and cut[1] < cut[3] else None


def has_room(region: Box, box: _Edges, shape: tuple[int, int], margin: float) -> bool:
    """Tell whether a box lies in a region of a plane and off its border.

    Parameters
    ----------
    region : (y0, x0, y1, x1)
    box : (y0, x0, y1, x1)
    shape : (H, W)
        Of the plane: where the region ends with it, there is nothing to keep off.
    margin : float
        How far off, in sides of the region.
    """
    for axis in (0, 1):
        low, high = region[axis], region[axis + 2]
        off = margin * (high - low)
        if box[axis] < low + (off if low > 0 else 0):
            return False
        if box[axis + 2] > high - (off if high < shape[axis] else 0):
            return False
    return True
