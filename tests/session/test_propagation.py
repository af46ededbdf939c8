"""Following objects: what is read, embedded, given and left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.model import Sam2
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.memory_follower import MemoryFollower
from napari_sam2.session.prompts import LowResMask, Prompts
from napari_sam2.session.propagation import follower_for, propagate
from napari_sam2.session.tracks import (
    NEVER_STOP,
    TrackedObject,
)
from tests.session.clips import (
    CLICK,
    EVERYWHERE,
    SHAPE,
    Clip,
    CountingSegmenter,
    ScriptedFollower,
    frames_of,
    run,
    square,
)


@pytest.fixture
def segmenter(tiny_model: Sam2) -> CountingSegmenter:
    return CountingSegmenter(tiny_model)


def test_both_directions_from_the_prompted_frame(segmenter: CountingSegmenter) -> None:
    clip = Clip(6)
    found = run(segmenter, clip, TrackedObject(3, {2: CLICK}), stop=NEVER_STOP)
    assert frames_of(found) == [2, 3, 4, 5, 1, 0]
    assert [one.role for one in found] == ["prompted", *["tracked"] * 5]
    assert {one.object_id for one in found} == {3}
    assert all(one.mask.shape == SHAPE for one in found)
    assert clip.reads == dict.fromkeys(range(6), 1)


def test_frames_outside_the_range_are_not_read(segmenter: CountingSegmenter) -> None:
    clip = Clip(12)
    found = run(segmenter, clip, TrackedObject(3, {5: CLICK}), stop=NEVER_STOP, first=4, last=7)
    assert frames_of(found) == [5, 6, 7, 4]
    assert clip.reads.keys() == {4, 5, 6, 7}


def test_frames_are_read_when_it_is_their_turn(segmenter: CountingSegmenter) -> None:
    clip = Clip(50)
    masks = propagate(segmenter, clip.frames, [TrackedObject(3, {0: CLICK})], EVERYWHERE)
    assert clip.reads == {}
    for expected in range(3):
        assert next(masks).frame == expected
        assert clip.reads.keys() == set(range(expected + 1))
    masks.close()
    assert sum(clip.reads.values()) == 3


def test_objects_share_one_embedding_a_frame(tiny_model: Sam2) -> None:
    segmenter = CountingSegmenter(tiny_model, FeatureCache(max_bytes=0))
    clip = Clip(5)
    found = run(
        segmenter,
        clip,
        TrackedObject(3, {1: CLICK}),
        TrackedObject(4, {1: replace(CLICK, points=((20.0, 9.0),))}),
        stop=NEVER_STOP,
    )
    assert len(found) == 10
    assert segmenter.embedded == 5
    assert [one.object_id for one in found] == [3, 4] * 5


def test_embeddings_go_into_the_cache_and_come_out_of_it(segmenter: CountingSegmenter) -> None:
    clip = Clip(4)
    first = run(segmenter, clip, TrackedObject(3, {0: CLICK}), stop=NEVER_STOP)
    second = run(segmenter, clip, TrackedObject(3, {0: CLICK}), stop=NEVER_STOP)
    assert segmenter.embedded == 4
    assert [one.mask for one in first] == [one.mask for one in second]


def test_an_object_is_seen_in_its_region(segmenter: CountingSegmenter) -> None:
    clip = Clip(3)
    region = (4, 8, 28, 40)
    one = TrackedObject(3, {0: CLICK}, region=region)
    found = run(segmenter, clip, one, stop=NEVER_STOP, region_moves=False)
    boxes = [one.mask.box for one in found if one.mask]
    assert boxes
    for y0, x0, y1, x1 in boxes:
        assert y0 >= 4
        assert x0 >= 8
        assert y1 <= 28
        assert x1 <= 40


def test_objects_begin_at_their_own_prompts(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower()
    run(
        segmenter,
        Clip(6),
        TrackedObject(1, {1: CLICK}),
        TrackedObject(2, {4: CLICK}),
        follower=follower,
        direction="forward",
    )
    assert follower.asked == [(1, 2, 1), (1, 3, 1), (1, 4, 1), (1, 5, 1), (2, 5, 1)]


def test_several_prompted_frames_are_answered_first_and_left_alone(
    segmenter: CountingSegmenter,
) -> None:
    follower = ScriptedFollower()
    found = run(segmenter, Clip(6), TrackedObject(3, {1: CLICK, 4: CLICK}), follower=follower)
    assert frames_of(found) == [1, 4, 2, 3, 5, 0]
    assert follower.conditioning[2] == (1, 4)


def test_a_given_mask_is_kept_to_the_pixel(segmenter: CountingSegmenter) -> None:
    mask = square(7, y=3)
    found = run(
        segmenter, Clip(2), TrackedObject(3, {0: Prompts(mask_prompt=mask)}), stop=NEVER_STOP
    )
    assert found[0].mask == mask
    assert found[0].iou == 1


def test_a_correction_changes_the_frames_after_it(segmenter: CountingSegmenter) -> None:
    """Corrections are lost by the official predictor (sam2 719, 731)."""
    clip = Clip(6)
    follower = follower_for(segmenter, 6)
    before = run(segmenter, clip, TrackedObject(3, {0: CLICK}), follower=follower, stop=NEVER_STOP)
    correction = Prompts(mask_prompt=square(20, y=2))
    after = run(
        segmenter,
        clip,
        TrackedObject(3, {3: correction}),
        follower=follower,
        stop=NEVER_STOP,
        direction="forward",
        first=3,
        keep_logits=True,
    )
    assert frames_of(after) == [3, 4, 5]
    assert follower.prompted_frames(3) == (0, 3)
    assert [one.mask for one in before[4:]] != [one.mask for one in after[1:]]


def test_official_corrections_are_lost(segmenter: CountingSegmenter) -> None:
    clip = Clip(5)
    follower = MemoryFollower(segmenter.model, 5, keeps_all=True, loses_corrections=True)
    options: dict[str, Any] = {"follower": follower, "stop": NEVER_STOP, "keep_logits": True}
    before = run(segmenter, clip, TrackedObject(3, {0: CLICK}), **options)
    run(segmenter, clip, TrackedObject(3, {2: CLICK}), **options, first=2, last=2)
    again = run(segmenter, clip, TrackedObject(3), **options)
    assert follower.prompted_frames(3) == (0,)
    for one, other in zip(before[1:], again, strict=True):
        np.testing.assert_array_equal(one.low_res_mask, other.low_res_mask)


def test_a_correction_is_answered_with_the_memory(segmenter: CountingSegmenter) -> None:
    clip = Clip(3)
    follower = follower_for(segmenter, 3)
    run(segmenter, clip, TrackedObject(3, {0: CLICK}), follower=follower, stop=NEVER_STOP)
    with_memory, alone = (
        run(
            segmenter,
            clip,
            TrackedObject(3, {2: CLICK}),
            follower=one,
            keep_logits=True,
            first=2,
            last=2,
        )[0]
        for one in (follower, None)
    )
    assert not np.allclose(with_memory.low_res_mask, alone.low_res_mask)


def test_accepted_masks_are_passed_by(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower()
    clip = Clip(6)
    found = run(
        segmenter,
        clip,
        TrackedObject(3, {0: CLICK}, {2: square(), 3: square()}),
        follower=follower,
    )
    assert frames_of(found) == [0, 1, 4, 5]
    assert clip.reads.keys() == {0, 1, 4, 5}
    assert follower.conditioning[4] == (0,)


def test_an_accepted_mask_is_not_changed_by_a_prompt_there(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower()
    found = run(segmenter, Clip(3), TrackedObject(3, {1: CLICK}, {1: square()}), follower=follower)
    assert frames_of(found) == [2, 0]
    assert follower.prompted_frames(3) == [1]


def test_the_nearest_accepted_masks_may_count_as_prompts(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower()
    accepted = {at: square() for at in (2, 3, 6)}
    run(
        segmenter,
        Clip(9),
        TrackedObject(3, {0: CLICK}, accepted),
        follower=follower,
        use_accepted=True,
    )
    assert follower.conditioning == {
        1: (0, 2),
        4: (0, 3, 6),
        5: (0, 3, 6),
        7: (0, 6),
        8: (0, 6),
    }


def test_accepted_masks_are_enough_to_start_from(segmenter: CountingSegmenter) -> None:
    one = TrackedObject(3, accepted={1: square()})
    with pytest.raises(PromptError, match="Object 3 must be prompted"):
        run(segmenter, Clip(3), one)
    found = run(segmenter, Clip(3), one, use_accepted=True, stop=NEVER_STOP)
    assert frames_of(found) == [2, 0]


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ([TrackedObject(3)], "no prompt"),
        ([TrackedObject(3, {7: CLICK})], "frame 7 for object 3"),
        ([TrackedObject(3, {0: CLICK}, {-1: square()})], "frame -1"),
        ([TrackedObject(3, {0: CLICK}), TrackedObject(3, {1: CLICK})], "one twice"),
        ([TrackedObject(3, {0: CLICK}, {1: PackedMask((4, 4))})], "as large as the image"),
    ],
)
def test_what_cannot_be_followed_is_refused_at_once(
    segmenter: CountingSegmenter, objects: list[TrackedObject], told: str
) -> None:
    with pytest.raises(PromptError, match=told):
        propagate(segmenter, Clip(3).frames, objects)


def test_a_prompt_outside_is_refused(segmenter: CountingSegmenter) -> None:
    outside = Prompts(points=((99.0, 2.0),), polarity=(1,))
    with pytest.raises(PromptError, match="outside"):
        run(segmenter, Clip(2), TrackedObject(3, {0: outside}))


def test_official_frames_are_rgb_of_8_bits(segmenter: CountingSegmenter) -> None:
    with pytest.raises(PromptError, match="RGB frames of 8 bits"):
        run(segmenter, Clip(2), TrackedObject(3, {0: CLICK}), official=True)


def test_logits_are_given_on_request(segmenter: CountingSegmenter) -> None:
    found = run(segmenter, Clip(2), TrackedObject(3, {0: CLICK}), stop=NEVER_STOP, keep_logits=True)
    assert {one.low_res_mask.shape for one in found} == {(32, 32)}
    again = replace(CLICK, mask_prompt=LowResMask.of(found[0].low_res_mask))
    assert run(segmenter, Clip(1), TrackedObject(3, {0: again}))[0].low_res_mask is None
