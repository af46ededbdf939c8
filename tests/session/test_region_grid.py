"""Regions lie on a grid, are readable, and no closer than there is something to see."""

from __future__ import annotations

from itertools import pairwise

import pytest

from napari_sam2.session.boxes import contains, longer_side
from napari_sam2.session.region_grid import RegionGrid, level_for

GRID = RegionGrid((3000, 5000), 512)
HUGE = (100_000, 100_000)


def test_sides_double_from_a_quarter_of_the_input_to_the_plane() -> None:
    assert GRID.sides == (128, 256, 512, 1024, 2048, 4096)


def test_a_plane_that_is_small_already_is_not_divided() -> None:
    """Enlarged more than four times there is nothing more to see."""
    small = RegionGrid((100, 128), 512)
    assert small.sides == ()
    assert small.around((50, 50, 51, 51)) == small.whole


def test_neighbours_share_a_region() -> None:
    regions = {GRID.around((1000, x, 1000, x), 512) for x in range(2000, 2256)}
    assert len(regions) == 2
    assert all(left[3] - right[1] == 256 for left, right in pairwise(sorted(regions)))


def test_a_region_keeps_off_what_it_is_around() -> None:
    for y in range(900, 1200, 7):
        y0, _, y1, _ = GRID.around((y, 2000, y, 2000))
        assert y0 + 12 <= y <= y1 - 12


def test_at_the_border_of_the_plane_there_is_nothing_to_keep_off() -> None:
    assert GRID.around((0, 4999, 0, 4999)) == (0, 4872, 128, 5000)


def test_what_is_larger_than_any_region_takes_the_whole() -> None:
    assert GRID.around((0, 0, 2900, 4900)) == GRID.whole


def test_an_elongated_plane_is_divided_along_one_axis() -> None:
    assert RegionGrid((60, 5000), 512).around((30, 2500, 30, 2500)) == (0, 2432, 60, 2560)


@pytest.mark.parametrize("least", [0, 10_000, 100_000])
def test_what_is_too_large_to_be_read_is_not_given(least: float) -> None:
    huge = RegionGrid(HUGE, 512)
    region = huge.around((50_000, 50_000, 50_001, 50_001), least)
    assert huge.fits(region)
    assert contains(region, (50_000, 50_000, 50_001, 50_001))
    assert longer_side(region) == (8192 if least else 128)


def test_a_pyramid_lets_more_be_looked_at() -> None:
    levels = tuple(2.0**i for i in range(9))
    plane = RegionGrid((16_384, 16_384), 512, levels)
    assert plane.around((5, 5, 6, 6), 10_000) == plane.whole


def test_a_mask_at_full_size_must_fit_into_memory() -> None:
    """Of 100 000 x 100 000 pixels it would take 10 GB, though of the image little is read."""
    huge = RegionGrid(HUGE, 512, tuple(2.0**i for i in range(9)))
    assert huge.around((5, 5, 6, 6), 100_000) == (0, 0, 16_384, 16_384)


def test_the_coarsest_level_that_is_fine_enough_is_read() -> None:
    assert level_for((1.0, 2.0, 4.0, 8.0), 5.0) == 4.0
    assert level_for((1.0,), 0.5) == 1.0
    assert level_for((2.0, 4.0), 1.0) == 2.0
    assert level_for((1.0, 100_000 / 50_000, 100_000 / 781), 128) == 100_000 / 781
