"""Which part of a plane fills the model's square input, so that small objects do not drown.

The model sees any region as S x S pixels. Squeezed into it whole, a large plane leaves a small
object a handful of them. So the region follows the object: it begins with what is known of its
size (a box, an outline, the objects before, how far the user has zoomed in), and is corrected
when the first mask shows the size. Regions lie on a coarse grid and have sides that are powers of
two, so that neighbouring clicks fall into the same one and reuse its embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from napari_sam2.errors import PromptError
from napari_sam2.session.masks import Box, PackedMask

Mode = Literal["auto", "whole", "visible", "fixed"]
MODES: tuple[Mode, ...] = get_args(Mode)

SMALL = 48  # model pixels: an object that is smaller, in its longer side, is looked at closer
_ROOM = 4  # a region's side at least, in sides of its object
_CLOSEST = 4  # model pixels per pixel of the plane, at most: closer, there is nothing more to see
_MARGIN = 0.1  # of a region's side: a prompt nearer to its border may be of an object beyond it
_ZOOMED = 4  # how many times the view is smaller or larger than the last region for it to count
_MOST_PIXELS = 2**26  # read for one region: 64 million, 128 MB of 16-bit values


@dataclass(frozen=True)
class FieldOfView:
    """Where to look, as far as it is known beforehand.

    Attributes
    ----------
    mode : str
        "auto" follows the object; "whole" takes the whole plane, as the official predictor does;
        "visible" takes what is on screen; "fixed" takes `box`.
    box : (y0, x0, y1, x1) or None
        For "auto" and "visible" the part of the plane that is on screen, if it is known; for
        "fixed" the region.
    near : (y0, x0, y1, x1) or None
        The region of the answer before: it is taken again if it suits.
    """

    mode: Mode = "whole"
    box: Box | None = None
    near: Box | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}.")
        if self.mode == "fixed" and self.box is None:
            raise ValueError(
                "A fixed field of view needs its box, got none. Give (y0, x0, y1, x1)."
            )


WHOLE = FieldOfView()


@dataclass(frozen=True)
class Surroundings:
    """What regions are chosen within.

    Attributes
    ----------
    shape : (H, W)
        Size of the plane.
    image_size : int
        Side S of the model's square input.
    levels : tuple of float
        Of the plane's pyramid, see `PlaneImage`.
    """

    shape: tuple[int, int]
    image_size: int
    levels: tuple[float, ...] = (1.0,)

    @property
    def whole(self) -> Box:
        """The region of all pixels."""
        return 0, 0, *self.shape

    @property
    def sides(self) -> list[int]:
        """The sides that square regions may have, ascending; all are smaller than the plane."""
        side = max(self.image_size // _CLOSEST, 1)
        sides = []
        while side < max(self.shape):
            sides.append(side)
            side *= 2
        return sides

    def can_read(self, region: Box) -> bool:
        """Tell whether a region can be read without too many pixels."""
        y0, x0, y1, x1 = region
        level = level_for(self.levels, self.step(region))
        return (y1 - y0) * (x1 - x0) / level**2 <= _MOST_PIXELS

    def step(self, region: Box) -> float:
        """Give how many pixels of the plane a pixel of the model stands for, at least 1."""
        y0, x0, y1, x1 = region
        return max(min(y1 - y0, x1 - x0) / self.image_size, 1.0)

    def square(self, side: int, centre: tuple[float, float]) -> Box:
        """Give the region of a side, on the grid, whose middle is nearest to a place."""
        y0, y1 = _snapped(side, centre[0], self.shape[0])
        x0, x1 = _snapped(side, centre[1], self.shape[1])
        return y0, x0, y1, x1

    def around(self, box: Sequence[float], least: float) -> Box:
        """Give the smallest region with room around a box and at least a side; else the largest."""
        y0, x0, y1, x1 = box
        centre = (y0 + y1) / 2, (x0 + x1) / 2
        readable = self.whole
        for side in self.sides:
            region = self.square(side, centre)
            if side >= least and _has_room(region, box, self.shape):
                return region
            readable = region if self.can_read(region) else readable
        return self.whole if self.can_read(self.whole) else readable


def level_for(levels: Sequence[float], step: float) -> float:
    """Give the coarsest level of a pyramid that is fine enough for a step; else the finest."""
    return max((level for level in levels if level <= step), default=min(levels))


def first_region(field: FieldOfView, prompts_box: Box | None, size: float, at: Surroundings) -> Box:
    """Choose where to look first.

    Parameters
    ----------
    field : FieldOfView
    prompts_box : (y0, x0, y1, x1) or None
        Around all prompts; None without prompts: then a plane is looked at ahead.
    size : float
        Longer side of the object, as far as prompts tell; 0 if a click tells nothing.
    at : Surroundings

    Raises
    ------
    PromptError
        If a fixed region lies outside the plane, or a region is too large to be read.
    """
    if field.mode == "whole":
        return _readable(at.whole, at)
    if field.mode == "fixed":
        assert field.box is not None
        return _readable(_clipped(field.box, at.shape), at)
    if field.mode == "visible":
        seen = at.whole if field.box is None else _clipped(field.box, at.shape)
        return _readable(seen if prompts_box is None else _hull(seen, prompts_box, at.shape), at)
    if prompts_box is None:
        return _ahead(field, at)
    if field.near is not None and _suits(field.near, prompts_box, size, field.box, at):
        return field.near
    return at.around(prompts_box, _side_to_begin_with(field, size, at))


def next_region(region: Box, mask: PackedMask, field: FieldOfView, at: Surroundings) -> Box | None:
    """Choose where to look again, now that a mask was found; None if the region suits it.

    A mask that crosses the region's border is looked at in a larger one, a small one closer.
    """
    if field.mode != "auto" or not mask:
        return None
    side = max(region[2] - region[0], region[3] - region[1])
    if _crosses_border(mask, region, at.shape):
        larger = at.around(mask.box, 2 * side)
        return larger if larger != region and at.can_read(larger) else None
    extent = max(mask.box[2] - mask.box[0], mask.box[3] - mask.box[1])
    if extent * at.image_size >= SMALL * side:
        return None
    closer = at.around(mask.box, _ROOM * extent)
    return closer if 2 * max(closer[2] - closer[0], closer[3] - closer[1]) <= side else None


def _ahead(field: FieldOfView, at: Surroundings) -> Box:
    """Give what to embed before there is a prompt."""
    if field.near is not None and (field.box is None or _hits(field.near, field.box)):
        return field.near
    seen = at.whole if field.box is None else _clipped(field.box, at.shape)
    centre = (seen[0] + seen[2]) / 2, (seen[1] + seen[3]) / 2
    return at.around((*centre, *centre), max(seen[2] - seen[0], seen[3] - seen[1]))


def _side_to_begin_with(field: FieldOfView, size: float, at: Surroundings) -> float:
    if size:
        return _ROOM * size
    seen = max(at.shape) if field.box is None else _longer(field.box)
    if field.near is None:
        return seen
    last = _longer(field.near)
    return seen if not last / _ZOOMED <= seen <= last * _ZOOMED else last


def _suits(region: Box, prompts_box: Box, size: float, seen: Box | None, at: Surroundings) -> bool:
    """Tell whether the region before is good for prompts as well."""
    y0, x0, y1, x1 = region
    if not (0 <= y0 < y1 <= at.shape[0] and 0 <= x0 < x1 <= at.shape[1]):
        return False  # of another plane
    side = _longer(region)
    if size and not SMALL * side / at.image_size <= size <= side / 2:
        return False
    if not size and seen is not None and _ZOOMED * _longer(seen) < side:
        return False  # the user has zoomed in, on something smaller
    return _has_room(region, prompts_box, at.shape)


def _has_room(region: Box, box: Sequence[float], shape: tuple[int, int]) -> bool:
    """Tell whether a box lies in a region and off its border, unless that is the plane's."""
    for axis in (0, 1):
        low, high = region[axis], region[axis + 2]
        margin = _MARGIN * (high - low)
        if box[axis] < low + (margin if low > 0 else 0):
            return False
        if box[axis + 2] > high - (margin if high < shape[axis] else 0):
            return False
    return True


