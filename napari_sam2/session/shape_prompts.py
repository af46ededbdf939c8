"""What drawn shapes ask for: boxes, outlines, areas of background and scribbles as prompts.

A shape is its vertices on one plane, (V, 2), as (y, x) in pixels; 0 is the centre of the first
pixel. Neither where its drawing began nor its direction matters, and only what lies inside the
plane counts.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import ELLIPSE, LINE, PATH, RECTANGLE
from napari_sam2.session.prompts import NEGATIVE, POSITIVE, Prompts

Shape = tuple[int, int]
Point = tuple[float, float]

_MAX_ON_SCRIBBLE = 8
_SCRIBBLE_STEP = 3.0  # pixels between the points of a short scribble
_MAX_IN_BACKGROUND = 5
_MIN_DEPTH = 0.25  # of the deepest point's depth: nearer to the edge, no further point is placed
_MIN_SIDE = 1.0  # pixels; what is smaller was a click
_ELLIPSE_VERTICES = 64
_DEPTH_PIXELS = 128  # side of the picture that the most interior points are looked for in


def shape_prompts(kind: str, vertices: NDArray[np.float64], polarity: int, shape: Shape) -> Prompts:
    """Give what one shape asks for.

    Of an object's outline come its mask, the box around it and its most interior point. Measured
    with the shipped model on 60 nuclei and three ways to draw badly around each (mean IoU): what
    was drawn 0.80; the box alone 0.72, with point 0.74, with mask 0.74; point and mask 0.75; all
    three 0.77; the mask alone 0.04, which no model is trained on.

    Parameters
    ----------
    kind : str
        "rectangle", "ellipse", "polygon", "path" or "line".
    vertices : float array, shape (V, 2)
        (y, x). Those of an ellipse are the corners of the box around it, which may be turned.
    polarity : int
        1 object, 0 background. Rectangles are always around the object.
    shape : (H, W)
        Size of the plane.

    Returns
    -------
    Prompts
        A rectangle gives the box around it, an ellipse or polygon on the object its outline, one
        on the background points inside it, and a path or line points along it. A closed shape
        smaller than a pixel in one direction was a click, and gives a point. Empty when nothing of
        the shape lies inside the plane.
    """
    if len(vertices) == 0 or not np.isfinite(vertices).all():
        return Prompts()
    if kind in (PATH, LINE):
        return _points(points_along(vertices, shape), polarity)
    if kind == RECTANGLE:
        polarity = POSITIVE
    if np.ptp(vertices, axis=0).min() < _MIN_SIDE:
        middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        return _points(clip_points(middle[None], shape), polarity)
    if kind == RECTANGLE:
        return _around(vertices, shape)
    mask = fill(ellipse_outline(vertices) if kind == ELLIPSE else vertices, shape)
    if polarity == NEGATIVE:
        return _points(interior_points(mask, _MAX_IN_BACKGROUND), NEGATIVE)
    return _outlined(mask)


def fill(vertices: NDArray[np.float64], shape: Shape) -> PackedMask:
    """Give the pixels of a plane whose centres a closed line goes around.

    Where the line crosses itself, its turns around a pixel are counted, and one to either side is
    enough: neither a figure of eight nor an end drawn past the beginning leaves a hole.
    """
    low = np.maximum(np.ceil(vertices.min(axis=0)), 0).astype(int)
    high = np.minimum(np.floor(vertices.max(axis=0)), np.array(shape) - 1).astype(int)
    if (high < low).any():
        return PackedMask(shape)
    turns = np.zeros(high - low + (1, 2), np.int16)  # the column to spare is never inside
    for (y0, x0), (y1, x1) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        first, last = (math.ceil(y) for y in sorted((y0, y1)))
        rows = np.arange(max(first, low[0]), min(last, high[0] + 1))
        if rows.size:
            crossings = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
            columns = np.clip(np.ceil(crossings), low[1], high[1] + 1).astype(int)
            turns[rows - low[0], columns - low[1]] += 1 if y1 > y0 else -1
    inside = turns.cumsum(axis=1, dtype=np.int16)[:, :-1] != 0
    return PackedMask.of(inside, (int(low[0]), int(low[1])), shape)


def ellipse_outline(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give vertices (N, 2) of the ellipse inside a box, turned or sheared, of corners (4, 2)."""
    middle = corners.mean(axis=0)
    across, along = ((corners[1] - corners[0]) / 2, (corners[2] - corners[1]) / 2)
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_VERTICES, endpoint=False)[:, None]
    outline: NDArray[np.float64] = middle + np.cos(angle) * across + np.sin(angle) * along
    return outline


