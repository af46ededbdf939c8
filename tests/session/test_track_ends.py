"""Where tracks end, and where both ways meet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_sam2.model import Sam2
from napari_sam2.session.followers import Frame, Look
from napari_sam2.session.tracks import (
    StopRules,
    TrackedObject,
)
from tests.session.clips import (
    CLICK,
    Clip,
    CountingSegmenter,
    ScriptedFollower,
    frames_of,
    run,
)


@pytest.fixture
def segmenter(tiny_model: Sam2) -> CountingSegmenter:
    return CountingSegmenter(tiny_model)


def test_a_track_ends_where_the_object_is_gone(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower({4: (10, -2.0)})
    clip = Clip(9)
    found = run(
        segmenter, clip, TrackedObject(3, {2: CLICK}), follower=follower, direction="forward"
    )
    assert frames_of(found) == [2, 3, 4]
    assert "gone or hidden" in found[-1].stop
    assert not found[-1].mask
    assert clip.reads.keys() == {2, 3, 4}
    assert follower.kept == [(3, 3), (3, 4)]  # that it is gone is remembered


def test_a_jump_is_not_remembered(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower({3: 22})
    found = run(
        segmenter,
        Clip(6),
        TrackedObject(3, {1: CLICK}),
        follower=follower,
        direction="forward",
        stop=StopRules(patience=1),
    )
    assert frames_of(found) == [1, 2, 3, 4, 5]
    assert [one.mask.area for one in found] == [100, 100, 0, 100, 100]
    assert follower.kept == [(3, 2), (3, 4), (3, 5)]


def test_a_prompt_further_on_begins_anew(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower({2: (10, -1.0)})
    found = run(
        segmenter,
        Clip(8),
        TrackedObject(3, {0: CLICK, 5: CLICK}),
        follower=follower,
        direction="forward",
    )
    assert frames_of(found) == [0, 5, 1, 2, 6, 7]


def test_one_track_ends_and_the_other_goes_on(segmenter: CountingSegmenter) -> None:
    class OneVanishes(ScriptedFollower):
        def follow(self, object_id: int, frame: Frame, direction: int) -> Look:
            found = super().follow(object_id, frame, direction)
            return replace(found, object_score=-3.0) if object_id == 1 else found

    found = run(
        segmenter,
        Clip(4),
        TrackedObject(1, {0: CLICK}),
        TrackedObject(2, {0: CLICK}),
        follower=OneVanishes(),
    )
    assert [(one.object_id, one.frame) for one in found] == [
        *[(1, 0), (2, 0), (1, 1), (2, 1)],
        *[(2, 2), (2, 3)],
    ]


def test_linking_gives_the_better_of_both_ways(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower(
        {(2, 1): (10, 5.0, 0.6), (2, -1): (12, 5.0, 0.8), (3, -1): (12, 5.0, 0.7)}
    )
    found = run(
        segmenter,
        Clip(6),
        TrackedObject(3, {1: CLICK, 4: CLICK}),
        follower=follower,
        link=True,
    )
    # frame 2 a second time, frame 3 not: there the way forth had 0.9
    assert frames_of(found) == [1, 4, 2, 3, 5, 2, 0]
    assert found[5].mask.area == 144


def test_linking_reaches_what_the_way_forth_has_lost(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower({(2, 1): (10, -1.0)})
    found = run(
        segmenter,
        Clip(6),
        TrackedObject(3, {1: CLICK, 5: CLICK}),
        follower=follower,
        link=True,
    )
    assert {one.frame: one.mask.area for one in found} == dict.fromkeys(range(6), 100)
