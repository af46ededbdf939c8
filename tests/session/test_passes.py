from __future__ import annotations

from typing import Any

import pytest

from napari_sam2.session.passes import BACKWARD, FORWARD, plan
from napari_sam2.session.tracks import PropagationOptions

KNOWN = {1: (4, 6), 2: (5,)}


def frames(**options: Any) -> list[tuple[int, list[int]]]:
    return [(one.direction, list(one)) for one in plan(KNOWN, 10, PropagationOptions(**options))]


def test_both_ways_from_the_first_prompts() -> None:
    assert frames() == [(FORWARD, [5, 6, 7, 8, 9]), (BACKWARD, [4, 3, 2, 1, 0])]


def test_forward_from_the_first_backward_from_the_last() -> None:
    assert frames(direction="forward") == [(FORWARD, [5, 6, 7, 8, 9])]
    assert frames(direction="backward") == [(BACKWARD, [5, 4, 3, 2, 1, 0])]


def test_linking_goes_back_from_the_last_prompt() -> None:
    assert frames(link=True)[1] == (BACKWARD, [5, 4, 3, 2, 1, 0])


def test_a_range_limits_both_ways() -> None:
    assert frames(first=3, last=7) == [(FORWARD, [5, 6, 7]), (BACKWARD, [4, 3])]
    assert frames(first=8, last=99) == [(FORWARD, [8, 9]), (BACKWARD, [])]


def test_an_object_is_followed_from_its_own_start() -> None:
    forward, backward = plan(KNOWN, 10, PropagationOptions())
    assert [forward.concerns(2, at) for at in (4, 5, 6)] == [False, False, True]
    assert [backward.concerns(1, at) for at in (3, 4)] == [True, False]


def test_where_an_object_is_followed_next() -> None:
    forward, backward = plan(KNOWN, 10, PropagationOptions(first=3, last=8))
    assert backward.upcoming(1) == [(3, BACKWARD)]
    assert backward.upcoming(1, 3) == []
    assert forward.upcoming(1, 7) == [(8, FORWARD)]
    assert forward.upcoming(1, 8) == []
    (late,) = plan(KNOWN, 10, PropagationOptions(direction="forward", first=7))
    assert late.upcoming(1) == [(7, FORWARD)]


def test_nothing_to_follow_is_no_frame() -> None:
    assert [list(one) for one in plan({}, 10, PropagationOptions())] == [[], []]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"direction": "up"}, "forward, backward, both"),
        ({"method": "magic"}, "auto, memory, carry"),
        ({"direction": "forward", "link": True}, '"both"'),
        ({"first": 5, "last": 2}, "Swap"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        PropagationOptions(**wrong)
