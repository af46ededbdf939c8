from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_sam2.training import clips as module
from napari_sam2.training.clips import Clip, animate, clips
from tests.training.test_trainer import scene

SIDE = 64
FRAMES = 6


def picture(side: int = SIDE) -> tuple[Tensor, Tensor]:
    """Two bright discs on a dark ground, the second at the border."""
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int64)
    labels[np.hypot(y - 30, x - 30) < 9] = 1
    labels[np.hypot(y - 30, x - 63) < 6] = 2
    pixels = np.where(labels > 0, 0.9, 0.1).astype(np.float32)
    return torch.from_numpy(np.repeat(pixels[None], 3, 0)), torch.from_numpy(labels)


def animated(
    monkeypatch: pytest.MonkeyPatch, seed: int, **numbers: float | tuple[float, float]
) -> Clip:
    for name, value in numbers.items():
        monkeypatch.setattr(module, f"_{name}", value)
    monkeypatch.setattr(module, "recolour", lambda pixels, _rng: pixels)
    clip = animate(*picture(), np.random.default_rng(seed), FRAMES)
    assert clip is not None
    return clip


def areas(clip: Clip, label: int = 1) -> list[int]:
    return [int((plane == label).sum()) for plane in clip.labels]


@pytest.mark.parametrize("stacks", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_pixels_follow_the_labels(
    monkeypatch: pytest.MonkeyPatch, seed: int, stacks: float
) -> None:
    clip = animated(monkeypatch, seed, STACKS=stacks, FLICKER=0.0)
    assert clip.pixels.shape == (FRAMES, 3, SIDE, SIDE)
    assert clip.labels.dtype == torch.int64
    for image, plane in zip(clip.pixels, clip.labels, strict=True):
        eroded = plane.numpy() == 1
        if eroded.sum() > 60:
            middle = np.argwhere(eroded).mean(0).round().astype(int)
            assert image[0, middle[0], middle[1]] > 0.4
        assert image[:, :8, :8].max() < 0.3  # the ground stays dark


def test_objects_of_a_movie_move_and_those_at_the_border_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = animated(monkeypatch, 1, STACKS=0.0, VANISHES=0.0, DRIFT=0.0)
    centres = [np.argwhere(plane.numpy() == 1).mean(0) for plane in clip.labels]
    assert np.hypot(*(centres[-1] - centres[0])) > 1
    assert len(set(areas(clip, 2))) == 1


def test_objects_of_a_stack_shrink_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [areas(animated(monkeypatch, seed, STACKS=1.0, DEPTHS=(2.0, 3.0))) for seed in range(8)]
    assert all(each[-1] == 0 for each in found)
    assert all(each[0] > 150 for each in found)
    for each in found:
        peak = int(np.argmax(each))
        assert each[peak:] == sorted(each[peak:], reverse=True)


def test_others_come_where_one_was(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = picture()
    y, x = np.mgrid[:SIDE, :SIDE]
    labels[torch.from_numpy(np.hypot(y - 50, x - 12) < 8)] = 3
    pixels[:, labels == 3] = 0.6
    for name, value in {"STACKS": 1.0, "LATER": 1.0, "BELOW": 1.0, "DEPTHS": (2.0, 2.5)}.items():
        monkeypatch.setattr(module, f"_{name}", value)
    meets = 0
    for seed in range(10):
        clip = animate(pixels, labels, np.random.default_rng(seed), FRAMES)
        assert clip is not None
        there = [{int(label) for label in plane.unique()} & {1, 3} for plane in clip.labels]
        assert len(there[0]) == 1
        (first,) = there[0]
        place = clip.labels[0] == first
        meets += any((plane[place] == 4 - first).any() for plane in clip.labels)
    assert meets > 5


def test_what_vanishes_leaves_the_ground_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(20):
        clip = animated(
            monkeypatch, seed, STACKS=0.0, VANISHES=1.0, COMES_BACK=0.0, FLICKER=0.0, DRIFT=0.0
        )
        assert areas(clip)[0] > 0
        assert areas(clip)[-1] == 0
        assert clip.pixels[-1][:, 15:45, 15:45].max() < 0.4


def test_some_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        areas(animated(monkeypatch, seed, STACKS=0.0, VANISHES=1.0, COMES_BACK=1.0))
        for seed in range(12)
    ]
    assert any(0 in each and each[-1] > 0 for each in found)


def test_a_picture_without_whole_objects_gives_no_clip() -> None:
    pixels, labels = picture()
    assert animate(pixels, torch.where(labels == 2, 2, 0), np.random.default_rng(0), 3) is None


def test_clips_come_without_end() -> None:
    made = clips([scene(128)], np.random.default_rng(0), side=SIDE, canvas=SIDE, frames=4)
    for clip in islice(made, 5):
        assert clip.pixels.shape == (4, 3, SIDE, SIDE)
        assert clip.labels.any()
        assert clip.pixels.min() >= 0
        assert clip.pixels.max() <= 1


def test_outlines_bend_and_the_first_frame_is_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    still = {"STACKS": 0.0, "VANISHES": 0.0, "DRIFT": 0.0, "SPEED": 0.0, "RESTLESS": 0.0}
    clip = animated(monkeypatch, 3, **still, BENDS=0.05)
    true = picture()[1] == 1
    first, last = (plane == 1 for plane in clip.labels[[0, -1]])
    assert (first & true).sum() / (first | true).sum() > 0.97
    assert (last & true).sum() / (last | true).sum() < 0.93


def test_the_light_of_an_object_stays_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a nucleus above the plane: dim and blurred, and no object."""
    clip = animated(
        monkeypatch, 2, STACKS=1.0, DEPTHS=(2.0, 2.1), GHOST=(0.7, 0.7), GHOST_FADES=(0.0, 0.0)
    )
    assert areas(clip)[-1] == 0
    there, gone = (float(clip.pixels[at, 0, 28:33, 28:33].mean()) for at in (0, -1))
    assert 0.13 < gone < there - 0.1  # the ground has 0.1


def test_where_objects_fill_the_picture_there_is_a_plain_ground() -> None:
    pixels, labels = torch.rand(3, SIDE, SIDE), torch.zeros(SIDE, SIDE, dtype=torch.int64)
    labels[1:-1, 1:-1] = 5
    clip = animate(pixels, labels, np.random.default_rng(0), 3)
    assert clip is not None
    assert clip.pixels.isfinite().all()
