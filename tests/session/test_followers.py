"""The two ways of following an object: by memory, and by the mask of the frame before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sam2.model import Sam2
from napari_sam2.session.carry_follower import CarryFollower
from napari_sam2.session.followers import Frame
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.memory_follower import MemoryFollower
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.propagation import follower_for, propagate
from napari_sam2.session.tracks import (
    NEVER_STOP,
    PropagationOptions,
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
