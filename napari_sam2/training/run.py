"""A training run: what is trained, on which schedule, and where it is kept to go on from."""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from napari_sam2.model import Sam2
from napari_sam2.training.data import Picture
from napari_sam2.training.precision import is_quick, quick_matrices
from napari_sam2.training.provenance import beginning
from napari_sam2.training.team import Team

logger = logging.getLogger(__name__)

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Schedule:
    """When a run ends, and how fast it learns; a resumed run takes new numbers.

    Attributes
    ----------
    steps : int
        In all.
    since : int
        The step at which the learning rate and the average begin, so that a run that has ended can
        be warmed up and cooled down again.
    full_from : float
        Fraction of the steps after which whole canvases are trained, not windows.
    side : int
        Of the windows, in pixels.
    lr, weight_decay, warmup, clip, ema : float
        AdamW's rate at its peak and decay; steps of warm-up; gradient norm; averaging of weights.
    minutes : float
        Train for this long, not for `steps`; the learning rate follows the clock too. For a
        machine of unknown speed. Pauses do not count. 0: by steps.
    bfloat16 : bool
        Multiply matrices in bfloat16, see `precision`, if the processor is faster at that.
    """

    steps: int = 7_400
    since: int = 0
    full_from: float = 0.74
    side: int = 256
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    clip: float = 1.0
    ema: float = 0.999
    minutes: float = 0.0
    bfloat16: bool = False
    seed: int = 0


