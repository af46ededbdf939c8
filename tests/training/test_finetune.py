from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.model import Sam2
from napari_sam2.model.sam2 import refiner_keys
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.training import finetune as module
from napari_sam2.training.data import Picture
from napari_sam2.training.evaluate import Target
from napari_sam2.training.finetune import FineTuner, train
from napari_sam2.training.holdout import score
from napari_sam2.training.tuning import Figures, Mode, Progress, Recipe
from napari_sam2.weights.files import read_checkpoint
from napari_sam2.weights.loading import load_weights
from tests.session.conftest import make_tiny_model

RECIPE = Recipe("head", steps=4)


def scene(name: str = "squares", side: int = 64) -> Picture:
    """Give a picture of nine bright squares."""
    labels = np.zeros((side, side), np.int32)
    third = side // 3
    for label in range(9):
        y, x = (third * part + third // 4 for part in divmod(label, 3))
        labels[y : y + third // 2, x : x + third // 2] = label + 1
    image = np.where(labels > 0, 200, 40).astype(np.uint8)
    return Picture(name, "own", np.repeat(image[..., None], 3, 2), labels)


def quick_score(segmenter: ImageSegmenter, target: Target) -> Figures:
    """Score by the weights alone: another model, another score."""
    weights = sum(float(p.detach().abs().mean()) for p in segmenter.model.parameters())
    return Figures(weights, target.label / 10)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POOL", 4)
    monkeypatch.setattr(module, "_OBJECTS", 4)
    monkeypatch.setattr(module, "_CHECKS", 2)
    monkeypatch.setattr(module, "score", quick_score)


@pytest.fixture
def tuner() -> FineTuner:
    return FineTuner(make_tiny_model(), [scene()], RECIPE)


def copy_of(model: Sam2) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in model.state_dict().items()}


def with_refiner() -> Sam2:
    model = make_tiny_model()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.add_refiner((8, 16))
    return model


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {key for key in before if not torch.equal(before[key], after[key])}


def steps_of(tuner: FineTuner, count: int) -> None:
    """Make steps until so many were made, and stop listening."""
    for progress in tuner.run():
        if progress.stage == "training" and progress.done == count:
            return


class StoppedError(Exception):
    """Somebody has pressed stop."""


def stop_at(step: int):
    def tell(progress: Progress) -> None:
        if progress.stage == "training" and progress.done == step:
            raise StoppedError

    return tell


# What is learnt


def test_the_loss_falls_on_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RATE", {"head": 2e-3})
    tuner = FineTuner(make_tiny_model(), [scene()], Recipe("head", steps=10))
    for _ in tuner._look():
        pass
    losses = [tuner._learn() for _ in range(8)]  # of the same windows and prompts
    assert losses[-1] < 0.97 * losses[0]


def test_head_mode_leaves_the_encoder_untouched() -> None:
    model = make_tiny_model()
    before = copy_of(model)
    steps_of(FineTuner(model, [scene()], RECIPE), 2)
    learnt = changed(before, copy_of(model))
    assert learnt
    assert all(key.startswith(("sam_prompt_encoder.", "sam_mask_decoder.")) for key in learnt)
    assert not any("conv_s" in key for key in learnt), "what they give is kept as features"


def test_full_mode_trains_the_encoder_and_not_the_memory() -> None:
    model = make_tiny_model()
    before = copy_of(model)
    steps_of(FineTuner(model, [scene()], replace(RECIPE, mode="full")), 1)
    learnt = changed(before, copy_of(model))
    assert any(key.startswith("image_encoder.trunk.patch_embed") for key in learnt)
    assert not any(key.startswith("memory_") for key in learnt)


@pytest.mark.parametrize("mode", ["head", "full"])
def test_the_refiner_learns_along(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its own lesson, at its own rate: with that at 0 it stays as it is."""
    model = with_refiner()
    before = copy_of(model)
    steps_of(FineTuner(model, [scene()], replace(RECIPE, mode=mode)), 2)
    assert refiner_keys(changed(before, copy_of(model)))
    monkeypatch.setattr(module, "_REFINER_RATE", 0.0)
    model = with_refiner()
    steps_of(FineTuner(model, [scene()], replace(RECIPE, mode=mode)), 2)
    learnt = changed(before, copy_of(model))
    assert learnt
    assert not refiner_keys(learnt)


def test_nothing_is_learnt_of_whether_there_is_an_object() -> None:
    """What a user has not labelled yet may well be an object."""
    model = make_tiny_model()
    before = copy_of(model)
    steps_of(FineTuner(model, [scene()], RECIPE), 2)
    learnt = changed(before, copy_of(model))
    decayed = {key for key in learnt if "pred_obj_score_head" in key}
    assert all(
        torch.allclose(before[key], model.state_dict()[key], rtol=1e-4, atol=1e-6)
        for key in decayed
    )


def test_checks_ask_as_the_plugin_does(tuner: FineTuner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "score", score)
    for _ in tuner._check():
        pass
    assert all(0 <= figure <= 1 for figure in tuner.checks[0])


def test_features_of_windows_are_computed_once(
    tuner: FineTuner, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    embed = Sam2.embed

    def count(self: Sam2, pixels: Tensor):
        if self is tuner.model:
            looked.append(len(pixels))
        return embed(self, pixels)

    monkeypatch.setattr(Sam2, "embed", count)
    for _ in tuner.run():
        pass
    assert looked == [1] * 4


def test_learning_warms_up_and_slows_down(tuner: FineTuner) -> None:
    tuner.recipe = Recipe("head", steps=100)
    paces = []
    for tuner.step in range(100):
        paces.append(tuner._pace())
    assert paces[0] == pytest.approx(0.1)
    assert paces.index(max(paces)) == 9
    assert paces[-1] < 0.01 * max(paces)


# How far it is


def test_progress_tells_windows_checks_and_steps(tuner: FineTuner) -> None:
    told = list(tuner.run())
    assert [p.done for p in told if p.stage == "looking"] == [1, 2, 3, 4]
    assert [p.done for p in told if p.stage == "training"] == [1, 2, 3, 4]
    assert all(p.loss is not None for p in told if p.stage == "training")
    assert sum(p.figures is not None for p in told) == 3
    assert list(tuner.checks) == [0, 2, 4]


def test_the_best_is_kept_and_the_start_counts(tuner: FineTuner, tmp_path: Path) -> None:
    start = copy_of(tuner.model)
    figures = iter([Figures(0.7, 0.7), Figures(0.8, 0.8), Figures(0.75, 0.75)])
    kept = {}
    for progress in tuner.run():
        if progress.figures is not None:
            tuner.checks[tuner.step] = next(figures)
            if tuner.step == 2:
                kept = tuner._copy_of_average()
                tuner._best = kept
    assert tuner.outcome.best_step == 2
    assert tuner.outcome.after == Figures(0.8, 0.8)
    assert tuner.outcome.helped
    tuner.checks = {0: Figures(0.7, 0.7), 2: Figures(0.6, 0.8), 4: Figures(0.5, 0.7)}
    assert tuner.outcome.best_step == 0, "no better is not better"
    assert not tuner.outcome.helped
    tuner._best = kept
    tuner.export(tmp_path / "best.safetensors")
    written = load_weights(tmp_path / "best.safetensors").state_dict()
    assert all(torch.equal(written[key], value) for key, value in kept.items())
    assert changed(start, written) <= kept.keys()


# Stopping and going on


@pytest.mark.parametrize("make", [make_tiny_model, with_refiner])
def test_a_resumed_run_equals_an_unbroken_one(make: Callable[[], Sam2], tmp_path: Path) -> None:
    tuner = FineTuner(make(), [scene()], RECIPE)
    state = tmp_path / "mine.training.pt"
    with pytest.raises(StoppedError):
        train(tuner, state, stop_at(3))
    other = FineTuner(make(), [scene()], RECIPE)
    other.resume(state)
    assert (other.step, len(other.losses), list(other.checks)) == (3, 3, [0, 2])
    train(other, state, lambda _: None)
    unbroken = FineTuner(make(), [scene()], RECIPE)
    train(unbroken, tmp_path / "other.training.pt", lambda _: None)
    assert other.losses == unbroken.losses
    assert other.checks == unbroken.checks
    assert not changed(copy_of(other.model), copy_of(unbroken.model))
    assert not changed(other._best, unbroken._best)


@pytest.mark.parametrize("stage", ["looking", "checking", "training"])
def test_a_run_that_is_stopped_leaves_a_state(tuner: FineTuner, tmp_path: Path, stage: str) -> None:
    def tell(progress: Progress) -> None:
        if progress.stage == stage:
            raise KeyboardInterrupt

    state = tmp_path / "mine.training.pt"
    with pytest.raises(KeyboardInterrupt):
        train(tuner, state, tell)
    other = FineTuner(make_tiny_model(), [scene()], RECIPE)
    other.resume(state)
    assert other.step == tuner.step
    assert [path.name for path in tmp_path.iterdir()] == [state.name]


def test_a_check_that_was_stopped_is_made_up_for(tmp_path: Path) -> None:
    tuner = FineTuner(make_tiny_model(), [scene()], RECIPE)
    state = tmp_path / "mine.training.pt"

    def tell(progress: Progress) -> None:
        if progress.stage == "checking" and tuner.step == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(tuner, state, tell)
    assert list(tuner.checks) == [0]
    other = FineTuner(make_tiny_model(), [scene()], RECIPE)
    other.resume(state)
    train(other, state, lambda _: None)
    assert list(other.checks) == [0, 2, 4]


@pytest.mark.parametrize(
    ("pictures", "recipe", "differing"),
    [
        ([scene("other")], RECIPE, "another data"),
        ([scene()], replace(RECIPE, steps=9), "another steps"),
        ([scene()], replace(RECIPE, mode="full", seed=2), "another mode and seed"),
    ],
)
def test_another_training_is_not_gone_on_with(
    tuner: FineTuner,
    tmp_path: Path,
    pictures: list[Picture],
    recipe: Recipe,
    differing: str,
) -> None:
    tuner.keep(tmp_path / "state.pt")
    other = FineTuner(make_tiny_model(), pictures, recipe)
    with pytest.raises(PromptError, match=differing):
        other.resume(tmp_path / "state.pt")


def test_a_state_that_cannot_be_read_is_told(tuner: FineTuner, tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="no training to go on with"):
        tuner.resume(tmp_path / "none.pt")
    (tmp_path / "bad.pt").write_bytes(b"nonsense")
    with pytest.raises(PromptError, match="cannot be read"):
        tuner.resume(tmp_path / "bad.pt")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(PromptError, match="no kept training"):
        tuner.resume(tmp_path / "list.pt")


def test_a_place_that_cannot_be_written_is_told(tuner: FineTuner, tmp_path: Path) -> None:
    with pytest.raises(Sam2Error, match="cannot be kept in"):
        tuner.keep(tmp_path / "no" / "state.pt")


# The result


def test_the_result_is_a_checkpoint_that_tells_where_it_comes_from(tmp_path: Path) -> None:
    model = make_tiny_model()
    model.name, model.weights_hash = "micro", "abc"
    tuner = FineTuner(model, [scene()], RECIPE)
    train(tuner, tmp_path / "state.pt", lambda _: None)
    path = tmp_path / "mine.safetensors"
    tuner.export(path)
    loaded = load_weights(path)  # strict
    assert loaded.config == model.config
    assert loaded.has_memory
    told = read_checkpoint(path).metadata["fine_tuning"]
    assert told["base"] == {"name": "micro", "weights_hash": "abc"}
    assert (told["mode"], told["steps"], told["seed"]) == ("head", 4, 0)
    assert (told["objects"], told["held_out"]) == (7, 2)
    assert len(told["data_hash"]) == 32
    assert told["iou_after"]["click"] == tuner.outcome.after.click


def test_too_few_objects_are_refused() -> None:
    few = scene()
    few.labels[few.labels > 4] = 0
    with pytest.raises(PromptError, match="at least 5 labelled objects, got 4"):
        FineTuner(make_tiny_model(), [few], RECIPE)