def _crosses_border(mask: PackedMask, region: Box, shape: tuple[int, int]) -> bool:
    return any(
        (mask.box[axis] <= region[axis] and region[axis] > 0)
        or (mask.box[axis + 2] >= region[axis + 2] and region[axis + 2] < shape[axis])
        for axis in (0, 1)
    )


def _snapped(side: int, centre: float, length: int) -> tuple[int, int]:
    """Give where a region of a side begins and ends along an axis: on multiples of half of it."""
    if side >= length:
        return 0, length
    half = side // 2 or 1
    start = min(max(round((centre - side / 2) / half), 0) * half, length - side)
    return start, start + side


def _readable(region: Box, at: Surroundings) -> Box:
    if not at.can_read(region):
        height, width = region[2] - region[0], region[3] - region[1]
        raise PromptError(
            f"A region must have at most {_MOST_PIXELS:,} pixels to be read, got {height} x "
            f"{width}. Zoom in, choose the automatic field of view, or open the image as a pyramid."
        )
    return region


def _clipped(box: Box, shape: tuple[int, int]) -> Box:
    y0, x0, y1, x1 = box
    clipped = max(y0, 0), max(x0, 0), min(y1, shape[0]), min(x1, shape[1])
    if not (clipped[0] < clipped[2] and clipped[1] < clipped[3]):
        raise PromptError(
            f"A region must lie in the image of {shape[0]} x {shape[1]} pixels, got {box}. "
            "Give (y0, x0, y1, x1) in pixels, or bring the image into view."
        )
    return clipped


def _hull(seen: Box, box: Box, shape: tuple[int, int]) -> Box:
    hull = min(seen[0], box[0]), min(seen[1], box[1]), max(seen[2], box[2]), max(seen[3], box[3])
    return _clipped(hull, shape)


def _hits(region: Box, box: Box) -> bool:
    y0, x0, y1, x1 = region
    return y0 < box[2] and box[0] < y1 and x0 < box[3] and box[1] < x1


def _longer(box: Sequence[float]) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def box_around(points: Sequence[tuple[float, float]], *boxes: Sequence[float]) -> Box | None:
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
