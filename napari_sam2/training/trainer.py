"""Train a SAM 2 from scratch, resumably: `python -m napari_sam2.training.trainer --help`.

The recipe follows SAM: a click or a box, then clicks where the mask is wrong, the earlier logits
fed back. The first part runs on windows of the model's canvas, a quarter of its area: the position
encodings are cut to the window's place, so the geometry is that of the full canvas from the start.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.session.preprocess import MEAN, STD
from napari_sam2.training.data import Picture, Windows, draw_pictures, load_pictures, windows
from napari_sam2.training.losses import DenseHead
from napari_sam2.training.precision import quick_matrices
from napari_sam2.training.prompted import WindowDecoder, prompted_loss
from napari_sam2.training.provenance import beginning
from napari_sam2.training.start import prepare
from napari_sam2.weights.loading import load_weights

logger = logging.getLogger(__name__)

_MEAN, _STD = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
_PATCH = 4  # model pixels per trunk token
_PLACE = 32  # windows lie on multiples of this: the tiled position embedding's period
_FIRST_BACKGROUND = 0.05
_FEATURE_SCALE = 0.3  # of the neck's levels when the decoder joins; the positions' is 0.7


@dataclass(frozen=True)
class Recipe:
    """The numbers of a run; a resumed run takes new ones where they are given.

    Attributes
    ----------
    steps : int
        In all.
    since : int
        The step at which the learning rate and the average begin, so that a run that has ended can
        be warmed up and cooled down again.
    full_from : float
        Fraction of the steps after which whole canvases are trained, not windows.
    side, batch, full_batch : int
        Window side in pixels, and pictures a step, before and after.
    objects, full_objects : int
        Prompts a step, before and after.
    lr, weight_decay, warmup, clip, ema : float
        AdamW's rate at its peak and decay; steps of warm-up; gradient norm; averaging of weights.
    dense : float
        Weight of the dense helper loss at the start; it falls to a tenth.
    dense_only : int
        First steps, on the dense helper loss alone.
    settle : int
        Steps over which the background's weight in the mask loss rises to 1.
    drawn, new_scenes : int, float
        Drawn scenes at the start, and how many of them are replaced by new ones, per step.
    minutes : float
        Train for this long, not for `steps`; the learning rate follows the clock too. For a
        machine of unknown speed. Pauses do not count. 0: by steps.
    bfloat16 : bool
        Multiply matrices in bfloat16, see `precision`.
    """

    steps: int = 7_400
    since: int = 0
    full_from: float = 0.74
    side: int = 256
    batch: int = 4
    full_batch: int = 2
    fresh: int = 2
    objects: int = 24
    full_objects: int = 16
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    clip: float = 1.0
    ema: float = 0.999
    dense: float = 4.0
    dense_only: int = 800
    settle: int = 1200
    drawn: int = 250
    new_scenes: float = 0.0
    minutes: float = 0.0
    bfloat16: bool = False
    seed: int = 0


class Trainer:
    """One run: model, averaged weights, optimiser, and where it is kept.

    Parameters
    ----------
    model : Sam2
        Its memory stays as it is.
    recipe : Recipe
    folder : Path
        For `state.pt` and `log.jsonl`; a state found there is resumed.

    Attributes
    ----------
    step, seconds : int, float
        Done so far.
    history : list of dict
        How it began and went on, see `provenance.beginning`.
    """

    def __init__(self, model: Sam2, recipe: Recipe, folder: Path) -> None:
        self.model = model.train()
        self.recipe = recipe
        self.folder = folder
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, Any]] = []
        skipped = memory_keys(name for name, _ in model.named_parameters())
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in skipped)
        self.dense_head = DenseHead(model.config.d_model)
        trained = [p for p in self._modules().parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
                {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=recipe.lr,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.trained = trained
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        if self._state_file.exists():
            self._resume()

    def run(
        self, pictures: list[Picture], *, report_every: int = 50, keep_seconds: float = 180
    ) -> None:
        """Train to the recipe's last step, keeping the state on the way and at the end."""
        batches: Iterator[Windows] | None = None
        was_full: bool | None = None
        totals: dict[str, list[float]] = {}
        since = kept = time.perf_counter()
        started = since - self.seconds
        while not self._ended():
            full = self._is_full()
            if batches is None or full != was_full:
                batches, was_full = self._batches(pictures, full), full
            for key, value in self.train_step(next(batches)).items():
                totals.setdefault(key, []).append(value)
            self.step += 1
            self.seconds = time.perf_counter() - started
            if self.step % report_every == 0:
                seconds = (time.perf_counter() - since) / report_every
                means = {key: sum(values) / len(values) for key, values in totals.items()}
                self._log({**means, "seconds": seconds, "side": self._side(full)})
                totals, since = {}, time.perf_counter()
            if time.perf_counter() - kept > keep_seconds:
                self.keep()
                kept = time.perf_counter()
        self.keep()

    def train_step(self, batch: Windows) -> dict[str, float]:
        """Take one optimiser step and give its losses."""
        with quick_matrices() if self.recipe.bfloat16 else nullcontext():
            return self._train_step(batch)

    def _train_step(self, batch: Windows) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        side = batch.pixels.shape[-1]
        offset = self._random_place(side)
        pixels = (batch.pixels - _MEAN) / _STD
        if self.step == self.recipe.dense_only:
            self._calibrate(pixels)
        levels = self._encode(pixels, offset)
        dense = self.dense_head(levels, batch.labels)
        fade = 0.1 + 0.9 * max(0.0, 1 - 2 * self._progress())
        loss = self.recipe.dense * fade * dense
        ious: dict[str, float] = {}
        if self.step >= self.recipe.dense_only:
            decode = WindowDecoder(self.model, self.model.as_features(levels), offset, side)
            is_full = side == self.model.config.image_size
            count = self.recipe.full_objects if is_full else self.recipe.objects
            decoding, ious = prompted_loss(
                decode, batch.labels, count, self._background(), batch.others
            )
            loss = loss + decoding
            ious["loss"] = decoding.item()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.trained, self.recipe.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self._update_average()
        return {"dense": dense.item(), "norm": norm.item(), **ious}

    def keep(self) -> None:
        """Write the state, whole or not at all."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average,
            "dense_head": self.dense_head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self._state_file.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self._state_file)

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.pt"

    def _resume(self) -> None:
        state = torch.load(self._state_file, weights_only=True)
        self.step = state["step"]
        self.seconds = state.get("seconds", 0.0)
        self.history = state.get("history", [])
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.dense_head.load_state_dict(state["dense_head"])
        decays = [group["weight_decay"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, decay in zip(self.optimizer.param_groups, decays, strict=True):
            group["weight_decay"] = decay  # this recipe's, not the state's
        logger.info("Resumed at step %d.", self.step)

    def _modules(self) -> nn.ModuleList:
        return nn.ModuleList([self.model, self.dense_head])

    def _side(self, full: bool) -> int:
        return self.model.config.image_size if full else self.recipe.side

    def _batches(self, pictures: list[Picture], full: bool) -> Iterator[Windows]:
        rng = np.random.default_rng([self.recipe.seed, self.step])
        torch.manual_seed(self.recipe.seed + self.step)
        return windows(
            pictures,
            rng,
            batch=self.recipe.full_batch if full else self.recipe.batch,
            side=self._side(full),
            canvas=self.model.config.image_size,
            fresh=self.recipe.full_batch if full else self.recipe.fresh,
            pool=60 if full else 240,
            new_scenes=self.recipe.new_scenes,
        )

    def _learning_rate(self) -> float:
        recipe = self.recipe
        warm = min(1.0, (self.step - recipe.since + 1) / recipe.warmup)
        return recipe.lr * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * self._progress())) / 2)

    def _background(self) -> float:
        done = min(1.0, (self.step - self.recipe.dense_only) / self.recipe.settle)
        return float(_FIRST_BACKGROUND ** (1 - done))

    def _ended(self) -> bool:
        return self._progress() >= 1 if self.recipe.minutes else self.step >= self.recipe.steps

    def _is_full(self) -> bool:
        if self.recipe.minutes:
            return self._progress() >= self.recipe.full_from
        return self.step >= self.recipe.full_from * self.recipe.steps

    def _progress(self) -> float:
        if self.recipe.minutes:
            return min(1.0, self.seconds / 60 / self.recipe.minutes)
        first = self.recipe.since
        return min(1.0, (self.step - first) / max(1, self.recipe.steps - first))

    def _random_place(self, side: int) -> tuple[int, int]:
        places = (self.model.config.image_size - side) // _PLACE + 1
        y, x = torch.randint(places, (2,)).tolist()
        return y * _PLACE, x * _PLACE

    def _encode(self, pixels: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        trunk = self.model.image_encoder.trunk
        tokens = trunk.patch_embed(pixels)  # (B, s/4, s/4, C)
        canvas = self.model.config.image_size // _PATCH
        y, x = offset[0] // _PATCH, offset[1] // _PATCH
        height, width = tokens.shape[1:3]
        place = trunk.position_embedding(canvas, canvas)[:, y : y + height, x : x + width]
        levels: tuple[Tensor, Tensor, Tensor] = self.model.image_encoder.neck(
            trunk.run_blocks(tokens + place)
        )
        return levels

    @torch.no_grad()
    def _calibrate(self, pixels: Tensor) -> None:
        """Bring the neck's levels to a scale that the decoder can start from."""
        levels = self._encode(pixels, (0, 0))
        fine, middle, coarse = (_FEATURE_SCALE / level.std().item() for level in levels)
        convs = [m for m in self.model.image_encoder.neck.modules() if isinstance(m, nn.Conv2d)]
        # Deepest first; the deepest is added into the coarsest level.
        for conv, scale in zip(convs, (coarse, coarse, middle, fine), strict=True):
            for parameter in conv.parameters():
                parameter.mul_(scale)
        heads = [m for m in self.dense_head.levels.modules() if isinstance(m, nn.Conv2d)]
        for head, scale in zip(heads, (fine, middle, coarse), strict=True):
            head.weight.div_(scale)
        self.optimizer.state.clear()

    @torch.no_grad()
    def _update_average(self) -> None:
        done = self.step - self.recipe.since
        decay = min(self.recipe.ema, (1 + done) / (10 + done))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)

    def _log(self, entry: dict[str, Any]) -> None:
        entry = {"step": self.step, "lr": self._learning_rate(), **entry}
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in entry.items()}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(rounded) + "\n")
        logger.info(" ".join(f"{k}={v}" for k, v in rounded.items()))


def main() -> None:
    """Train `micro` from scratch or from weights, or go on with a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.txt")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--config", default="micro")
    parser.add_argument(
        "--weights",
        help="start from these; give --dense-only -1 --settle 1 too",
    )
    parser.add_argument("--threads", type=int, default=2)
    for name, value in asdict(Recipe()).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parser.add_argument(option, default=value, action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(option, default=value, type=type(value))
    options = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options["threads"])
    recipe = Recipe(**{name: options[name] for name in asdict(Recipe())})
    torch.manual_seed(recipe.seed)
    weights = options["weights"]
    model = load_weights(weights) if weights else prepare(build_sam2(options["config"]))
    trainer = Trainer(model, recipe, options["run"])
    told = beginning(sys.argv[1:], options["data"], "train", model.weights_hash, trainer.step)
    trainer.history.append(told)
    pictures = load_pictures(options["data"], "train") + draw_pictures(recipe.drawn, recipe.seed)
    trainer.run(pictures)


if __name__ == "__main__":
    main()
