from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.track_progress import TrackProgress
from napari_sam2.session.tracks import (
    NEVER_STOP,
    PropagationOptions,
    StopRules,
    TrackedMask,
)

SHAPE = (60, 80)


def square(side: int, x: int = 10) -> PackedMask:
    mask = np.zeros(SHAPE, bool)
    mask[10 : 10 + side, x : x + side] = True
    return PackedMask.of(mask)


def tracked(frame: int, mask: PackedMask, object_score: float = 4.0) -> TrackedMask:
    return TrackedMask(frame, 7, mask, iou=0.8, object_score=object_score)


def started(stop: StopRules, *, close_gaps: bool = False) -> TrackProgress:
    progress = TrackProgress(PropagationOptions(stop=stop, close_gaps=close_gaps))
    progress.trust(square(20))
    return progress


def test_a_good_mask_is_given_on() -> None:
    one = tracked(1, square(21))
    progress = started(StopRules())
    assert progress.add(one) == (True, [one])
    assert progress.end() == []
    assert not progress.has_ended


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (tracked(1, square(20), -1.5), "gone or hidden (object score -1.5)"),
        (tracked(1, PackedMask(SHAPE)), "gone (its mask is empty)"),
        (tracked(1, square(40)), "grew from 400 to 1600 pixels, more than 2 times"),
        (tracked(1, square(5)), "shrank from 400 to 25 pixels, more than 5 times"),
        (tracked(1, square(20, x=40)), "elsewhere (it shares 0% with the last one)"),
    ],
)
def test_a_track_ends_and_says_why(one: TrackedMask, why: str) -> None:
    progress = started(StopRules(max_shrinkage=5))
    is_good, (last,) = progress.add(one)
    assert not is_good
    assert why in last.stop
    assert not last.mask
    assert progress.has_ended


def test_without_rules_nothing_ends() -> None:
    progress = started(NEVER_STOP)
    for one in (tracked(1, PackedMask(SHAPE), -9.0), tracked(2, square(50))):
        assert progress.add(one) == (True, [one])


def test_areas_are_compared_with_the_last_good_ones() -> None:
    progress = started(StopRules(min_overlap=None))
    for frame, side in enumerate((22, 25, 28, 31, 34, 37, 40), start=1):
        assert progress.add(tracked(frame, square(side)))[0]
    assert not progress.add(tracked(8, square(50)))[0]


def test_small_masks_may_change_their_area() -> None:
    progress = TrackProgress(PropagationOptions(stop=StopRules(min_overlap=None)))
    progress.trust(square(3))
    assert progress.add(tracked(1, square(8)))[0]
    assert progress.add(tracked(2, square(3)))[0]


def test_patience_waits_for_the_object() -> None:
    progress = started(StopRules(patience=2))
    assert progress.add(tracked(1, square(20), -1.0)) == (False, [])
    assert progress.add(tracked(2, PackedMask(SHAPE))) == (False, [])
    is_good, found = progress.add(tracked(3, square(21)))
    assert is_good
    assert [(one.frame, one.mask.area, one.stop) for one in found] == [
        (1, 0, ""),
        (2, 0, ""),
        (3, 441, ""),
    ]


def test_patience_ends_where_the_object_was_lost() -> None:
    progress = started(StopRules(patience=1))
    assert progress.add(tracked(1, square(20), -1.0))[1] == []
    first, second = progress.add(tracked(2, square(20), -2.0))[1]
    assert (first.frame, second.frame) == (1, 2)
    assert "score -1.0" in first.stop
    assert second.stop == ""
    assert progress.has_ended


def test_what_is_held_at_the_last_frame_is_given() -> None:
    progress = started(StopRules(patience=3))
    progress.add(tracked(1, square(20), -1.0))
    (one,) = progress.end()
    assert "gone" in one.stop
    assert not one.mask


def test_gaps_are_closed_by_shapes_between() -> None:
    progress = started(StopRules(patience=1), close_gaps=True)
    progress.add(tracked(1, square(20), -1.0))
    _, (filled, found) = progress.add(tracked(2, square(24)))
    assert (filled.role, filled.stop) == ("filled", "")
    assert filled.mask == square(22)
    assert found.role == "tracked"


def test_a_given_mask_ends_a_gap_and_revives_a_track() -> None:
    progress = started(StopRules(patience=1), close_gaps=True)
    progress.add(tracked(1, square(20), -1.0))
    assert [one.role for one in progress.trust(square(20))] == ["filled"]
    progress.add(tracked(3, square(20), -1.0))
    progress.add(tracked(4, square(20), -1.0))
    assert progress.has_ended
    assert progress.trust(square(40)) == []
    assert not progress.has_ended
    assert progress.add(tracked(6, square(41)))[0]  # compared with the given one only


def test_an_empty_mask_may_be_given() -> None:
    progress = started(StopRules())
    progress.trust(PackedMask(SHAPE))
    assert progress.add(tracked(2, square(30)))[0]


@pytest.mark.parametrize("wrong", [{"max_growth": 1}, {"max_shrinkage": 0.5}, {"patience": -1}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        StopRules(**wrong)  # type: ignore[arg-type]
