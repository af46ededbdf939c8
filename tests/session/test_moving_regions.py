"""An object travels through planes of which only a part is looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam2.model import Sam2
from napari_sam2.session.boxes import contains
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.carry_follower import CarryFollower
from napari_sam2.session.followers import Frame, Look
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.memory_follower import MemoryFollower
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.propagation import propagate
from napari_sam2.session.tracks import NEVER_STOP, PropagationOptions, TrackedMask, TrackedObject
from tests.session.clips import CountingSegmenter

SHAPE = (64, 128)
FRAMES, SIDE, STEP = 20, 8, 5
HOME = (0, 0, 32, 32)


def truth(at: int) -> np.ndarray:
    """A square that goes to the right."""
    mask = np.zeros(SHAPE, bool)
    mask[12 : 12 + SIDE, 8 + STEP * at : 8 + STEP * at + SIDE] = True
    return mask


class SeeingFollower:
    """Finds what is in the region, and writes down what it is told, and where."""

    def __init__(self) -> None:
        self.prompted: dict[int, list[int]] = {}
        self.told: list[tuple[str, int, Box]] = []

    def prompted_frames(self, object_id: int) -> list[int]:
        return self.prompted.get(object_id, [])

    def prompt(self, object_id: int, frame: Frame, prompts: Prompts) -> Look:
        self.seen = frame.region
        return self._look(frame)

    def keep_prompted(self, object_id: int, frame: int, look: Look) -> None:
        self.prompted.setdefault(object_id, []).append(frame)
        self.told.append(("prompted", frame, self.seen))

    def release(self, object_id: int, frame: int) -> None:
        self.prompted[object_id].remove(frame)

    def forget_object(self, object_id: int) -> None:
        self.prompted.pop(object_id, None)
        self.told.clear()

    def follow(self, object_id: int, frame: Frame, direction: int) -> Look:
        self.seen = frame.region
        return self._look(frame)

    def keep_tracked(self, object_id: int, frame: int, direction: int, look: Look) -> None:
        self.told.append(("tracked", frame, self.seen))

    def forget(self, object_id: int, upcoming: object) -> None:
        pass

    def _look(self, frame: Frame) -> Look:
        y0, x0, y1, x1 = frame.region
        part = torch.from_numpy(truth(frame.index)[y0:y1, x0:x1]).float()
        return Look(part[None, None] * 10 - 5, 0.9, 5.0)


@pytest.fixture
def segmenter(tiny_model: Sam2) -> CountingSegmenter:
    return CountingSegmenter(tiny_model, FeatureCache())


def frames() -> list[PlaneImage]:
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, *SHAPE), np.uint8)

    def plane(at: int) -> PlaneImage:
        return PlaneImage(("t", at), SHAPE, lambda r, _step: (noise[at, r[0] : r[2], r[1] : r[3]],))

    return [plane(at) for at in range(FRAMES)]


def follow(
    segmenter: CountingSegmenter, follower: object, start: int = 0, **options: object
) -> dict[int, TrackedMask]:
    region = HOME if start == 0 else (0, 16, 32, 48)
    one = TrackedObject(1, {start: Prompts(mask_prompt=PackedMask.of(truth(start)))}, {}, region)
    asked = PropagationOptions(stop=NEVER_STOP, **options)  # type: ignore[arg-type]
    found = propagate(segmenter, frames(), [one], asked, follower)  # type: ignore[arg-type]
    return {each.frame: each for each in found}


def test_the_region_goes_along(segmenter: CountingSegmenter) -> None:
    found = follow(segmenter, SeeingFollower())
    assert sorted(found) == list(range(FRAMES))
    for at, each in found.items():
        assert each.mask.area == SIDE**2, at


def test_a_region_that_stays_cuts_the_object_off(segmenter: CountingSegmenter) -> None:
    found = follow(segmenter, SeeingFollower(), region_moves=False)
    assert [at for at, each in found.items() if each.mask.area == SIDE**2] == [0, 1, 2, 3]


def test_what_is_known_is_told_anew_where_it_can_be_seen(segmenter: CountingSegmenter) -> None:
    follower = SeeingFollower()
    one = TrackedObject(1, {0: Prompts(mask_prompt=PackedMask.of(truth(0)))}, {}, HOME)
    asked = PropagationOptions(stop=NEVER_STOP)
    moves = []
    for each in propagate(segmenter, frames(), [one], asked, follower):
        home = {region for _, _, region in follower.told}
        assert len(home) == 1, "memories of two regions were mixed"
        moves.append((each.frame, *home))
        kinds = [kind for kind, _, _ in follower.told]
        assert "prompted" in kinds
        assert contains(follower.told[-1][2], each.mask.box) or each.frame == 0
    assert len({region for _, region in moves}) > 2
    assert follower.told == [("prompted", 0, HOME)]  # as it was, for whoever goes on


def test_the_way_back_begins_at_home(segmenter: CountingSegmenter) -> None:
    found = follow(segmenter, SeeingFollower(), start=5)
    assert sorted(found) == list(range(FRAMES))
    assert all(each.mask.area == SIDE**2 for each in found.values())


@pytest.mark.parametrize("kind", [MemoryFollower, CarryFollower])
def test_a_real_follower_remembers_in_the_new_region(
    segmenter: CountingSegmenter, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers are worth nothing here; what counts is that it goes on from them."""
    real = kind(segmenter.model, FRAMES) if kind is MemoryFollower else kind(segmenter.model)
    follow_on = real.follow

    def told(object_id: int, frame: Frame, direction: int) -> Look:
        look = follow_on(object_id, frame, direction)
        y0, x0, y1, x1 = frame.region
        part = torch.from_numpy(truth(frame.index)[y0:y1, x0:x1]).float()[None, None]
        size = look.low_res_mask.shape[-2:]
        shown = torch.nn.functional.interpolate(part, size) * 10 - 5
        return Look(shown, 0.9, 5.0, look.memory)

    monkeypatch.setattr(real, "follow", told)
    found = follow(segmenter, real)
    assert sorted(found) == list(range(FRAMES))
    right = [at for at, each in found.items() if 40 < each.mask.area < 100]
    assert right == list(range(FRAMES))
    assert tuple(real.prompted_frames(1)) == (0,)
