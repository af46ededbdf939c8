"""What prompts that were placed on layers ask for, on one plane of an image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from napari.layers import Image, Points, Shapes
from numpy.typing import NDArray

from napari_sam2.layers.axes import map_positions
from napari_sam2.session.objects import PlacedPrompts, PlacedShape
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.shape_prompts import clip_points, on_pixels, shape_prompts

_Size = tuple[int, int]
_Shape = tuple[str, int, _Size, bytes]


class OnPlane(NamedTuple):
    """What of the placed prompts lies on a plane.

    Attributes
    ----------
    points : Prompts
        The points.
    outside : int
        Number of further points, beyond the image.
    shapes : dict of int to Prompts
        By place among the shapes; empty prompts for a shape beyond the image.
    elsewhere : PlacedPrompts
        What lies on other planes.
    """

    points: Prompts
    outside: int
    shapes: dict[int, Prompts]
    elsewhere: PlacedPrompts

    @property
    def closed(self) -> dict[int, Prompts]:
        """The shapes around an object: boxes and outlines."""
        return {index: prompts for index, prompts in self.shapes.items() if prompts.box}

    def join(self, index: int | None) -> Prompts:
        """Put the points and all that act like points together with one shape around an object."""
        parts = [Prompts() if index is None else self.shapes[index], self.points]
        parts += [prompts for prompts in self.shapes.values() if not prompts.box]
        return Prompts(
            tuple(point for part in parts for point in part.points),
            tuple(value for part in parts for value in part.polarity),
            parts[0].box,
            parts[0].mask_prompt,
        )


class PlacedReader:
    """Carries placed prompts from their layers over the world to an image.

    Parameters
    ----------
    points : Points
    shapes : Shapes
        Whose data coordinates the prompts are in.
    """

    def __init__(self, points: Points, shapes: Shapes) -> None:
        self._points, self._shapes = points, shapes
        self._known: dict[_Shape, Prompts] = {}  # of the last read: filling outlines takes time

    def read(self, placed: PlacedPrompts, image: Image, plane: Plane, size: _Size) -> OnPlane:
        """Find what lies on a plane of `size` (H, W), in its pixels."""
        points, outside, is_point_here = self._read_points(placed, image, plane, size)
        shapes = self._read_shapes(placed, image, plane, size)
        elsewhere = PlacedPrompts(
            tuple(p for p, here in zip(placed.points, is_point_here, strict=True) if not here),
            tuple(shape for i, shape in enumerate(placed.shapes) if i not in shapes),
        )
        return OnPlane(points, outside, shapes, elsewhere)

    def planes(self, placed: PlacedPrompts, image: Image, axes: tuple[int, int]) -> list[Plane]:
        """List the planes of an image that the points, and the first corners of shapes, lie on."""
        corners = [shape.vertices[0] for shape in placed.shapes]
        positions = np.concatenate(
            [
                map_positions(self._points, image, [p.position for p in placed.points]),
                map_positions(self._shapes, image, corners),
            ]
        )  # (N, D)
        hidden = [axis for axis in range(image.ndim) if axis not in axes]
        at = np.unique(np.round(positions[:, hidden]).astype(int), axis=0)
        sizes = np.array(image.data.shape)[hidden]
        inside = at[((at >= 0) & (at < sizes)).all(axis=1)]
        return [Plane(axes, tuple(int(i) for i in index)) for index in inside]

    def _read_points(
        self, placed: PlacedPrompts, image: Image, plane: Plane, size: _Size
    ) -> tuple[Prompts, int, NDArray[np.bool_]]:
        positions = map_positions(
            self._points, image, [p.position for p in placed.points]
        )  # (N, D)
        here = plane.holds(positions)
        pixels = positions[here][:, plane.axes]  # (n, 2)
        inside = on_pixels(pixels, size)
        polarity = np.array([p.polarity for p in placed.points], int)[here][inside]
        prompts = Prompts(clip_points(pixels, size), tuple(int(value) for value in polarity))
        return prompts, int(np.count_nonzero(~inside)), here

    def _read_shapes(
        self, placed: PlacedPrompts, image: Image, plane: Plane, size: _Size
    ) -> dict[int, Prompts]:
        known, self._known = self._known, {}
        found = {}
        for index, shape in enumerate(placed.shapes):
            positions = map_positions(self._shapes, image, shape.vertices)  # (V, D)
            if plane.holds(positions).all():
                pixels = np.ascontiguousarray(positions[:, plane.axes])  # (V, 2)
                key = (shape.kind, shape.polarity, size, pixels.tobytes())
                self._known[key] = known.get(key) or _ask(shape, pixels, size)
                found[index] = self._known[key]
        return found


def _ask(shape: PlacedShape, pixels: NDArray[np.float64], size: _Size) -> Prompts:
    return shape_prompts(shape.kind, pixels, shape.polarity, size)
