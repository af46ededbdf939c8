"""Which part of a plane the model looks grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import PromptError
from napari_sam2.session.boxes import contains
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.region_grid import RegionGrid
from napari_sam2.session.regions import (
    SMALL,
    FieldOfView,
    first_region,
    next_region,
    serves,
)

GRID = RegionGrid((3000, 5000), 512)
AUTO = FieldOfView("auto")


def at_click(y: int, x: int) -> Box:
    return y, x, y, x


def mask_at(box: Box, shape: tuple[int, int] = GRID.shape) -> PackedMask:
    size = box[2] - box[0], box[3] - box[1]
    return PackedMask.of(np.ones(size, bool), box[:2], shape)


def side_of(region: Box) -> int:
    return max(region[2] - region[0], region[3] - region[1])


def test_whole_is_the_plane() -> None:
    assert first_region(FieldOfView(), at_click(1, 1), 0, GRID) == GRID.whole


def test_a_click_that_tells_no_size_is_looked_at_in_what_is_on_screen() -> None:
    """Small objects drown in a large plane (SAMJ-IJ and QuPath crop round the prompt)."""
    for seen, side in ((GRID.whole, 5000), ((1400, 1900, 1600, 2100), 256)):
        region = first_region(FieldOfView("auto", seen), at_click(1500, 2000), 0, GRID)
        assert side_of(region) == side
        assert contains(region, (1500, 2000, 1501, 2001))


def test_where_no_screen_tells_a_size_four_inputs_are_looked_at() -> None:
    """A script that clicks into a slide must not wait for all of it."""
    assert side_of(first_region(AUTO, at_click(1500, 2000), 0, GRID)) == 2048
    small = RegionGrid((1000, 1200), 512)
    assert first_region(AUTO, at_click(500, 500), 0, small) == small.whole


def test_a_box_brings_the_region_to_its_size() -> None:
    box = (1000, 2000, 1060, 2100)
    region = first_region(AUTO, box, 100, GRID)
    assert side_of(region) == 512
    assert contains(region, box)


def test_neighbouring_clicks_reuse_the_region() -> None:
    first = first_region(FieldOfView("auto", (0, 0, 500, 500)), at_click(200, 200), 0, GRID)
    again = FieldOfView("auto", (0, 0, 500, 500), near=first)
    assert first_region(again, at_click(260, 300), 0, GRID) == first


@pytest.mark.parametrize("seen", [None, (1900, 500, 2400, 1000)])
def test_a_click_beyond_the_region_takes_one_of_the_same_size(seen: Box | None) -> None:
    field = FieldOfView("auto", seen, near=(0, 0, 256, 256))
    assert side_of(first_region(field, at_click(2000, 700), 0, GRID)) == 256


def test_zooming_far_out_takes_what_is_on_screen() -> None:
    field = FieldOfView("auto", GRID.whole, near=(0, 0, 256, 256))
    assert first_region(field, at_click(2000, 700), 0, GRID) == GRID.whole


def test_zooming_far_in_leaves_the_region_before() -> None:
    field = FieldOfView("auto", (1000, 1000, 1100, 1100), near=GRID.whole)
    assert side_of(first_region(field, at_click(1050, 1050), 0, GRID)) == 128


def test_a_region_of_another_plane_is_not_taken_again() -> None:
    field = FieldOfView("auto", near=(0, 0, 4000, 4000))
    assert contains(GRID.whole, first_region(field, at_click(10, 10), 0, GRID))


def test_a_small_mask_is_looked_at_closer() -> None:
    closer = next_region(GRID.whole, mask_at((1000, 1000, 1020, 1020)), AUTO, GRID)
    assert closer is not None
    assert side_of(closer) == 128
    assert contains(closer, (1000, 1000, 1020, 1020))


def test_a_mask_across_the_border_is_looked_at_in_a_larger_region() -> None:
    larger = next_region((512, 512, 1024, 1024), mask_at((600, 900, 700, 1024)), AUTO, GRID)
    assert larger is not None
    assert side_of(larger) >= 1024
    assert contains(larger, (600, 900, 700, 1024))


def test_a_speck_at_the_border_is_no_reason_to_look_again() -> None:
    region, mask = (512, 512, 1024, 1024), np.zeros((512, 512), bool)
    mask[100:200, 100:200] = True
    mask[300, 511] = True
    packed = PackedMask.of(mask, region[:2], GRID.shape)
    assert next_region(region, packed, AUTO, GRID) is None


def test_a_mask_at_the_border_of_the_plane_is_whole() -> None:
    assert next_region((0, 0, 512, 512), mask_at((0, 0, 200, 200)), AUTO, GRID) is None


def test_a_mask_of_a_good_size_stays() -> None:
    assert next_region((0, 0, 512, 512), mask_at((100, 100, 200, 180)), AUTO, GRID) is None
    assert next_region((0, 0, 512, 512), PackedMask(GRID.shape), AUTO, GRID) is None


@pytest.mark.parametrize("field", [FieldOfView(), FieldOfView("fixed", (0, 0, 900, 900))])
def test_only_the_automatic_field_of_view_looks_again(field: FieldOfView) -> None:
    assert next_region((0, 0, 900, 900), mask_at((850, 850, 900, 900)), field, GRID) is None


def test_a_fixed_region_is_cut_at_the_plane() -> None:
    field = FieldOfView("fixed", (-10, 4900, 200, 5200))
    assert first_region(field, at_click(10, 4950), 0, GRID) == (0, 4900, 200, 5000)


def test_a_fixed_region_beyond_the_plane_is_refused() -> None:
    with pytest.raises(PromptError, match="must lie in the image of 3000 x 5000"):
        first_region(FieldOfView("fixed", (0, 5000, 10, 5010)), at_click(1, 1), 0, GRID)


def test_the_visible_region_is_widened_to_the_prompts() -> None:
    field = FieldOfView("visible", (100, 100, 300, 300))
    assert first_region(field, (50, 120, 60, 400), 0, GRID) == (50, 100, 300, 400)


def test_a_fixed_region_must_hold_the_prompts() -> None:
    """They would be seen at its border, and the mask would be of what lies there."""
    field = FieldOfView("fixed", (0, 0, 900, 900))
    with pytest.raises(PromptError, match=r"must lie in the region .*, \(0, 0, 900, 900\), got"):
        first_region(field, at_click(901, 10), 0, GRID)


def test_what_is_too_large_for_memory_is_said() -> None:
    huge = RegionGrid((100_000, 100_000), 512)
    for field in (FieldOfView(), FieldOfView("visible"), FieldOfView("fixed", (0, 0, 9000, 9000))):
        with pytest.raises(PromptError, match=r"at most 67,108,864 pixels .* Zoom in"):
            first_region(field, at_click(1, 1), 0, huge)


def test_a_box_that_is_too_large_for_memory_is_said() -> None:
    huge = RegionGrid((100_000, 100_000), 512)
    with pytest.raises(PromptError, match="Prompts must lie in the region"):
        first_region(AUTO, (0, 0, 50_000, 50_000), 50_000, huge)


# Before there is a prompt


def ahead(seen: Box | None, near: Box | None = None) -> Box:
    return first_region(FieldOfView("auto", seen, near), None, 0, GRID)


def test_what_is_on_screen_is_looked_at_ahead() -> None:
    region = ahead((1000, 1000, 1400, 1500))
    assert side_of(region) == 512
    assert region[0] < 1200 < region[2]
    assert region[1] < 1250 < region[3]


def test_a_small_move_needs_nothing_new() -> None:
    near = ahead((1000, 1000, 1400, 1500))
    assert ahead((1050, 1050, 1450, 1550), near) == near
    assert ahead((1050, 1550, 1450, 2050), near) != near


def test_the_region_of_a_small_object_does_not_serve_a_large_view() -> None:
    near = (1024, 1024, 1152, 1152)
    assert ahead((800, 800, 1300, 1300), near) != near


def test_a_plane_that_is_good_enough_serves_until_the_user_has_zoomed_in() -> None:
    assert ahead((1000, 1000, 2000, 2500), GRID.whole) == GRID.whole
    assert side_of(ahead((1000, 1000, 1400, 1500), GRID.whole)) == 512


def test_a_click_goes_into_what_was_looked_at_ahead() -> None:
    seen = (1000, 1000, 1400, 1500)
    near = ahead(seen)
    clicked = FieldOfView("auto", seen, near)
    assert first_region(clicked, at_click(1150, 1200), 0, GRID) == near


@pytest.mark.parametrize(
    ("field", "region", "is_served"),
    [
        (FieldOfView("whole", (0, 0, 9, 9)), GRID.whole, True),
        (FieldOfView("whole"), (0, 0, 512, 512), False),
        (FieldOfView("visible", (0, 0, 400, 500)), (0, 0, 400, 500), True),
        (FieldOfView("visible", (0, 0, 400, 500)), GRID.whole, False),
        (FieldOfView("fixed", (-9, 0, 400, 500)), (0, 0, 400, 500), True),
        (FieldOfView("auto", (9000, 0, 9100, 90)), GRID.whole, True),  # nothing is on screen
        (FieldOfView("auto"), (0, 0, 4000, 4000), False),  # of another plane
    ],
)
def test_other_fields_of_view_are_served_by_their_own_region(
    field: FieldOfView, region: Box, is_served: bool
) -> None:
    assert serves(region, field, GRID.shape) is is_served


def test_unknown_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="mode must be one of auto, whole, visible, fixed"):
        FieldOfView("everything")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs its box"):
        FieldOfView("fixed")


SIZES = st.integers(1, 4000)


@given(st.data(), SIZES, SIZES, st.sampled_from([128, 512, 1024]))
def test_regions_hold_their_prompts_and_lie_in_the_plane(
    data: Any, height: int, width: int, image_size: int
) -> None:
    grid = RegionGrid((height, width), image_size)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    size = data.draw(st.sampled_from([0, 3, 40, 700]))
    box = (
        max(y - size // 2, 0),
        max(x - size // 2, 0),
        min(y + size // 2, height),
        min(x + size // 2, width),
    )
    region = first_region(AUTO, box, size, grid)
    assert contains(grid.whole, region)
    assert contains(region, box)
    assert region[0] < region[2]
    assert region[1] < region[3]


@given(st.data(), st.sampled_from([128, 512, 1024]))
def test_looking_again_holds_the_mask_and_settles(data: Any, image_size: int) -> None:
    grid = RegionGrid((900, 1500), image_size)
    y, x = data.draw(st.integers(0, 890)), data.draw(st.integers(0, 1490))
    height, width = data.draw(st.integers(1, 900 - y)), data.draw(st.integers(1, 1500 - x))
    mask, region = mask_at((y, x, y + height, x + width), grid.shape), grid.whole
    for _ in range(2):
        closer = next_region(region, mask, AUTO, grid)
        if closer is None:
            break
        assert contains(closer, mask.box)
        region = closer
    assert next_region(region, mask, AUTO, grid) is None
    extent = max(height, width)
    is_small = extent * image_size < SMALL * side_of(region)
    assert not is_small or side_of(region) <= max(16 * extent, grid.sides[0])
