"""Which part of a plane the model looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import PromptError
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.regions import (
    SMALL,
    FieldOfView,
    Surroundings,
    box_around,
    first_region,
    level_for,
    next_region,
)

AT = Surroundings((3000, 5000), 512)
AUTO = FieldOfView("auto")


def at_click(y: int, x: int) -> Box:
    return y, x, y, x


def mask_at(box: Box, shape: tuple[int, int] = AT.shape) -> PackedMask:
    size = box[2] - box[0], box[3] - box[1]
    return PackedMask.of(np.ones(size, bool), box[:2], shape)


def contains(region: Box, box: Box) -> bool:
    return (
        region[0] <= box[0] and region[1] <= box[1] and box[2] <= region[2] and box[3] <= region[3]
    )


def side_of(region: Box) -> int:
    return max(region[2] - region[0], region[3] - region[1])


def test_whole_is_the_plane() -> None:
    assert first_region(FieldOfView(), at_click(1, 1), 0, AT) == AT.whole


def test_a_click_that_tells_no_size_is_looked_at_in_what_is_on_screen() -> None:
    """Small objects drown in a large plane (SAMJ-IJ and QuPath crop round the prompt)."""
    assert first_region(AUTO, at_click(1500, 2000), 0, AT) == AT.whole
    zoomed = FieldOfView("auto", box=(1400, 1900, 1600, 2100))
    region = first_region(zoomed, at_click(1500, 2000), 0, AT)
    assert side_of(region) == 256
    assert contains(region, (1500, 2000, 1501, 2001))


def test_a_box_brings_the_region_to_its_size() -> None:
    box = (1000, 2000, 1060, 2100)
    region = first_region(AUTO, box, 100, AT)
    assert side_of(region) == 512
    assert contains(region, box)


def test_neighbouring_clicks_reuse_the_region() -> None:
    first = first_region(FieldOfView("auto", (0, 0, 500, 500)), at_click(200, 200), 0, AT)
    again = FieldOfView("auto", (0, 0, 500, 500), near=first)
    assert first_region(again, at_click(260, 300), 0, AT) == first


def test_a_click_beyond_the_region_takes_one_of_the_same_size() -> None:
    first = (0, 0, 256, 256)
    region = first_region(FieldOfView("auto", near=first), at_click(2000, 700), 0, AT)
    assert side_of(region) in (256, AT.shape[1])
    near = FieldOfView("auto", (1900, 500, 2400, 1000), near=first)
    assert side_of(first_region(near, at_click(2000, 700), 0, AT)) == 256


def test_zooming_far_in_leaves_the_region_before() -> None:
    field = FieldOfView("auto", (1000, 1000, 1100, 1100), near=AT.whole)
    assert side_of(first_region(field, at_click(1050, 1050), 0, AT)) == 128


def test_a_region_of_another_plane_is_not_taken_again() -> None:
    field = FieldOfView("auto", near=(0, 0, 4000, 4000))
    assert contains(AT.whole, first_region(field, at_click(10, 10), 0, AT))


def test_a_small_mask_is_looked_at_closer() -> None:
    closer = next_region(AT.whole, mask_at((1000, 1000, 1020, 1020)), AUTO, AT)
    assert closer is not None
    assert side_of(closer) == 128
    assert contains(closer, (1000, 1000, 1020, 1020))


def test_a_mask_across_the_border_is_looked_at_in_a_larger_region() -> None:
    larger = next_region((512, 512, 1024, 1024), mask_at((600, 900, 700, 1024)), AUTO, AT)
    assert larger is not None
    assert side_of(larger) >= 1024
    assert contains(larger, (600, 900, 700, 1024))


def test_a_mask_at_the_border_of_the_plane_is_whole() -> None:
    assert next_region((0, 0, 512, 512), mask_at((0, 0, 200, 200)), AUTO, AT) is None


def test_a_mask_of_a_good_size_stays() -> None:
    assert next_region((0, 0, 512, 512), mask_at((100, 100, 200, 180)), AUTO, AT) is None
    assert next_region((0, 0, 512, 512), PackedMask(AT.shape), AUTO, AT) is None


@pytest.mark.parametrize("field", [FieldOfView(), FieldOfView("fixed", (0, 0, 900, 900))])
def test_only_the_automatic_field_of_view_looks_again(field: FieldOfView) -> None:
    assert next_region((0, 0, 900, 900), mask_at((850, 850, 900, 900)), field, AT) is None


def test_a_fixed_region_is_cut_at_the_plane() -> None:
    field = FieldOfView("fixed", (-10, 4900, 200, 5200))
    assert first_region(field, at_click(10, 4950), 0, AT) == (0, 4900, 200, 5000)


def test_a_fixed_region_beyond_the_plane_is_refused() -> None:
    with pytest.raises(PromptError, match="must lie in the image of 3000 x 5000"):
        first_region(FieldOfView("fixed", (0, 5000, 10, 5010)), at_click(1, 1), 0, AT)


def test_the_visible_region_is_widened_to_the_prompts() -> None:
    field = FieldOfView("visible", (100, 100, 300, 300))
    assert first_region(field, (50, 120, 60, 400), 0, AT) == (50, 100, 300, 400)


def test_what_is_too_large_to_be_read_is_not_chosen() -> None:
    huge = Surroundings((100_000, 100_000), 512)
    region = first_region(AUTO, at_click(50_000, 50_000), 0, huge)
    assert huge.can_read(region)
    assert contains(region, (50_000, 50_000, 50_001, 50_001))
    with pytest.raises(PromptError, match="Zoom in"):
        first_region(FieldOfView(), at_click(1, 1), 0, huge)


def test_a_pyramid_lets_the_whole_be_read() -> None:
    huge = Surroundings((100_000, 100_000), 512, tuple(2.0**i for i in range(9)))
    assert first_region(AUTO, at_click(50_000, 50_000), 0, huge) == huge.whole


def test_the_coarsest_level_that_is_fine_enough_is_read() -> None:
    assert level_for((1.0, 2.0, 4.0, 8.0), 5.0) == 4.0
    assert level_for((1.0,), 0.5) == 1.0
    assert level_for((2.0, 4.0), 1.0) == 2.0


def test_unknown_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="mode must be one of auto, whole, visible, fixed"):
        FieldOfView("everything")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs its box"):
        FieldOfView("fixed")


def test_boxes_around_nothing_are_none() -> None:
    assert box_around(()) is None
    assert box_around([(1.5, 2.5)], (0, 3, 1, 9)) == (0, 2, 2, 9)


SIZES = st.integers(1, 4000)


@given(st.data(), SIZES, SIZES, st.sampled_from([128, 512, 1024]))
def test_regions_hold_their_prompts_and_lie_in_the_plane(
    data: Any, height: int, width: int, image_size: int
) -> None:
    at = Surroundings((height, width), image_size)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    size = data.draw(st.sampled_from([0, 3, 40, 700]))
    box = (
        max(y - size // 2, 0),
        max(x - size // 2, 0),
        min(y + size // 2, height),
        min(x + size // 2, width),
    )
    region = first_region(AUTO, box, size, at)
    assert contains(at.whole, region)
    assert contains(region, box)
    assert region[0] < region[2]
    assert region[1] < region[3]


@given(st.data(), st.sampled_from([128, 512, 1024]))
def test_looking_again_holds_the_mask_and_settles(data: Any, image_size: int) -> None:
    at = Surroundings((900, 1500), image_size)
    y, x = data.draw(st.integers(0, 890)), data.draw(st.integers(0, 1490))
    height, width = data.draw(st.integers(1, 900 - y)), data.draw(st.integers(1, 1500 - x))
    mask, region = mask_at((y, x, y + height, x + width), at.shape), at.whole
    for _ in range(2):
        closer = next_region(region, mask, AUTO, at)
        if closer is None:
            break
        assert contains(closer, mask.box)
        region = closer
    assert next_region(region, mask, AUTO, at) is None
    extent = max(height, width)
    is_small = extent * image_size < SMALL * side_of(region)
    assert not is_small or side_of(region) <= max(16 * extent, at.sides[0])
