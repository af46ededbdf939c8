from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from napari_sam2.errors import PromptError
from napari_sam2.model import build_sam2
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.training import export as module
from napari_sam2.training.export import export
from napari_sam2.training.trainer import Recipe, Trainer
from napari_sam2.weights.files import read_checkpoint
from napari_sam2.weights.loading import load_weights
from tests.training.conftest import WEE


@pytest.fixture
def run(tmp_path: Path) -> Trainer:
    """A run that was kept, whose average is not its weights."""
    trainer = Trainer(build_sam2(WEE), Recipe(seed=5), tmp_path / "run")
    trainer.step = 42
    trainer.history.append({"step": 0, "command": ["--seed", "5"]})
    trainer.average = {key: value + 0.01 for key, value in trainer.average.items()}
    trainer.keep()
    return trainer


def test_the_averaged_weights_are_written_and_loaded(
    run: Trainer, wee: str, tmp_path: Path
) -> None:
    assert export(run.folder, tmp_path / "wee.safetensors", wee) == 42
    model = load_weights(tmp_path / "wee.safetensors")
    assert model.config == WEE
    assert not model.has_memory
    state = model.state_dict()
    for key in state.keys() - memory_keys(state):
        assert torch.equal(state[key], run.average[key].half().float()), key


def test_the_file_holds_the_image_path_in_half_precision_and_its_recipe(
    run: Trainer, wee: str, tmp_path: Path
) -> None:
    export(run.folder, tmp_path / "wee.safetensors", wee)
    checkpoint = read_checkpoint(tmp_path / "wee.safetensors")
    assert not memory_keys(checkpoint.tensors)
    assert {tensor.dtype for tensor in checkpoint.tensors.values()} == {torch.float16}
    assert checkpoint.metadata["recipe"]["step"] == 42
    assert checkpoint.metadata["recipe"]["seed"] == 5
    assert checkpoint.metadata["history"] == run.history


def test_the_memory_that_a_run_began_with_is_written_on_demand(
    run: Trainer, wee: str, tmp_path: Path
) -> None:
    export(run.folder, tmp_path / "wee.safetensors", wee, old_memory=True)
    model = load_weights(tmp_path / "wee.safetensors")
    assert model.has_memory
    state = model.state_dict()
    for key in memory_keys(state):
        assert torch.equal(state[key], run.average[key].half().float()), key


def test_a_memory_that_is_not_there_cannot_be_written(
    run: Trainer, wee: str, tmp_path: Path
) -> None:
    for name in memory_keys(run.average):
        run.average[name].zero_()
    run.keep()
    with pytest.raises(PromptError, match="no memory"):
        export(run.folder, tmp_path / "wee.safetensors", wee, old_memory=True)
    assert not (tmp_path / "wee.safetensors").exists()


def test_the_same_run_gives_the_same_file(run: Trainer, wee: str, tmp_path: Path) -> None:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in files:
        export(run.folder, file, wee)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_exported_model_embeds_and_decodes(run: Trainer, wee: str, tmp_path: Path) -> None:
    export(run.folder, tmp_path / "wee.safetensors", wee)
    model = load_weights(tmp_path / "wee.safetensors")
    point = torch.tensor([[[20.0, 30.0]]]), torch.tensor([[1]])
    with torch.inference_mode():
        output = model.decode(model.embed(torch.zeros(1, 3, 64, 64)), *point, multimask=True)
    assert output.low_res_masks.isfinite().all()


def test_the_command_exports(
    run: Trainer, wee: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "wee.safetensors"
    where = ["--run", str(run.folder), "--output", str(output), "--config", wee]
    monkeypatch.setattr(sys, "argv", ["export", *where])
    module.main()
    assert load_weights(output).config == WEE
