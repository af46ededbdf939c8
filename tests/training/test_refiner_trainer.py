from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.outputs import DecoderOutput
from napari_sam2.model.sam2 import refiner_keys
from napari_sam2.training import refined
from napari_sam2.training import refiner_trainer as module
from napari_sam2.training.export import export
from napari_sam2.training.levels import GROUP, OBJECT, PART
from napari_sam2.training.prompted import WindowDecoder, choose_objects
from napari_sam2.training.refined import _truths_at
from napari_sam2.training.refiner_trainer import RefinerRecipe, RefinerTrainer
from napari_sam2.training.start import prepare
from napari_sam2.training.trainer import Trainer
from napari_sam2.weights.files import read_checkpoint
from napari_sam2.weights.loading import load_weights, save_weights
from tests.training.conftest import WEE
from tests.training.test_trainer import RECIPE as IMAGE_RECIPE
from tests.training.test_trainer import batch_of, copy_of, scene

WIDTHS = (8, 16)
RECIPE = RefinerRecipe(
    steps=4,
    full_from=0.5,
    side=32,
    batch=2,
    full_batch=1,
    fresh=1,
    objects=8,
    warmup=1,
    drawn=1,
)


@pytest.fixture
def model() -> Sam2:
    model = prepare(build_sam2(WEE))
    model.add_refiner(WIDTHS)
    return model


@pytest.fixture
def trainer(model: Sam2, tmp_path: Path) -> RefinerTrainer:
    return RefinerTrainer(model, RECIPE, tmp_path / "run")


def test_all_but_the_refiner_stays_bit_by_bit(trainer: RefinerTrainer) -> None:
    before = copy_of(trainer.model.state_dict())
    trainer.run([scene(128)], report_every=1)
    after = trainer.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed <= refiner_keys(before)
    assert {"refiner.stem.weight", "refiner.change.weight", "refiner.iou.layers.1.bias"} <= changed


def test_windows_come_first_and_whole_canvases_then(trainer: RefinerTrainer) -> None:
    windows, canvases = (next(trainer.batches([scene(128)], side)) for side in (32, 64))
    assert windows.pixels.shape == (2, 3, 32, 32)
    assert canvases.pixels.shape == (1, 3, 64, 64)


def test_masks_get_better_by_it(model: Sam2, tmp_path: Path) -> None:
    """An untrained model's masks are noise, but squares are bright."""
    trainer = RefinerTrainer(model, replace(RECIPE, steps=60, lr=5e-3), tmp_path / "run")
    scores = []
    for trainer.step in range(60):
        scores.append(trainer.train_step(batch_of()))
    before, clicked, boxed = (
        np.mean([score[key] for score in scores[-10:]])
        for key in ("click0_was", "click0_now", "box0_now")
    )
    assert clicked > before + 0.2
    assert boxed > np.mean([score["box0_now"] for score in scores[:10]]) + 0.2


@pytest.mark.parametrize("again", [0.0, 1.0])
def test_a_click_is_corrected_or_asked_about_again(
    trainer: RefinerTrainer, monkeypatch: pytest.MonkeyPatch, again: float
) -> None:
    """Either way the mask goes along; a second question is about the object, never beside it."""
    asked: list[tuple[torch.Tensor, torch.Tensor | None]] = []
    decode = WindowDecoder.__call__

    def note(self: WindowDecoder, *prompt: torch.Tensor) -> DecoderOutput:
        asked.append((prompt[2], prompt[3] if len(prompt) > 3 else None))
        return decode(self, *prompt)

    monkeypatch.setattr(refined, "_AGAIN", again)
    monkeypatch.setattr(WindowDecoder, "__call__", note)
    for _ in range(5):
        trainer.train_step(batch_of())
    first = [given for labels, given in asked if labels.shape[1] == 1 and (labels == 1).all()]
    then = [
        (labels, given) for labels, given in asked if labels.shape[1] == 2 and labels[0, 0] == 1
    ]
    assert first
    assert all(given is None for given in first)
    assert len(then) == len(first)
    assert all(given is not None for _, given in then)
    assert all((labels[:, 1] == 1).all() for labels, _ in then) == bool(again)