class Run(ABC, Generic[Batch]):
    """One run: model, averaged weights, optimiser, and where it is kept.

    Parameters
    ----------
    model : Sam2
    frozen : collection of str
        Names of the parameters that stay as they are.
    helper : nn.Module
        Is trained along, and not kept for good.
    recipe : Schedule
        Perhaps with more numbers.
    folder : Path
        For `state.pt` and `log.jsonl`; a state found there is resumed.

    Attributes
    ----------
    step, seconds : int, float
        Done so far, by the team's clock.
    clock : float
        The same by this process's own.
    is_quick : bool
        Whether matrices are multiplied in bfloat16.
    history : list of dict
        How it began and went on, see `provenance.beginning`.
    """

    def __init__(
        self,
        model: Sam2,
        frozen: Collection[str],
        helper: nn.Module,
        recipe: Schedule,
        folder: Path,
    ) -> None:
        self.team = Team()
        self.model = model.train()
        self.recipe = recipe
        self.folder = folder
        self.is_quick = recipe.bfloat16 and is_quick()
        if recipe.bfloat16 and not self.is_quick:
            logger.info("This processor is slower in bfloat16: training in float32.")
        self.step = 0
        self.seconds = self.clock = 0.0
        self.history: list[dict[str, Any]] = []
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in frozen)
        self.helper = helper
        self.modules = nn.ModuleList([model, helper])
        self.trained = [p for p in self.modules.parameters() if p.requires_grad]
        decay = recipe.weight_decay
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in self.trained if p.ndim > 1], "weight_decay": decay},
                {"params": [p for p in self.trained if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=recipe.lr,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        if self._state_file.exists():
            self._resume()

    @abstractmethod
    def batches(self, pictures: Sequence[Picture], side: int) -> Iterator[Batch]:
        """Give batches of windows of this side without end; those of whole canvases are smaller."""

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Score the model on a batch, and tell what is worth a log."""

    def run(
        self, pictures: Sequence[Picture], *, report_every: int = 50, keep_seconds: float = 180
    ) -> None:
        """Train to the end, keeping the state on the way and then."""
        batches: Iterator[Batch] | None = None
        old_side = 0
        totals: dict[str, list[float]] = {}
        since = kept = time.perf_counter()
        started = since - self.seconds
        while not self._has_ended():
            side = self.model.config.image_size if self._is_full() else self.recipe.side
            if batches is None or side != old_side:
                torch.manual_seed(self.recipe.seed + self.step + 1_000_003 * self.team.place)
                batches, old_side = self.batches(pictures, side), side
            self.clock = time.perf_counter() - started
            for key, value in self.train_step(next(batches)).items():
                totals.setdefault(key, []).append(value)
            self.step += 1
            if self.step % report_every == 0:
                seconds = (time.perf_counter() - since) / report_every
                means = {key: sum(values) / len(values) for key, values in totals.items()}
                self._log({**means, "seconds": seconds, "side": side})
                totals, since = {}, time.perf_counter()
            if time.perf_counter() - kept > keep_seconds:
                self.keep()
                kept = time.perf_counter()
        self.keep()

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Take one optimiser step and give its losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        with quick_matrices() if self.is_quick else nullcontext():
            loss, scores = self.loss(batch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        self.seconds = self.team.share(self.trained, self.clock)
        norm = nn.utils.clip_grad_norm_(self.trained, self.recipe.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self._update_average()
        return {**scores, "norm": norm.item()}

    def keep(self) -> None:
        """Write the state, whole or not at all; of a team only the one that leads does."""
        if not self.team.leads:
            return
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "memory": self.model.has_memory,
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average,
            "helper": self.helper.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self._state_file.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self._state_file)

    @property
    def progress(self) -> float:
        """How much of the schedule is done, 0 to 1."""
        recipe = self.recipe
        if recipe.minutes:
            return min(1.0, self.seconds / 60 / recipe.minutes)
        return min(1.0, (self.step - recipe.since) / max(1, recipe.steps - recipe.since))

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.pt"

    def _resume(self) -> None:
        state = torch.load(self._state_file, weights_only=True)
        self.step = state["step"]
        self.seconds = self.clock = state["seconds"]
        self.history = state["history"]
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.helper.load_state_dict(state["helper"])
        decays = [group["weight_decay"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, decay in zip(self.optimizer.param_groups, decays, strict=True):
            group["weight_decay"] = decay  # this schedule's, not the state's
        logger.info("Resumed at step %d.", self.step)

    def _learning_rate(self) -> float:
        recipe = self.recipe
        warm = min(1.0, (self.step - recipe.since + 1) / recipe.warmup)
        return recipe.lr * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * self.progress)) / 2)

    def _has_ended(self) -> bool:
        return self.progress >= 1 if self.recipe.minutes else self.step >= self.recipe.steps

    def _is_full(self) -> bool:
        recipe = self.recipe
        if recipe.minutes:
            return self.progress >= recipe.full_from
        return self.step >= recipe.full_from * recipe.steps

    @torch.no_grad()
    def _update_average(self) -> None:
        done = self.step - self.recipe.since
        decay = min(self.recipe.ema, (1 + done) / (10 + done))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)

    def _log(self, entry: dict[str, Any]) -> None:
        if not self.team.leads:
            return
        entry = {"step": self.step, "lr": self._learning_rate(), **entry}
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in entry.items()}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(rounded) + "\n")
        logger.info(" ".join(f"{k}={v}" for k, v in rounded.items()))


def begin(run: Run[Any], data: Path, weights: str) -> None:
    """Note in a run's history that it begins, or goes on, by this command."""
    run.history.append(beginning(sys.argv[1:], data, "train", weights, run.step))


def read_options(
    parser: argparse.ArgumentParser, schedule: Schedule
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add what every run takes and all numbers of a schedule to a parser, and read them.

    Returns
    -------
    options, numbers : dict
        All that was given, and what the schedule is made of.
    """
    parser.add_argument("--data", type=Path, required=True, help="folder with train.txt")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--threads", type=int, default=2)
    for name, value in asdict(schedule).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parser.add_argument(option, default=value, action=argparse.BooleanOptionalAction)
        else:
            parser.add_argument(option, default=value, type=type(value))
    options = vars(parser.parse_args())
    numbers = {name: options[name] for name in asdict(schedule)}
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options["threads"])
    torch.manual_seed(options["seed"])
    return options, numbers
