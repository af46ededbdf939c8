"""Outlines of labels along the edges of pixels: polygons whose area is the number of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ring = list[list[int]]
Polygon = list[Ring]

# Directions of an edge, with its pixel on the right hand: (dy, dx) and where it starts, from the
# top left corner of the pixel.
_EAST, _SOUTH, _WEST, _NORTH = range(4)
_STEP = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
_FIRST = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])
_LEFT, _STRAIGHT, _RIGHT = 3, 0, 1  # added to a direction


def outlines_of(
    plane: NDArray[Any], corner: tuple[int, int] = (0, 0)
) -> Iterator[tuple[int, list[Polygon]]]:
    """Give each label of a plane as polygons, in order of the labels.

    Parameters
    ----------
    plane : integer array, shape (H, W)
        0 and below are background.
    corner : (y, x)
        Of a part of a plane: where it begins.

    Yields
    ------
    label : int
        Its value.
    polygons : list of polygons
        One for each part; parts that meet at a corner only are two. A polygon is its outer ring
        and then its holes; a ring is a list of [x, y] corners, the first once more at the end.
        (0, 0) is the top left corner of the plane's first pixel. Rings do not touch themselves;
        outer rings have a positive area in (x, y), holes a negative one, as RFC 7946 has it.
    """
    part, (top, left) = _cropped(plane)
    if part.size == 0:
        return
    polygons: dict[int, Polygon] = {}
    labels: dict[int, int] = {}
    for number, (y, x), ring in _rings(_parts_of(part)):
        polygon = polygons.setdefault(number, [])
        labels[number] = int(part[y, x])
        whole = ring + np.array((left + corner[1], top + corner[0]))
        polygon.insert(0 if _is_outer(ring) else len(polygon), whole.tolist())
    of_label: dict[int, list[Polygon]] = {}
    for number in sorted(polygons):
        of_label.setdefault(labels[number], []).append(polygons[number])
    yield from sorted(of_label.items())


def _cropped(plane: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, int]]:
    """Give the part of a plane that has labels, without negative values, and where it begins."""
    occupied = plane > 0
    rows, columns = np.flatnonzero(occupied.any(axis=1)), np.flatnonzero(occupied.any(axis=0))
    if rows.size == 0:
        return plane[:0, :0], (0, 0)
    y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    return np.maximum(plane[y0:y1, x0:x1], 0), (int(y0), int(x0))


def _parts_of(labels: NDArray[Any]) -> NDArray[Any]:
    """Give the parts of each label, whose pixels share edges, numbers from 1."""
    from skimage.measure import label  # slow to import

    numbered: NDArray[Any] = label(labels, background=0, connectivity=1)
    return numbered


def _rings(
    parts: NDArray[Any],
) -> Iterator[tuple[int, tuple[int, int], NDArray[np.int64]]]:
    """Follow the edges of each part; give its number, a pixel, and a ring's corners (N, 2), x y."""
    starts, directions, numbers = _edges(np.pad(parts, 1))
    following = _following(starts, directions, numbers, parts.shape[1])
    after, is_left = following.tolist(), [True] * len(starts)
    for first in range(len(after)):
        if not is_left[first]:
            continue
        loop, edge = [], first
        while is_left[edge]:
            is_left[edge] = False
            loop.append(edge)
            edge = after[edge]
        at = np.array(loop)
        at = at[directions[at] != np.roll(directions[at], 1)]  # the edges that begin at a corner
        corners = starts[at][:, ::-1]
        y, x = (starts[first] - _FIRST[directions[first]]).tolist()
        yield int(numbers[first]), (y, x), np.concatenate([corners, corners[:1]])


def _edges(
    parts: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Give each pixel's edges towards another part: starts (E, 2), directions and parts (E,).

    Parameters
    ----------
    parts : integer array, shape (H + 2, W + 2)
        With a frame of background; the starts do not count it.
    """
    inner = parts[1:-1, 1:-1]
    beyond = {  # the neighbour on the left hand of an edge in this direction
        _EAST: parts[:-2, 1:-1],
        _SOUTH: parts[1:-1, 2:],
        _WEST: parts[2:, 1:-1],
        _NORTH: parts[1:-1, :-2],
    }
    starts, directions, numbers = [], [], []
    for direction, neighbour in beyond.items():
        rows, columns = np.nonzero((inner > 0) & (inner != neighbour))
        starts.append(np.column_stack([rows, columns]) + _FIRST[direction])
        directions.append(np.full(len(rows), direction))
        numbers.append(inner[rows, columns])
    return np.concatenate(starts), np.concatenate(directions), np.concatenate(numbers)


def _following(
    starts: NDArray[np.int64], directions: NDArray[np.int64], numbers: NDArray[Any], width: int
) -> NDArray[np.intp]:
    """Give the edge that follows each edge around its part.

    Where two pixels of one part meet at a corner the way goes on along the other pixel, to the
    left: so that a ring never comes to the same corner twice.
    """
    keys = (starts[:, 0] * (width + 1) + starts[:, 1]) * 4 + directions
    order = np.argsort(keys)
    ends = starts + _STEP[directions]
    corners = (ends[:, 0] * (width + 1) + ends[:, 1]) * 4
    following = np.full(len(starts), -1)
    for turn in (_RIGHT, _STRAIGHT, _LEFT):  # the last one that is there wins
        wanted = corners + (directions + turn) % 4
        place = np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)
        found = order[place]
        fits = (keys[found] == wanted) & (numbers[found] == numbers)
        following[fits] = found[fits]
    return following


def _is_outer(ring: NDArray[np.int64]) -> bool:
    x, y = ring.T
    return bool((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0)
