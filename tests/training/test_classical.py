"""Each method on a drawn disc, bright or dark."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam2.session.masks import PackedMask
from napari_sam2.training.classical import (
    BOX_METHODS,
    CLICK_METHODS,
    GreyPicture,
    ellipse_in_box,
    flooded,
    local_component,
    otsu_component,
    otsu_in_box,
    otsu_watershed,
    walked,
)
from napari_sam2.training.scores import iou

SHAPE = (80, 96)
CENTRE, RADIUS = (30, 40), 10
BOX = (20.0, 30.0, 41.0, 51.0)


def disc(y: int, x: int, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - y, columns - x) <= radius


def drawn(
    mask: NDArray[np.bool_], on: tuple[int, ...] = (200,) * 3, off: tuple[int, ...] = (60,) * 3
) -> GreyPicture:
    noise = np.random.default_rng(0).normal(0, 6, (*SHAPE, 1))
    image = np.where(mask[..., None], on, off) + noise
    return GreyPicture(image.clip(0, 255).astype(np.uint8))


DISC = disc(*CENTRE, RADIUS)
TRUTH = PackedMask.of(DISC)
BRIGHT, DARK = drawn(DISC), drawn(DISC, (60,) * 3, (200,) * 3)
GREEN_ON_RED = drawn(DISC, (80, 140, 100), (140, 80, 100))  # as bright: only the colour differs
PICTURES = pytest.mark.parametrize(
    "grey", [BRIGHT, DARK, GREEN_ON_RED], ids=["bright", "dark", "colour"]
)


@PICTURES
@pytest.mark.parametrize("method", CLICK_METHODS)
def test_at_its_best_setting_a_click_finds_the_disc(grey: GreyPicture, method: str) -> None:
    found = [iou(find(grey, CENTRE), TRUTH) for find in CLICK_METHODS[method]]
    assert max(found) > 0.85
    assert min(found) > 0, "the clicked pixel is in the mask"


@PICTURES
@pytest.mark.parametrize("method", BOX_METHODS)
def test_a_box_finds_the_disc(grey: GreyPicture, method: str) -> None:
    assert min(iou(find(grey, BOX), TRUTH) for find in BOX_METHODS[method]) > 0.85


def test_thresholds_and_floods_take_only_the_part_under_the_click() -> None:
    other = disc(60, 70, 8)
    grey = drawn(DISC | other)
    for find in (otsu_component, local_component_51, magic_wand):
        assert iou(find(grey, (60, 70)), PackedMask.of(other)) > 0.8
        assert iou(find(grey, CENTRE), TRUTH) > 0.8


def local_component_51(grey: GreyPicture, point: tuple[int, int]) -> PackedMask:
    return local_component(grey, point, block=51)


def magic_wand(grey: GreyPicture, point: tuple[int, int]) -> PackedMask:
    return flooded(grey, point, tolerance=0.4)


def test_a_click_beside_the_object_takes_what_is_there() -> None:
    ground = PackedMask.of(~DISC)
    for find in (otsu_component, magic_wand):
        mask = find(BRIGHT, (5, 5))
        assert mask.area > ground.area * 0.95, "with the disc, which is a hole in it"


def test_holes_are_filled() -> None:
    grey = drawn(DISC & ~disc(*CENTRE, 4))
    assert iou(otsu_component(grey, (CENTRE[0], CENTRE[1] - 7)), TRUTH) > 0.9


def test_touching_discs_are_split_by_watershed_only() -> None:
    neighbour = disc(CENTRE[0], CENTRE[1] + 19, RADIUS)
    grey = drawn(DISC | neighbour)
    assert iou(otsu_component(grey, CENTRE), TRUTH) < 0.6
    assert iou(otsu_watershed(grey, CENTRE, spread=6), TRUTH) > 0.85
    beside = otsu_watershed(grey, (CENTRE[0], CENTRE[1] + 19), spread=6)
    assert iou(beside, PackedMask.of(neighbour)) > 0.85


@pytest.mark.parametrize("centre", [(0, 40), (30, 0), (79, 95), (4, 4)])
def test_a_walk_does_not_take_the_pictures_edge_for_background(centre: tuple[int, int]) -> None:
    cut = disc(*centre, RADIUS)
    assert iou(walked(drawn(cut), centre, reach=24), PackedMask.of(cut)) > 0.85


def test_a_walk_over_the_whole_picture_has_a_background_all_the_same() -> None:
    assert iou(walked(BRIGHT, CENTRE, reach=200), TRUTH) > 0.8


def test_a_tight_box_needs_a_margin_to_know_the_background() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[20:41, 30:51] = True  # fills its box
    grey, truth = drawn(mask), PackedMask.of(mask)
    assert iou(otsu_in_box(grey, BOX, margin=0.2), truth) > 0.9


def test_an_ellipse_fills_its_box() -> None:
    mask = ellipse_in_box(BRIGHT, (10.0, 20.0, 31.0, 61.0))
    assert mask.box == (10, 20, 31, 61)
    assert mask.area == pytest.approx(np.pi / 4 * 21 * 41, rel=0.03)
    assert ellipse_in_box(BRIGHT, (70.0, 90.0, 90.0, 110.0)).shape == SHAPE, "cut, not refused"


@pytest.mark.parametrize(
    "box", [(0.0, 0.0, 1.0, 1.0), (79.0, 95.0, 80.0, 96.0), (10.2, 10.3, 10.6, 10.8)]
)
def test_boxes_of_a_pixel_can_be_used(box: tuple[float, float, float, float]) -> None:
    for find in (find for finds in BOX_METHODS.values() for find in finds):
        assert find(BRIGHT, box).area <= 4


def test_an_even_picture_can_be_used() -> None:
    even = GreyPicture(np.full((*SHAPE, 3), 90, np.uint8))
    for click in (find for finds in CLICK_METHODS.values() for find in finds):
        assert click(even, CENTRE).shape == SHAPE
    for box in (find for finds in BOX_METHODS.values() for find in finds):
        assert box(even, BOX).shape == SHAPE
