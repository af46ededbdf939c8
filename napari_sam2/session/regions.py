"""Which part of a plane fills the model's square input, so that small objects do not drown.

The model sees any region as S x S pixels. Squeezed into it whole, a large plane leaves a small
object a handful of them. So the region follows the object: it begins with what is known of its
size (a box, an outline, the objects before, how far the user has zoomed in), and is corrected
when the first mask shows the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from napari_sam2.errors import PromptError
from napari_sam2.session.boxes import (
    box_around,
    clipped,
    contains,
    has_room,
    longer_side,
    middle_of,
)
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.region_grid import RegionGrid

Mode = Literal["auto", "whole", "visible", "fixed"]
MODES: tuple[Mode, ...] = get_args(Mode)

SMALL = 48  # model pixels: an object that is smaller, in its longer side, is looked at closer
_ROOM = 4  # a region's side at least, in sides of its object
_ZOOMED = 4  # how many times the view is smaller or larger than the last region for it to count
_BLIND = 4  # model inputs: a region's side where neither prompts nor a screen tell of a size
_OFF_MIDDLE = 0.2  # of a region's side: so far from its border is the middle of what it serves
_CUT_OFF = 0.1  # of the square root of a mask's area: so many pixels at the border are no speck


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
    at_hand : tuple of (y0, x0, y1, x1)
        Further regions that are embedded, the newest first. Of those that are about as large as
        what is on screen, one is taken if it suits.
    """

    mode: Mode = "whole"
    box: Box | None = None
    near: Box | None = None
    at_hand: tuple[Box, ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, got {self.mode!r}.")
        if self.mode == "fixed" and self.box is None:
            raise ValueError(
                "A fixed field of view needs its box, got none. Give (y0, x0, y1, x1)."
            )

    @property
    def is_official(self) -> bool:
        """Whether prompts are answered as by the official predictor.

        Otherwise a click is asked about twice (`second_question`), and masks are refined
        (`refinement`), or end at a box alone (`box_edges`) if the model cannot refine.
        """
        return self.mode == "whole"


WHOLE = FieldOfView()


def first_region(field: FieldOfView, prompts_box: Box | None, size: float, grid: RegionGrid) -> Box:
    """Choose where to look first.

    Parameters
    ----------
    field : FieldOfView
    prompts_box : (y0, x0, y1, x1) or None
        Around all prompts; None without prompts: then a plane is looked at ahead.
    size : float
        Longer side of the object, as far as prompts tell; 0 if a click tells nothing.
    grid : RegionGrid
        Of the plane.

    Raises
    ------
    PromptError
        If a fixed region lies outside the plane or does not hold the prompts, or a region is too
        large for memory.
    """
    seen = _seen(field, grid)
    if field.mode == "whole":
        region = grid.whole
    elif field.mode == "fixed":
        region = seen
    elif field.mode == "visible":
        region = seen if prompts_box is None else _hull(seen, prompts_box)
    elif prompts_box is None:
        region = _ahead(field, seen, grid)
    else:
        least = _ROOM * size or _side_to_begin_with(field, grid)
        known = _known(field, prompts_box, size, seen, grid)
        region = grid.around(prompts_box, least) if known is None else known
    _check(region, prompts_box, grid)
    return region


def next_region(region: Box, mask: PackedMask, field: FieldOfView, grid: RegionGrid) -> Box | None:
    """Choose where to look again, now that a mask was found; None if the region suits it.

    A mask that crosses the region's border is looked at in a larger one, a small one closer.
    """
    if field.mode != "auto" or not mask:
        return None
    side, extent = longer_side(region), longer_side(mask.box)
    if is_cut_off(mask, region, grid.shape):
        larger = grid.around(mask.box, 2 * side)
        return larger if longer_side(larger) > side else None
    if extent * grid.image_size >= SMALL * side:
        return None
    closer = grid.around(mask.box, _ROOM * extent)
    return closer if 2 * longer_side(closer) <= side else None


def is_cut_off(mask: PackedMask, region: Box, shape: tuple[int, int]) -> bool:
    """Tell whether more than a speck of a mask lies at the region's border, inside the plane."""
    if not mask:
        return False
    pixels, few = mask.crop(), _CUT_OFF * mask.area**0.5
    lines = (pixels[0], pixels[:, 0], pixels[-1], pixels[:, -1])  # in the order of a box's edges
    return any(
        line.sum() > few and edge == border and edge not in (0, end)
        for line, edge, border, end in zip(lines, mask.box, region, (*shape, *shape), strict=True)
    )


def serves(region: Box, field: FieldOfView, shape: tuple[int, int]) -> bool:
    """Tell whether a region that was looked at will do for what is on screen.

    Parameters
    ----------
    region : (y0, x0, y1, x1)
        That is embedded already.
    field : FieldOfView
        Its `near` is not looked at.
    shape : (H, W)
        Size of the plane.
    """
    whole = (0, 0, *shape)
    seen = (field.box and clipped(field.box, shape)) or whole
    if field.mode == "auto":
        is_near = contains(whole, region) and _holds_middle(region, seen, shape)
        return is_near and _is_alike(region, seen)
    return region == (whole if field.mode == "whole" else seen)


def _ahead(field: FieldOfView, seen: Box, grid: RegionGrid) -> Box:
    """Give what to embed before there is a prompt."""
    if field.near is not None and serves(field.near, field, grid.shape):
        return field.near
    y, x = middle_of(seen)
    return grid.around((y, x, y, x), longer_side(seen))


def _side_to_begin_with(field: FieldOfView, grid: RegionGrid) -> float:
    """Give the side of the last region, unless the user has zoomed far in or out since."""
    last = None if field.near is None else longer_side(field.near)
    if field.box is None:
        return last or _BLIND * grid.image_size
    seen = longer_side(field.box)
    return last if last and last / _ZOOMED <= seen <= last * _ZOOMED else seen


def _known(
    field: FieldOfView, prompts_box: Box, size: float, seen: Box, grid: RegionGrid
) -> Box | None:
    """Give a region that is embedded already and suits prompts."""
    at_hand = [region for region in field.at_hand if _is_alike(region, seen)]
    regions = at_hand if field.near is None else [field.near, *at_hand]
    fitting = (region for region in regions if _suits(region, prompts_box, size, seen, grid))
    return next(fitting, None)


def _suits(region: Box, prompts_box: Box, size: float, seen: Box, grid: RegionGrid) -> bool:
    """Tell whether a region that was chosen before is good for prompts as well."""
    side = longer_side(region)
    if size:
        is_fit = SMALL * side / grid.image_size <= size <= side / 2
    else:
        is_fit = side <= _ZOOMED * longer_side(seen)  # else the user looks at something smaller
    return is_fit and contains(grid.whole, region) and grid.has_room(region, prompts_box)


def _is_alike(region: Box, seen: Box) -> bool:
    """Tell whether a region is about as large as what is on screen."""
    return longer_side(seen) / 2 <= longer_side(region) <= _ZOOMED * longer_side(seen)


def _holds_middle(region: Box, seen: Box, shape: tuple[int, int]) -> bool:
    y, x = middle_of(seen)
    return has_room(region, (y, x, y, x), shape, _OFF_MIDDLE)


def _seen(field: FieldOfView, grid: RegionGrid) -> Box:
    """Give what is on screen, or the fixed region: as much of it as lies in the plane."""
    seen = grid.whole if field.box is None else clipped(field.box, grid.shape)
    if seen is None:
        raise PromptError(
            f"A region must lie in the image of {grid.shape[0]} x {grid.shape[1]} pixels, got "
            f"{field.box}. Give (y0, x0, y1, x1) in pixels, or bring the image into view."
        )
    return seen


def _hull(seen: Box, box: Box) -> Box:
    hull = box_around((), seen, box)
    assert hull is not None
    return hull


def _check(region: Box, prompts_box: Box | None, grid: RegionGrid) -> None:
    if not grid.fits(region):
        height, width = region[2] - region[0], region[3] - region[1]
        raise PromptError(
            f"A region must have at most {grid.most_pixels(region):,} pixels to be looked at, got "
            f"{height} x {width}. Zoom in, or choose the automatic field of view."
        )
    if prompts_box is not None and not contains(region, prompts_box):
        raise PromptError(
            f"Prompts must lie in the region that the model sees, {region}, got {prompts_box}. "
            "Prompt inside it, or choose another field of view."
        )
