from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.model.two_way import TwoWayBlock
from napari_sam2.session.preprocess import to_model_input
from napari_sam2.training import prompted, run
from napari_sam2.training import trainer as module
from napari_sam2.training.data import Picture, Windows
from napari_sam2.training.levels import in_order
from napari_sam2.training.prompted import WindowDecoder, choose_objects
from napari_sam2.training.provenance import data_hash
from napari_sam2.training.start import prepare
from napari_sam2.training.trainer import Recipe, Trainer
from napari_sam2.training.window import Window, random_place
from napari_sam2.weights.loading import save_weights
from tests.training.conftest import WEE

RECIPE = Recipe(
    steps=4,
    full_from=2.0,
    side=32,
    batch=2,
    full_batch=1,
    fresh=1,
    objects=4,
    full_objects=4,
    warmup=1,
    dense_only=1,
    settle=4,
    drawn=1,
)
SIDE = RECIPE.side


def scene(side: int = 64) -> Picture:
    """Give a picture of four bright squares."""
    labels = np.zeros((side, side), np.int32)
    half, size = side // 2, side // 4
    for label in range(4):
        y, x = (half * part + side // 8 for part in divmod(label, 2))
        labels[y : y + size, x : x + size] = label + 1
    image = np.where(labels > 0, 200, 40).astype(np.uint8)
    return Picture("squares", "fluo", np.repeat(image[..., None], 3, 2), labels)


def batch_of(side: int = SIDE, count: int = 2) -> Windows:
    picture = scene(side)
    pixels = torch.from_numpy(picture.image).permute(2, 0, 1).float() / 255
    labels = torch.from_numpy(picture.labels).long()
    return Windows(pixels.expand(count, -1, -1, -1), labels.expand(count, -1, -1))


@pytest.fixture
def model() -> Sam2:
    return prepare(build_sam2(WEE))


@pytest.fixture
def trainer(model: Sam2, tmp_path: Path) -> Trainer:
    return Trainer(model, RECIPE, tmp_path / "run")


def features_of(model: Sam2, pixels: Tensor, offset: tuple[int, int] = (0, 0)) -> ImageFeatures:
    return model.as_features(Window(model, offset, pixels.shape[-1]).neck_levels(pixels))


def train(trainer: Trainer, steps: int) -> list[dict[str, float]]:
    told = []
    for _ in range(steps):
        told.append(trainer.train_step(batch_of()))
        trainer.step += 1
    return told


def copy_of(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in tensors.items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# What is learnt


def test_the_image_path_learns_and_the_memory_stays(trainer: Trainer) -> None:
    before = copy_of(trainer.model.state_dict())
    train(trainer, 3)
    after = trainer.model.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    memory = memory_keys(before)
    assert memory
    assert not changed & memory
    for part in ("trunk.patch_embed", "trunk.pos_embed", "neck.convs.0", "transformer", "conv_s0"):
        assert any(part in key for key in changed), part
    for part in ("iou_prediction_head", "pred_obj_score_head", "hypernetworks_mlps.3"):
        assert any(part in key for key in changed), part
    assert all(value.isfinite().all() for value in after.values())
    for key in memory:
        assert torch.equal(trainer.average[key], before[key])


def test_the_optimiser_does_not_know_the_memory(trainer: Trainer) -> None:
    parameters = dict(trainer.model.named_parameters())
    memory = memory_keys(parameters)
    frozen = {name for name, parameter in parameters.items() if not parameter.requires_grad}
    assert frozen == memory
    optimised = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert not optimised & {id(parameters[name]) for name in memory}
    assert {id(parameters[name]) for name in parameters.keys() - memory} <= optimised
    assert {id(p) for p in trainer.dense_head.parameters()} <= optimised


def test_at_first_only_the_encoder_learns(model: Sam2, tmp_path: Path) -> None:
    trainer = Trainer(model, replace(RECIPE, dense_only=3), tmp_path)
    before = copy_of(model.state_dict())
    told = train(trainer, 3)
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed
    assert all(key.startswith("image_encoder.") for key in changed)
    assert all(losses.keys() == {"dense", "norm"} for losses in told)
    assert {"click", "click2", "box", "box2", "loss"} <= train(trainer, 1)[0].keys()


def test_the_dense_loss_falls(model: Sam2, tmp_path: Path) -> None:
    trainer = Trainer(model, replace(RECIPE, dense_only=99, lr=5e-3, steps=99), tmp_path)
    losses = [told["dense"] for told in train(trainer, 10)]
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_windows_without_objects_can_be_learnt_from(trainer: Trainer) -> None:
    trainer.step = RECIPE.dense_only
    batch = batch_of()
    told = trainer.train_step(Windows(batch.pixels, torch.zeros_like(batch.labels)))
    assert all(math.isfinite(value) for value in told.values())
    assert all(value.isfinite().all() for value in trainer.model.state_dict().values())


def test_a_step_without_a_finite_gradient_changes_nothing(trainer: Trainer) -> None:
    train(trainer, 2)
    before = copy_of(trainer.model.state_dict())
    batch = batch_of()
    told = trainer.train_step(Windows(batch.pixels * math.nan, batch.labels))
    assert not math.isfinite(told["norm"])
    assert same(before, trainer.model.state_dict())


def test_the_average_follows_the_weights(trainer: Trainer) -> None:
    key = "image_encoder.trunk.patch_embed.proj.weight"
    expected = trainer.average[key].clone()
    for step in range(3):
        train(trainer, 1)
        keep = min(RECIPE.ema, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * trainer.model.state_dict()[key]
    torch.testing.assert_close(trainer.average[key], expected)


def test_the_learning_rate_warms_up_and_falls(model: Sam2, tmp_path: Path) -> None:
    trainer = Trainer(model, replace(RECIPE, steps=100, warmup=10), tmp_path)
    rates = []
    for trainer.step in range(100):
        rates.append(trainer._learning_rate())
    assert rates[0] == pytest.approx(RECIPE.lr / 10, rel=0.01)
    assert rates.index(max(rates)) == 9
    assert max(rates) == pytest.approx(RECIPE.lr, rel=0.03)
    assert all(a > b for a, b in pairwise(rates[9:]))
    assert 0.01 * RECIPE.lr <= rates[-1] < 0.02 * RECIPE.lr


def test_a_run_that_ended_is_warmed_up_again(trainer: Trainer) -> None:
    train(trainer, 4)
    trainer.keep()
    recipe = replace(RECIPE, steps=104, since=4, warmup=10, ema=0.9)
    other = Trainer(build_sam2(WEE), recipe, trainer.folder)
    rates = []
    for other.step in range(4, 104):
        rates.append(other._learning_rate())
    assert rates[0] == pytest.approx(RECIPE.lr / 10, rel=0.01)
    assert max(rates) == pytest.approx(RECIPE.lr, rel=0.03)
    assert 0.01 * RECIPE.lr <= rates[-1] < 0.02 * RECIPE.lr
    key = "image_encoder.trunk.patch_embed.proj.weight"
    before = other.average[key].clone()
    other.step = 4
    train(other, 1)
    wanted = 0.1 * before + 0.9 * other.model.state_dict()[key]
    torch.testing.assert_close(other.average[key], wanted)


def test_norms_and_biases_do_not_decay(trainer: Trainer) -> None:
    decaying, free = trainer.optimizer.param_groups
    assert decaying["weight_decay"] == RECIPE.weight_decay
    assert free["weight_decay"] == 0
    assert all(p.ndim > 1 for p in decaying["params"])
    assert all(p.ndim <= 1 for p in free["params"])


# Windows of the canvas


@pytest.mark.parametrize("offset", [(0, 0), (32, 0), (0, 32), (32, 32)])
def test_a_window_is_placed_as_it_is_on_the_canvas(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, offset: tuple[int, int]
) -> None:
    trunk = trainer.model.image_encoder.trunk
    seen: list[Tensor] = []
    run_blocks = trunk.run_blocks

    def spy(tokens: Tensor) -> list[Tensor]:
        seen.append(tokens)
        return run_blocks(tokens)

    monkeypatch.setattr(trunk, "run_blocks", spy)
    canvas = torch.randn(1, 3, WEE.image_size, WEE.image_size)
    y, x = offset
    trunk(canvas)
    Window(trainer.model, offset, SIDE).neck_levels(canvas[:, :, y : y + SIDE, x : x + SIDE])
    whole, window = seen
    cut = whole[:, y // 4 : (y + SIDE) // 4, x // 4 : (x + SIDE) // 4]
    inner = np.s_[:, 1:-1, 1:-1]  # an outer token's patch reaches beyond the window
    torch.testing.assert_close(window[inner], cut[inner])
    assert not torch.allclose(trunk.position_embedding(16, 16)[:, :8, :8], window, atol=1e-3)


@pytest.mark.parametrize("offset", [(0, 0), (32, 0), (0, 32)])
def test_prompts_of_a_window_are_prompts_of_the_canvas(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, offset: tuple[int, int]
) -> None:
    seen: list[tuple[Tensor, ...]] = []

    def spy(*parts: Tensor) -> DecoderOutput:
        seen.append(parts)
        return DecoderOutput(*[torch.zeros(1)] * 4)

    monkeypatch.setattr(trainer.model.sam_mask_decoder, "forward", spy)
    features = features_of(trainer.model, batch_of().pixels, offset)
    decode = WindowDecoder(trainer.model, features, offset, SIDE)
    y, x = offset
    coords_xy, labels = torch.tensor([[[7.0, 20.0], [30.0, 2.0]]]), torch.tensor([[1, 0]])
    decode(torch.tensor([1]), coords_xy, labels)
    ((taken, grid, points, dense),) = seen
    encoder = trainer.model.sam_prompt_encoder
    on_canvas = coords_xy + torch.tensor([x, y])
    torch.testing.assert_close(points, encoder.encode_points(on_canvas, labels))
    cells = np.s_[:, :, y // 16 : (y + SIDE) // 16, x // 16 : (x + SIDE) // 16]
    torch.testing.assert_close(grid, encoder.position_grid()[cells])
    torch.testing.assert_close(dense, encoder.encode_mask(None, 1)[cells])
    alone = trainer.model.without_memory(features)
    torch.testing.assert_close(taken.image_embed, alone.image_embed[1:])


@pytest.mark.parametrize("with_mask", [False, True])
def test_a_whole_canvas_is_trained_as_it_is_predicted(trainer: Trainer, with_mask: bool) -> None:
    size = WEE.image_size
    pixels = torch.randn(2, 3, size, size)
    coords_xy, labels = torch.rand(2, 3, 2) * size, torch.tensor([[2, 3, 0], [1, 0, 1]])
    logits = torch.randn(2, 1, size // 4, size // 4) if with_mask else None
    with torch.no_grad():
        wanted = trainer.model.decode_all(trainer.model.embed(pixels), coords_xy, labels, logits)
        features = features_of(trainer.model, pixels)
        decode = WindowDecoder(trainer.model, features, (0, 0), size)
        got = decode(torch.tensor([0, 1]), coords_xy, labels, logits)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_pixels_are_normalised_as_for_predicting(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []
    encode = Window.neck_levels

    def spy(self: Window, pixels: Tensor) -> Any:
        seen.append(pixels)
        return encode(self, pixels)

    monkeypatch.setattr(Window, "neck_levels", spy)
    trainer.train_step(batch_of(WEE.image_size, 1))
    wanted = to_model_input(scene(WEE.image_size).image, WEE.image_size, None)
    torch.testing.assert_close(seen[0][0], wanted, atol=1e-5, rtol=1e-5)


def test_windows_lie_all_over_the_canvas_on_its_grid() -> None:
    places = {random_place(WEE.image_size, SIDE) for _ in range(60)}
    assert places == {(0, 0), (0, 32), (32, 0), (32, 32)}
    assert random_place(WEE.image_size, WEE.image_size) == (0, 0)


# Where the decoder joins


def test_the_neck_is_brought_to_scale_and_the_dense_head_does_not_notice(trainer: Trainer) -> None:
    batch = batch_of()
    pixels = torch.randn_like(batch.pixels)

    def look() -> tuple[tuple[Tensor, ...], Tensor]:
        levels = Window(trainer.model, (0, 0), SIDE).neck_levels(pixels)
        torch.manual_seed(5)
        return levels, trainer.dense_head(levels, batch.labels)

    with torch.no_grad():
        before, dense = look()
        trainer._calibrate(pixels)
        after, still = look()
    assert dense.item() == pytest.approx(still.item(), rel=1e-4)
    for old, new in zip(before, after, strict=True):
        assert old.std().item() != pytest.approx(0.3, rel=0.01)
        assert new.std().item() == pytest.approx(0.3, rel=1e-3)


def test_prepared_attention_finds_equal_positions(model: Sam2) -> None:
    """A click's token looks first at the cells around the click."""
    attention = model.sam_mask_decoder.transformer.final_attn_token_to_image
    encoder = model.sam_prompt_encoder
    grid = encoder.pe_layer.grid(8)  # (1, C, 8, 8)
    keys = attention.k_proj(grid.flatten(2).transpose(1, 2))[0]  # (64, inner)
    best = (attention.q_proj(grid.flatten(2).transpose(1, 2))[0] @ keys.T).argmax(1)
    y, x = best // 8, best % 8
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    off = (y - rows.flatten()).abs().maximum((x - columns.flatten()).abs())
    assert (off <= 1).float().mean() > 0.7


def test_preparing_matches_queries_and_keys_of_cross_attention_only(model: Sam2) -> None:
    blocks = [m for m in model.sam_mask_decoder.transformer.modules() if isinstance(m, TwoWayBlock)]
    assert blocks
    for block in blocks:
        for cross in (block.cross_attn_token_to_image, block.cross_attn_image_to_token):
            assert torch.equal(cross.q_proj.weight, cross.k_proj.weight)
            assert cross.q_proj.weight is not cross.k_proj.weight
        assert not torch.equal(block.self_attn.q_proj.weight, block.self_attn.k_proj.weight)


# Which objects are asked for


def test_objects_are_chosen_evenly_with_their_own_masks() -> None:
    labels = torch.zeros(3, 32, 32, dtype=torch.int64)
    for index, ids in enumerate([(3, 9, 12), (4,), ()]):
        for row, label in enumerate(ids):
            labels[index, row * 10 : row * 10 + 8, 4:14] = label
    labels[2, 0, :5] = 7  # too small to be asked for
    images, full, masks, _ = choose_objects(in_order(labels, None), 6)
    assert sorted(images.tolist()) == [0, 0, 1], "two of three, one, none"
    for image, whole, half in zip(images.tolist(), full, masks, strict=True):
        (label,) = labels[image][whole].unique().tolist()
        assert label > 0
        assert torch.equal(whole, labels[image] == label)
        assert torch.equal(half, whole[::2, ::2])


def test_targets_lie_where_their_objects_lie() -> None:
    """They were half a pixel off: every other pixel stood for four."""
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    labels[0, 9:30, 13:40] = 1
    (target,) = choose_objects(in_order(labels, None), 1).target
    at = torch.arange(16) * 4 + 1.5
    assert target.sum() * 16 == 21 * 27
    assert ((target.sum(1) * at).sum() / target.sum()).item() == pytest.approx(
        (9 + 29) / 2, abs=0.1
    )
    assert ((target.sum(0) * at).sum() / target.sum()).item() == pytest.approx(
        (13 + 39) / 2, abs=0.1
    )


def test_windows_without_objects_have_none_to_choose() -> None:
    objects = choose_objects(torch.zeros(2, 3, 32, 32, dtype=torch.int64), 6)
    assert len(objects.images) == 0
    assert objects.masks.shape == (0, 16, 16)
    assert objects.masks.dtype == torch.bool


def test_dust_is_not_asked_for() -> None:
    labels = torch.zeros(1, 32, 32, dtype=torch.int64)
    labels[0, ::2, ::2] = 5  # large in sum, but nowhere half of a pixel of a mask
    assert len(choose_objects(in_order(labels, None), 6).images) == 0


# Runs


def test_a_run_keeps_and_resumes_to_the_bit(trainer: Trainer) -> None:
    train(trainer, 2)
    trainer.keep()
    other = Trainer(build_sam2(WEE), RECIPE, trainer.folder)
    assert other.step == 2
    for _ in range(2):  # as kept, and after one more step
        assert same(trainer.model.state_dict(), other.model.state_dict())
        assert same(trainer.average, other.average)
        assert same(trainer.dense_head.state_dict(), other.dense_head.state_dict())
        for one in (trainer, other):
            torch.manual_seed(7)
            train(one, 1)


def test_a_resumed_run_takes_a_new_recipe(trainer: Trainer) -> None:
    train(trainer, 2)
    trainer.keep()
    recipe = replace(RECIPE, lr=0.5, weight_decay=0.25)
    other = Trainer(build_sam2(WEE), recipe, trainer.folder)
    assert [group["weight_decay"] for group in other.optimizer.param_groups] == [0.25, 0.0]
    other.train_step(batch_of())
    assert other.optimizer.param_groups[0]["lr"] > 0.05


def test_a_state_is_written_whole_or_not_at_all(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer.keep()
    kept = (trainer.folder / "state.pt").read_bytes()

    def fail(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space"):
        trainer.keep()
    assert (trainer.folder / "state.pt").read_bytes() == kept


def test_a_run_ends_at_its_last_step_and_logs_on_the_way(trainer: Trainer) -> None:
    trainer.run([scene()], report_every=2)
    lines = [json.loads(line) for line in (trainer.folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    for line in lines:
        assert {"lr", "dense", "norm", "loss", "click", "box", "seconds"} <= line.keys()
        assert line["side"] == SIDE
        assert math.isfinite(line["loss"])
    assert torch.load(trainer.folder / "state.pt", weights_only=True)["step"] == 4
    after = copy_of(trainer.model.state_dict())
    trainer.run([scene()])
    assert same(after, trainer.model.state_dict()), "a finished run does not go on"


def test_a_run_is_kept_by_the_clock(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are slow beside other work; what an interruption costs is time, not steps."""
    kept = []
    monkeypatch.setattr(Trainer, "keep", lambda self: kept.append(self.step))
    monkeypatch.setattr(run.time, "perf_counter", count(0, 200).__next__)
    trainer.run([scene()], report_every=100, keep_seconds=300)
    assert kept[-1] == RECIPE.steps
    assert len(kept) > 1


def test_a_run_by_the_clock_ends_with_its_time(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its learning rate falls to nothing by then, however many steps there were."""
    trainer.recipe = replace(RECIPE, minutes=1, steps=1)
    seconds = count(0, 4)
    monkeypatch.setattr(run.time, "perf_counter", seconds.__next__)
    rates = []
    step = Trainer.train_step

    def spy(self: Trainer, batch: Windows) -> dict[str, float]:
        told = step(self, batch)
        rates.append(self.optimizer.param_groups[0]["lr"])
        return told

    monkeypatch.setattr(Trainer, "train_step", spy)
    trainer.run([scene()], report_every=100, keep_seconds=20)
    assert 3 < len(rates) < 12
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * rates[0]
    other = Trainer(build_sam2(WEE), trainer.recipe, trainer.folder)
    assert other.seconds == trainer.seconds >= 60
    other.run([scene()])
    assert other.step == trainer.step, "it does not go on"


def test_bfloat16_trains_about_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "is_quick", lambda: True)
    told = []
    for quick in (False, True):
        torch.manual_seed(3)
        recipe = replace(RECIPE, bfloat16=quick, dense_only=-1)
        trainer = Trainer(build_sam2(WEE), recipe, tmp_path / str(quick))
        told.append(train(trainer, 1)[0])
        gradients = [p.grad for p in trainer.trained if p.grad is not None]
        assert {p.dtype for p in [*trainer.trained, *gradients]} == {torch.float32}
    plain, quick_told = told
    assert quick_told["loss"] == pytest.approx(plain["loss"], rel=0.05)
    assert quick_told["dense"] == pytest.approx(plain["dense"], rel=0.05)


def test_where_bfloat16_is_slower_float32_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "is_quick", lambda: False)
    told = []
    for wanted in (False, True):
        torch.manual_seed(3)
        recipe = replace(RECIPE, bfloat16=wanted, dense_only=-1)
        told.append(train(Trainer(build_sam2(WEE), recipe, tmp_path / str(wanted)), 1)[0])
    assert told[0] == told[1]


def test_outlines_are_answered(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompted, "_OUTLINES", 0.3)
    trainer.step = RECIPE.dense_only
    told = trainer.train_step(batch_of())
    assert 0.5 < told["drawn"] <= 1
    assert 0 <= told["outline"] <= 1


def test_the_same_seed_trains_the_same_model(tmp_path: Path) -> None:
    results = []
    for name in ("a", "b"):
        torch.manual_seed(3)
        trainer = Trainer(build_sam2(WEE), replace(RECIPE, steps=2), tmp_path / name)
        trainer.run([scene()])
        results.append(copy_of(trainer.model.state_dict()))
    assert same(*results)


def test_whole_canvases_come_last(
    model: Sam2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = []

    def remember(self: Trainer, batch: Windows) -> dict[str, float]:
        sides.append(tuple(batch.pixels.shape))
        return {}

    monkeypatch.setattr(Trainer, "train_step", remember)
    Trainer(model, replace(RECIPE, steps=4, full_from=0.5), tmp_path).run([scene()])
    size = WEE.image_size
    assert sides == [(2, 3, SIDE, SIDE)] * 2 + [(1, 3, size, size)] * 2


def test_a_step_on_a_whole_canvas(trainer: Trainer) -> None:
    trainer.step = RECIPE.dense_only
    told = trainer.train_step(batch_of(WEE.image_size, 1))
    assert all(math.isfinite(value) for value in told.values())
    assert "box2" in told


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    """Let `main` set logging up, and forget it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_command_trains_and_goes_on(
    wee: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet_logging: None
) -> None:
    picture = scene()
    Image.fromarray(picture.image).save(tmp_path / "fluo_1_image.png")
    Image.fromarray(picture.labels.astype(np.uint8)).save(tmp_path / "fluo_1_label.png")
    (tmp_path / "train.txt").write_text("fluo_1\n")
    for steps in (1, 2):
        recipe = replace(RECIPE, steps=steps, drawn=2 - steps)
        numbers = {k: v for k, v in asdict(recipe).items() if not isinstance(v, bool)}
        options = [f"--{k.replace('_', '-')}={v}" for k, v in numbers.items()]
        where = ["--data", str(tmp_path), "--run", str(tmp_path / "run")]
        command = ["trainer", *where, "--config", wee, "--threads", "1", *options]
        monkeypatch.setattr(sys, "argv", command)
        module.main()
        state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
        assert state["step"] == steps
        assert state["recipe"] == asdict(recipe)
        assert [told["step"] for told in state["history"]] == list(range(steps))
        assert {told["data"] for told in state["history"]} == {data_hash(tmp_path, "train")}


def test_the_command_starts_from_weights(
    wee: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quiet_logging: None
) -> None:
    torch.manual_seed(5)
    model = build_sam2(wee)
    model.has_memory = False
    save_weights(model, tmp_path / "start.safetensors")
    (tmp_path / "train.txt").write_text("")
    where = ["--data", str(tmp_path), "--run", str(tmp_path / "run")]
    start = ["--weights", str(tmp_path / "start.safetensors"), "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["trainer", *where, *start, "--steps", "0", "--drawn", "0"])
    module.main()
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    key = "image_encoder.trunk.blocks.1.attn.qkv.weight"
    assert torch.equal(state["average"][key], model.state_dict()[key])
