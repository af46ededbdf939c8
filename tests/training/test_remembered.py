from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.training import remembered
from napari_sam2.training.remembered import clip_loss
from napari_sam2.training.window import Window
from tests.training.conftest import WEE

SIDE = 32
FRAMES = 4


@pytest.fixture
def model() -> Sam2:
    model = build_sam2(WEE)
    names = memory_keys(name for name, _ in model.named_parameters())
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in names)
    return model


def frames_of(model: Sam2, window: Window) -> list[ImageFeatures]:
    with torch.no_grad():
        return [
            model.as_features(window.neck_levels(torch.randn(1, 3, SIDE, SIDE)))
            for _ in range(FRAMES)
        ]


def moving(gone_from: int = FRAMES) -> Tensor:
    """Two squares that move by two pixels a frame; the first is gone from a frame on."""
    labels = torch.zeros(FRAMES, SIDE, SIDE, dtype=torch.int64)
    for at in range(FRAMES):
        if at < gone_from:
            labels[at, 2 + 2 * at : 14 + 2 * at, 2:14] = 4
        labels[at, 2 + 2 * at : 14 + 2 * at, 18:30] = 9
    return labels


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.9])  # a mask, a click, a box
def test_the_memory_alone_learns(
    model: Sam2, monkeypatch: pytest.MonkeyPatch, chance: float
) -> None:
    monkeypatch.setattr(remembered, "_MASKS", 1.0 if chance == 0.0 else 0.0)
    monkeypatch.setattr(remembered, "_CLICKS", 1.0 if chance == 0.5 else 0.0)
    window = Window(model, (32, 0), SIDE)
    loss, told = clip_loss(window, frames_of(model, window), moving(), 2)
    loss.backward()
    learnt = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    wanted = memory_keys(name for name, _ in model.named_parameters())
    unused = {"no_mem_pos_enc"}
    sometimes = {"no_obj_embed_spatial", "no_obj_ptr", "mask_downsample"}
    assert learnt <= wanted
    assert {n for n in wanted - learnt if not n.startswith(tuple(unused | sometimes))} == set()
    assert 0 <= told["near"] <= 1
    assert 0 <= told["far"] <= 1
    assert 0 <= told["right"] <= 1


def test_objects_that_are_gone_teach_the_score_only(model: Sam2) -> None:
    window = Window(model, (0, 0), SIDE)
    labels = moving(gone_from=1)
    labels[labels == 9] = 0
    labels[0, 2:14, 2:14] = 4
    loss, told = clip_loss(window, frames_of(model, window), labels, 2)
    assert torch.isfinite(loss)
    assert "far" not in told


def test_a_clip_without_objects_gives_nothing(model: Sam2) -> None:
    window = Window(model, (0, 0), SIDE)
    loss, told = clip_loss(
        window, frames_of(model, window), torch.zeros(FRAMES, SIDE, SIDE).long(), 2
    )
    assert loss.item() == 0
    assert told == {}


def test_corrected_frames_become_prompted_ones(
    model: Sam2, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []
    condition = remembered.condition

    def spy(model: Sam2, features: ImageFeatures, memories: list, *rest: object) -> ImageFeatures:
        seen.append([ago for _, ago in memories])
        return condition(model, features, memories, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(remembered, "condition", spy)
    window = Window(model, (0, 0), SIDE)
    monkeypatch.setattr(remembered, "_CORRECTED", 0.0)
    clip_loss(window, frames_of(model, window), moving(), 2)
    assert seen == [[0], [0, 1], [0, 2, 1]]
    seen.clear()
    monkeypatch.setattr(remembered, "_CORRECTED", 1.0)
    clip_loss(window, frames_of(model, window), moving(), 2)
    assert seen == [[0], [0, 0], [0, 0, 0]]
