"""One picture that shows what was asked and what was answered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.pixels import as_plane, to_unit, value_range
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.results import Prediction

_Canvas = NDArray[np.float32]  # (H, W, 3), RGB in [0, 1], painted in place
_Colour = tuple[float, float, float]

MASK_COLOURS: tuple[_Colour, ...] = (
    (0.16, 0.71, 0.96),
    (0.98, 0.55, 0.22),
    (0.45, 0.82, 0.35),
    (0.87, 0.44, 0.85),
    (0.97, 0.80, 0.27),
    (0.36, 0.52, 0.98),
    (0.95, 0.42, 0.48),
)
POSITIVE_COLOUR: _Colour = (0.20, 0.80, 0.35)
NEGATIVE_COLOUR: _Colour = (0.93, 0.26, 0.24)
BOX_COLOUR: _Colour = (1.00, 0.78, 0.20)
_WHITE: _Colour = (1.0, 1.0, 1.0)
_TINT = 0.30  # opacity of the mask's inside
_READABLE_SIDE = 768  # smaller pictures are enlarged, in whole pixels, up to about this side


def draw_overlay(
    predictions: Prediction | Sequence[Prediction], plane: NDArray[Any]
) -> NDArray[np.uint8]:
    """Draw the chosen masks and the prompts on the plane, as bright as the model saw it.

    Parameters
    ----------
    predictions : Prediction or sequence of Prediction
        One or several objects of the plane; the chosen candidate of each is drawn.
    plane : array, shape (H, W) or (H, W, 3)
        The plane that it was made from.

    Returns
    -------
    uint8, shape (k * H, k * W, 3)
        k is 1 for large planes, and more for small ones.
    """
    plane = as_plane(plane)
    if isinstance(predictions, Prediction):
        predictions = [predictions]
    image = predictions[0].request.image
    zoom = max(1, round(_READABLE_SIDE / max(image.shape)))
    unit = to_unit(plane, value_range(plane, image.view.limits))
    canvas = _enlarge(unit if unit.ndim == 3 else np.stack([unit] * 3, axis=-1), zoom)
    stroke = max(2, round(max(canvas.shape) / 500))
    for prediction, colour in zip(predictions, cycle(MASK_COLOURS), strict=False):
        _paint_mask(canvas, _enlarge(prediction.mask, zoom), stroke, colour)
    for prediction in predictions:
        _paint_prompts(canvas, prediction.request.prompts, zoom, stroke)
    return np.round(canvas * 255).astype(np.uint8)


def _paint_prompts(canvas: _Canvas, prompts: Prompts, zoom: int, stroke: int) -> None:
    if prompts.box is not None:
        _paint_box(canvas, [_to_canvas(edge, zoom) for edge in prompts.box], stroke)
    for (y, x), polarity in zip(prompts.points, prompts.polarity, strict=True):
        centre = _to_canvas(y, zoom), _to_canvas(x, zoom)
        _paint_point(canvas, centre, 3.0 * stroke, positive=bool(polarity))


def _enlarge(image: NDArray[Any], zoom: int) -> NDArray[Any]:
    return image.repeat(zoom, axis=0).repeat(zoom, axis=1)


def _to_canvas(position: float, zoom: int) -> float:
    return (position + 0.5) * zoom - 0.5  # 0 is the centre of the first pixel, here and there


def _paint_mask(canvas: _Canvas, mask: NDArray[np.bool_], stroke: int, colour: _Colour) -> None:
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    if len(rows) == 0:
        return
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]  # planes can be large
    part, mask = canvas[window], mask[window]
    _blend(part, mask * np.float32(_TINT), colour)
    _blend(part, (mask & ~_eroded(mask, stroke)).astype(np.float32), colour)


def _eroded(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    for _ in range(steps):
        padded = np.pad(mask, 1)  # an object cut by the edge of the picture gets a line there
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _paint_box(canvas: _Canvas, edges: list[float], stroke: int) -> None:
    y0, x0, y1, x1 = edges
    part, yy, xx = _window(canvas, edges, margin=stroke)
    # Distance to the rectangle's line: positive outside, negative inside.
    dy, dx = np.maximum(y0 - yy, yy - y1), np.maximum(x0 - xx, xx - x1)
    _blend(part, _covered(np.abs(np.maximum(dy, dx)), stroke / 2), BOX_COLOUR)


def _paint_point(
    canvas: _Canvas, centre: tuple[float, float], radius: float, *, positive: bool
) -> None:
    part, yy, xx = _window(canvas, [*centre, *centre], margin=int(radius) + 2)
    dy, dx = yy - centre[0], xx - centre[1]
    distance = np.hypot(dy, dx)
    _blend(part, _covered(distance, radius), _WHITE)
    colour = POSITIVE_COLOUR if positive else NEGATIVE_COLOUR
    _blend(part, _covered(distance, radius * 0.82), colour)
    # A plus or a minus too: colours alone do not tell everybody.
    bar_length, bar_width = radius * 0.5, radius * 0.14
    sign = _covered(np.maximum(np.abs(dy) + bar_length - bar_width, np.abs(dx)), bar_length)
    if positive:
        upright = _covered(np.maximum(np.abs(dx) + bar_length - bar_width, np.abs(dy)), bar_length)
        sign = np.maximum(sign, upright)
    _blend(part, sign, _WHITE)


def _window(
    canvas: _Canvas, edges: list[float], margin: int
) -> tuple[_Canvas, NDArray[np.int_], NDArray[np.int_]]:
    """Give the part of the canvas around a rectangle, and its row and column numbers."""
    top, left = (max(0, int(edge) - margin) for edge in edges[:2])
    bottom, right = (max(0, int(edge) + margin + 1) for edge in edges[2:])
    part = canvas[top:bottom, left:right]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    return part, rows, columns


def _covered(distance: NDArray[np.floating[Any]], reach: float) -> NDArray[np.float32]:
    """Give how much of each pixel is within `reach`: 1 inside, 0 outside, a soft edge between."""
    opacity: NDArray[np.float32] = np.clip(reach + 0.5 - distance, 0, 1).astype(np.float32)
    return opacity


def _blend(canvas: _Canvas, opacity: NDArray[np.float32], colour: _Colour) -> None:
    canvas += opacity[..., None] * (np.array(colour, np.float32) - canvas)