def test_windows_without_objects_teach_nothing(trainer: RefinerTrainer) -> None:
    before = copy_of(trainer.model.state_dict())
    empty = batch_of()
    empty = replace(empty, labels=torch.zeros_like(empty.labels))
    for group in trainer.optimizer.param_groups:
        group["weight_decay"] = 0.0
    assert "loss" not in trainer.train_step(empty)
    assert all(torch.equal(before[n], v) for n, v in trainer.model.state_dict().items())


def test_a_run_is_exported_with_its_refiner(
    trainer: RefinerTrainer, wee: str, tmp_path: Path
) -> None:
    trainer.average = {key: value + 0.01 for key, value in trainer.average.items()}
    trainer.keep()
    export(trainer.folder, tmp_path / "wee.safetensors", wee)
    loaded = load_weights(tmp_path / "wee.safetensors")
    assert loaded.config == replace(WEE, refiner_widths=WIDTHS)
    assert loaded.has_memory
    for key in refiner_keys(trainer.average):
        assert torch.equal(loaded.state_dict()[key], trainer.average[key].half().float())


def test_training_the_image_path_leaves_the_refiner_as_it_is(model: Sam2, tmp_path: Path) -> None:
    before = copy_of(model.state_dict())
    trainer = Trainer(model, replace(IMAGE_RECIPE, dense_only=-1), tmp_path / "run")
    trainer.train_step(batch_of())
    assert all(torch.equal(before[n], model.state_dict()[n]) for n in refiner_keys(before))


def test_the_command_trains_and_goes_on(
    model: Sam2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = scene(64)
    Image.fromarray(picture.image).save(tmp_path / "fluo_a_image.png")
    Image.fromarray(picture.labels.astype(np.uint8)).save(tmp_path / "fluo_a_label.png")
    (tmp_path / "train.txt").write_text("fluo_a\n")
    model.refiner, model.config = None, WEE
    weights, run = tmp_path / "wee.safetensors", tmp_path / "run"
    save_weights(model, weights, {"history": [{"step": 7}]})
    told = f"--weights {weights} --data {tmp_path} --run {run} --side 32 --batch 1 --objects 4"
    told += " --full-from 2 --drawn 1 --fresh 1 --warmup 1 --threads 1 --steps"
    for steps in ("1", "2"):
        monkeypatch.setattr(sys, "argv", ["refiner_trainer", *told.split(), steps])
        module.main()
    state = torch.load(run / "state.pt", weights_only=True)
    assert state["step"] == 2
    assert [entry["step"] for entry in state["history"]] == [7, 0, 1]
    assert read_checkpoint(weights).config == WEE  # what was given is as it was


def test_a_candidate_means_what_it_resembles_most() -> None:
    planes = torch.zeros(1, 3, 64, 64, dtype=torch.long)
    planes[:, OBJECT, 8:40, 8:40] = 5
    planes[:, PART, 8:24, 8:24] = 2
    planes[:, GROUP, 8:40, 8:60] = 3
    objects = choose_objects(planes * torch.tensor([0, 1, 0])[:, None, None], 1)
    masks = torch.zeros(1, 3, 16, 16, dtype=torch.bool)
    masks[0, 0, 2:6, 2:6] = True
    masks[0, 1, 2:10, 2:9] = True
    masks[0, 2, 2:10, 2:16] = True
    truths = _truths_at(planes, objects, torch.tensor([[16.0, 16.0]]), masks)
    assert torch.equal(truths[0], torch.stack([planes[0, k] > 0 for k in (PART, OBJECT, GROUP)]))
    # Where nothing else is known at the click, all of them mean the object.
    planes[:, PART], planes[:, GROUP] = 0, 0
    truths = _truths_at(planes, objects, torch.tensor([[16.0, 16.0]]), masks)
    assert torch.equal(truths[0], (planes[0, OBJECT] > 0).expand(3, -1, -1))
