from __future__ import annotations

import sys
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.memory_attention import axial_rotation, rotate
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.training import memory_trainer as module
from napari_sam2.training.memory_trainer import MemoryRecipe, MemoryTrainer
from napari_sam2.training.run import Run
from napari_sam2.training.start import prepare, prepare_memory
from napari_sam2.weights.loading import load_weights, save_weights
from tests.training.conftest import WEE
from tests.training.test_trainer import copy_of, scene

RECIPE = MemoryRecipe(
    steps=4,
    full_from=0.5,
    side=32,
    warmup=1,
    clips=2,
    objects=2,
    full_objects=2,
    frames=4,
    full_frames=3,
    pool=3,
    full_pool=2,
    drawn=1,
)


@pytest.fixture
def model() -> Sam2:
    return prepare(build_sam2(WEE))


@pytest.fixture
def trainer(model: Sam2, tmp_path: Path) -> MemoryTrainer:
    return MemoryTrainer(model, RECIPE, tmp_path / "run")


def test_the_image_path_stays_bit_by_bit(trainer: MemoryTrainer) -> None:
    before = copy_of(trainer.model.state_dict())
    trainer.run([scene(128)], report_every=1)
    memory = memory_keys(before)
    for name, values in trainer.model.state_dict().items():
        if name not in memory:
            assert torch.equal(values, before[name]), name
            torch.testing.assert_close(trainer.average[name], before[name])
    changed = {n for n in memory if not torch.equal(before[n], trainer.model.state_dict()[n])}
    assert any(name.startswith("memory_encoder") for name in changed)
    assert any(name.startswith("memory_attention") for name in changed)
    assert "maskmem_tpos_enc" in changed


def test_windows_come_first_and_whole_canvases_then(
    trainer: MemoryTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[int] = []
    step = Run.train_step

    def spy(self: MemoryTrainer, batch: list[module.EmbeddedClip]) -> dict[str, float]:
        sides.append(batch[0].labels.shape[-1])
        assert all(3 <= len(clip.labels) == len(clip.features.image_embed) for clip in batch)
        return step(self, batch)

    monkeypatch.setattr(MemoryTrainer, "train_step", spy)
    trainer.run([scene(128)])
    assert sides == [32, 32, WEE.image_size, WEE.image_size]


def test_a_part_of_a_clip_may_run_backwards(trainer: MemoryTrainer) -> None:
    clip = next(trainer.batches([scene(128)], 32))[0]
    back = clip.part([2, 0])
    assert torch.equal(back.labels, clip.labels[[2, 0]])
    assert torch.equal(back.features.image_embed[1], clip.features.image_embed[0])
    assert back.place == clip.place


def test_the_first_look_is_on_the_decoders_scale_and_at_the_same_place(model: Sam2) -> None:
    image = torch.randn(2, WEE.d_model, 4, 4) * 0.3 + 0.1
    prepare_memory(model, image)
    side = WEE.feature_size
    looked = model.memory_attention(
        torch.randn(1, WEE.d_model, side, side) * 0.3,
        torch.zeros(1, side * side, WEE.memory_dim),
        torch.zeros(1, side * side, WEE.memory_dim),
        0,
    )
    assert looked.std().item() == pytest.approx(0.3, rel=0.3)
    attention = model.memory_attention.layers[0].cross_attn_image
    zeros = torch.zeros(side * side, WEE.d_model)
    rotation = axial_rotation(WEE.d_model, side, zeros.device)
    q, k = (rotate(zeros + p.bias, rotation) for p in (attention.q_proj, attention.k_proj))
    assert torch.equal((q @ k.T).argmax(1), torch.arange(side * side))


@pytest.mark.parametrize("had_one", [False, True])
def test_a_model_gets_a_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wee: str, model: Sam2, had_one: bool
) -> None:
    """From a file without one, or going on from the file's, resumed once."""
    model.has_memory = had_one
    prepare = Mock(side_effect=prepare_memory)
    monkeypatch.setattr(module, "prepare_memory", prepare)
    save_weights(model, tmp_path / "wee.safetensors", {"history": [{"step": 7}]})
    picture = scene(128)
    Image.fromarray(picture.image).save(tmp_path / "fluo_image.png")
    Image.fromarray(picture.labels.astype(np.uint16)).save(tmp_path / "fluo_label.png")
    (tmp_path / "train.txt").write_text("fluo\n")
    numbers = [
        text
        for name in ("full_from", "side", "clips", "objects", "frames", "pool", "drawn", "warmup")
        for text in (f"--{name.replace('_', '-')}", str(getattr(RECIPE, name)))
    ]
    command = ["memory_trainer", "--data", str(tmp_path), "--run", str(tmp_path / "run")]
    command += ["--weights", str(tmp_path / "wee.safetensors"), *numbers, "--steps"]
    for steps in ("1", "2"):
        monkeypatch.setattr(sys, "argv", [*command, steps])
        module.main()
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    assert state["step"] == 2
    assert [one["step"] for one in state["history"]] == [7, 0, 1]
    assert prepare.called is not had_one
    kept: dict[str, Tensor] = state["average"]
    loaded = load_weights(tmp_path / "wee.safetensors").state_dict()
    assert all(torch.equal(kept[name], loaded[name]) for name in set(loaded) - memory_keys(loaded))