def interior_points(mask: PackedMask, count: int) -> tuple[Point, ...]:
    """Give at most `count` points inside a mask: the most interior first, the others spread."""
    if not mask:
        return ()
    inside, step = _reduced(mask.crop())
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    grid = np.indices(depth.shape)
    worth, points = depth.copy(), list[Point]()
    while len(points) < count and worth.max() >= _MIN_DEPTH * depth.max():
        y, x = np.unravel_index(int(worth.argmax()), worth.shape)
        points.append((float(mask.box[0] + y * step), float(mask.box[1] + x * step)))
        to_point = np.hypot(grid[0] - y, grid[1] - x)
        worth = np.minimum(worth, to_point / 2)
    return tuple(points)


def points_along(vertices: NDArray[np.float64], shape: Shape) -> tuple[Point, ...]:
    """Give points spread evenly along the part of an open line that is inside the plane."""
    lengths = np.hypot(*np.diff(vertices, axis=0).T)
    at = np.concatenate([[0], np.cumsum(lengths)])
    samples = np.linspace(0, at[-1], max(64, 4 * len(vertices)) + 1)
    line = np.stack([np.interp(samples, at, axis) for axis in vertices.T], axis=1)  # (S, 2)
    inside = np.array(clip_points(line, shape)).reshape(-1, 2)
    if len(inside) == 0:
        return ()
    length = at[-1] * len(inside) / len(line)
    count = int(np.clip(length / _SCRIBBLE_STEP, 1, _MAX_ON_SCRIBBLE))
    middles = (np.arange(count) + 0.5) / count * (len(inside) - 1)
    return tuple((float(y), float(x)) for y, x in inside[np.round(middles).astype(int)])


def clip_points(points: NDArray[np.float64], shape: Shape) -> tuple[Point, ...]:
    """Give those of the points (N, 2) that are on pixels of the plane."""
    return tuple((float(y), float(x)) for y, x in points[on_pixels(points, shape)].clip(min=0))


def on_pixels(points: NDArray[np.float64], shape: Shape) -> NDArray[np.bool_]:
    """Tell which of the points (N, 2) are on pixels of the plane: (N,)."""
    return np.asarray(np.all((points >= -0.5) & (points <= np.array(shape) - 0.5), axis=1))


def _points(points: tuple[Point, ...], polarity: int) -> Prompts:
    return Prompts(points, (polarity,) * len(points))


def _around(vertices: NDArray[np.float64], shape: Shape) -> Prompts:
    (y0, x0), (y1, x1) = (np.clip(f(vertices, axis=0), 0, shape) for f in (np.min, np.max))
    has_area = y0 < y1 and x0 < x1
    return Prompts(box=(float(y0), float(x0), float(y1), float(x1)) if has_area else None)


def _outlined(mask: PackedMask) -> Prompts:
    if not mask:
        return Prompts()
    y0, x0, y1, x1 = (float(edge) for edge in mask.box)
    return Prompts(interior_points(mask, 1), (POSITIVE,), (y0, x0, y1, x1), mask)


def _reduced(crop: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Give every n-th pixel of a large crop, and n; of thin shapes, enough that some remain."""
    step = max(1, max(crop.shape) // _DEPTH_PIXELS)
    while not crop[::step, ::step].any():
        step //= 2
    return crop[::step, ::step], step
