from __future__ import annotations

import pytest

from napari_sam2.session.boxes import (
    box_around,
    clipped,
    contains,
    has_room,
    longer_side,
    middle_of,
)

PLANE = (100, 200)


def test_boxes_around_nothing_are_none() -> None:
    assert box_around(()) is None
    assert box_around([(1.5, 2.5)], (0, 3, 1, 9)) == (0, 2, 2, 9)


def test_what_is_cut_at_the_border_of_the_plane_may_be_nothing() -> None:
    assert clipped((-5, 150, 40, 260), PLANE) == (0, 150, 40, 200)
    assert clipped((0, 200, 10, 210), PLANE) is None


def test_sides_and_middles() -> None:
    assert longer_side((10, 20, 30, 90)) == 70
    assert middle_of((10, 20, 30, 90)) == (20, 55)


def test_edges_lie_within() -> None:
    assert contains((0, 0, 10, 10), (0, 5, 10, 10))
    assert not contains((0, 0, 10, 10), (0, 5, 10, 10.5))


@pytest.mark.parametrize(
    ("box", "fits"),
    [
        ((20, 20, 40, 40), True),
        ((12, 20, 40, 40), False),  # too near to the top, which is inside the plane
        ((20, 20, 40, 48), False),
        ((20, 0, 40, 40), True),  # the plane ends there, and so does the object
    ],
)
def test_room_is_kept_where_the_plane_goes_on(box: tuple[int, int, int, int], fits: bool) -> None:
    assert has_room((10, 0, 50, 50), box, PLANE, margin=0.1) is fits
