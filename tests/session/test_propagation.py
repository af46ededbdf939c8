"""Following objects: what is read, embedded, remembered, given and left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from napari_sam2.errors import PromptError
from napari_sam2.model import Sam2
from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.carry_follower import CarryFollower
from napari_sam2.session.followers import Frame, Look
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.memory_follower import MemoryFollower
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import LowResMask, Prompts
from napari_sam2.session.propagation import follower_for, propagate
from napari_sam2.session.tracks import (
    NEVER_STOP,
    PropagationOptions,
    StopRules,
    TrackedMask,
    TrackedObject,
)

SHAPE = (32, 48)
CLICK = Prompts(points=((10.0, 20.0),), polarity=(1,))
EVERYWHERE = PropagationOptions(stop=NEVER_STOP)


def square(side: int = 10, y: int = 8) -> PackedMask:
    mask = np.zeros(SHAPE, bool)
    mask[y : y + side, 16 : 16 + side] = True
    return PackedMask.of(mask)


class Clip:
    """Frames that count how often each is read."""

    def __init__(self, count: int) -> None:
        noise = np.random.default_rng(0)
        self.stack = noise.integers(0, 255, (count, *SHAPE), np.uint8)
        self.reads: Counter[int] = Counter()
        self.frames = [PlaneImage(("clip", at), SHAPE, self._reader(at)) for at in range(count)]

    def _reader(self, at: int) -> Callable[[Box, float], tuple[np.ndarray, ...]]:
        def read(region: Box, step: float) -> tuple[np.ndarray, ...]:
            self.reads[at] += 1
            y0, x0, y1, x1 = region
            return (self.stack[at, y0:y1, x0:x1],)

        return read


class ScriptedFollower:
    """Finds a square of a side, or what the script says, and writes down what it is told.

    Attributes
    ----------
    script : dict
        By frame and direction, or by frame: a side, or a side and an object score, or those and
        an IoU.
    """

    def __init__(self, script: dict[Any, Any] | None = None) -> None:
        self.script = script or {}
        self.prompted: dict[int, list[int]] = {}
        self.asked: list[tuple[int, int, int]] = []
        self.kept: list[tuple[int, int]] = []
        self.upcoming: list[tuple[int, list[tuple[int, int]]]] = []
        self.conditioning: dict[int, tuple[int, ...]] = {}

    def prompted_frames(self, object_id: int) -> list[int]:
        return self.prompted.get(object_id, [])

    def prompt(self, object_id: int, frame: Frame, prompts: Prompts) -> Look:
        return look(frame.shape, 10)

    def keep_prompted(self, object_id: int, frame: int, look: Look) -> None:
        self.prompted.setdefault(object_id, []).append(frame)

    def release(self, object_id: int, frame: int) -> None:
        self.prompted[object_id].remove(frame)

    def follow(self, object_id: int, frame: Frame, direction: int) -> Look:
        self.asked.append((object_id, frame.index, direction))
        self.conditioning[frame.index] = tuple(sorted(self.prompted_frames(object_id)))
        said = self.script.get((frame.index, direction), self.script.get(frame.index, 10))
        return look(frame.shape, *(said if isinstance(said, tuple) else (said,)))

    def keep_tracked(self, object_id: int, frame: int, direction: int, look: Look) -> None:
        self.kept.append((object_id, frame))

    def forget(self, object_id: int, upcoming: Any) -> None:
        self.upcoming.append((object_id, list(upcoming)))


def look(shape: tuple[int, int], side: int, object_score: float = 5.0, iou: float = 0.9) -> Look:
    logits = torch.full((1, 1, *shape), -5.0)
    logits[..., 8 : 8 + side, 16 : 16 + side] = 5.0
    return Look(logits, iou, object_score)


class CountingSegmenter(ImageSegmenter):
    """Counts what it computes."""

    def __init__(self, model: Sam2, cache: FeatureCache | None = None) -> None:
        super().__init__(model, cache)
        self.embedded = 0

    def _compute(self, *args: Any) -> ImageFeatures:
        self.embedded += 1
        return super()._compute(*args)


@pytest.fixture
def segmenter(tiny_model: Sam2) -> CountingSegmenter:
    return CountingSegmenter(tiny_model)


def run(
    segmenter: ImageSegmenter,
    clip: Clip,
    *objects: TrackedObject,
    follower: Any = None,
    **options: Any,
) -> list[TrackedMask]:
    return list(propagate(segmenter, clip.frames, objects, PropagationOptions(**options), follower))


def frames_of(masks: list[TrackedMask]) -> list[int]:
    return [one.frame for one in masks]


# --- where it goes, and what it reads


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
    found = run(segmenter, clip, TrackedObject(3, {0: CLICK}, region=region), stop=NEVER_STOP)
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


# --- what is kept


def test_the_bank_does_not_grow_with_the_clip(segmenter: CountingSegmenter) -> None:
    sizes = []
    for count in (40, 80):
        clip = Clip(count)
        follower = follower_for(segmenter, count)
        assert isinstance(follower, MemoryFollower)
        largest = 0
        for _ in propagate(
            segmenter, clip.frames, [TrackedObject(3, {0: CLICK})], EVERYWHERE, follower
        ):
            largest = max(largest, follower.bank(3).nbytes)
        sizes.append(largest)
    assert sizes[0] == sizes[1]


def test_a_pass_to_come_is_thought_of(segmenter: CountingSegmenter) -> None:
    follower = ScriptedFollower()
    run(segmenter, Clip(5), TrackedObject(3, {2: CLICK}), follower=follower)
    assert follower.upcoming == [
        (3, [(4, 1), (1, -1)]),
        (3, [(1, -1)]),
        (3, [(0, -1)]),
        (3, []),
    ]


# --- prompts, corrections, accepted masks


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


# --- where it ends


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


# --- by which method


def test_a_model_without_memory_carries_the_mask(tiny_model: Sam2) -> None:
    segmenter = ImageSegmenter(tiny_model)
    assert isinstance(follower_for(segmenter, 5), MemoryFollower)
    assert isinstance(follower_for(segmenter, 5, PropagationOptions(method="carry")), CarryFollower)
    tiny_model.has_memory = False
    try:
        assert isinstance(follower_for(segmenter, 5), CarryFollower)
        with pytest.raises(ValueError, match='"carry"'):
            follower_for(segmenter, 5, PropagationOptions(method="memory"))
    finally:
        tiny_model.has_memory = True


def test_carrying_goes_both_ways_too(segmenter: CountingSegmenter) -> None:
    found = run(
        segmenter,
        Clip(5),
        TrackedObject(3, {2: Prompts(mask_prompt=square())}),
        method="carry",
        stop=NEVER_STOP,
    )
    assert frames_of(found) == [2, 3, 4, 1, 0]
    assert found[0].mask == square()


def test_carrying_asks_with_the_mask_before(
    tiny_model: Sam2, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []
    decode = tiny_model.decode

    def spy(features: Any, coords: Any, labels: Any, logits: Any, **kwargs: Any) -> Any:
        asked.append((coords, labels, logits))
        return decode(features, coords, labels, logits, **kwargs)

    monkeypatch.setattr(tiny_model, "decode", spy)
    run(
        ImageSegmenter(tiny_model),
        Clip(2),
        TrackedObject(3, {0: Prompts(mask_prompt=square(12))}),
        method="carry",
    )
    ((coords, labels, logits),) = asked
    assert labels.tolist() == [[2, 3, 1]]
    # rows 8 to 20 of 32 and columns 16 to 28 of 48, in 128 pixels of the model
    y0, y1, x0, x1 = 8 * 4, 20 * 4, 16 * 128 / 48, 28 * 128 / 48
    (first, last, inside) = coords[0].tolist()
    assert first == pytest.approx([x0, y0], abs=4)
    assert last == pytest.approx([x1, y1], abs=4)
    assert x0 < inside[0] < x1
    assert y0 < inside[1] < y1
    assert (logits > 0).any()


def test_carrying_from_nothing_finds_nothing(segmenter: CountingSegmenter) -> None:
    found = run(
        segmenter,
        Clip(3),
        TrackedObject(3, {0: Prompts(mask_prompt=PackedMask(SHAPE))}),
        method="carry",
    )
    assert frames_of(found) == [0, 1]
    assert "gone" in found[1].stop


def test_a_clip_of_one_frame(segmenter: CountingSegmenter) -> None:
    """In the official predictor it gives NaN."""
    follower = follower_for(segmenter, 1)
    for _ in range(2):
        (found,) = run(segmenter, Clip(1), TrackedObject(3, {0: CLICK}), follower=follower)
        assert np.isfinite(found.object_score)


def test_tracking_towards_a_later_prompt_needs_no_pointer(segmenter: CountingSegmenter) -> None:
    """In the official predictor it crashes (sam2 308, 577)."""
    follower = follower_for(segmenter, 4)
    run(segmenter, Clip(4), TrackedObject(3, {3: CLICK}), follower=follower, first=3)
    bank = follower.bank(3)  # type: ignore[attr-defined]
    memories, pointers = bank.recall(1, 1)
    assert (len(memories), pointers) == (1, [])
    found = follower.follow(
        3,
        Frame(1, segmenter.features(Clip(4).frames[1], (0, 0, *SHAPE)), (0, 0, *SHAPE), SHAPE),
        1,
    )
    assert np.isfinite(found.object_score)


# --- what is refused


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
