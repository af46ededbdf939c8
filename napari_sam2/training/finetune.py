"""Fine-tune a model on a user's labelled pictures: gently, resumably, checked on what is held out.

In "head" mode what the encoder sees of a pool of windows is computed once, so that a step costs the
decoder and the refiner only. Nothing is learnt of whether there is an object at all: what is not
labelled may well be one.
"""

from __future__ import annotations

import copy
import math
import pickle
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.model import Sam2
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures
from napari_sam2.model.sam2 import memory_keys, refiner_keys
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.device import memory_errors
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.training.data import Picture
from napari_sam2.training.holdout import hold_out, mean_of, score
from napari_sam2.training.lessons import digest, draw_lesson
from napari_sam2.training.prompted import WindowDecoder, prompted_loss
from napari_sam2.training.refined import refiner_loss
from napari_sam2.training.tuning import Figures, Outcome, Progress, Recipe
from napari_sam2.weights.loading import save_weights

_HEAD = ("sam_prompt_encoder.", "sam_mask_decoder.", "refiner.")
_FEATURES = ("sam_mask_decoder.conv_s0.", "sam_mask_decoder.conv_s1.")  # are part of what is kept
_POOL = 48  # windows whose features are kept: 180 MB with micro, 800 MB with tiny
_WINDOWS = 2  # a step
_OBJECTS = 12  # prompted, a step
_REFINED = 6  # objects whose masks are refined, a step
_RATE = {"head": 1e-4, "full": 5e-5}  # micro was trained from scratch with 1e-3
_REFINER_RATE = 5e-4
_WARM_UP = 0.1  # share of the steps
_CLIP = 1.0
_AVERAGE = 0.97  # of the weights: about the last thirty steps
_CHECKS = 5  # on what is held out, beside the one before
_KEEP_SECONDS = 60.0


class FineTuner:
    """One run of fine-tuning: the model, its averaged weights, and the best that they have been.

    Parameters
    ----------
    model : Sam2
        Is changed in place; wherever it is, it is trained there. Its memory stays as it is.
    pictures : sequence of Picture
        With names that differ.
    recipe : Recipe

    Attributes
    ----------
    step : int
        How many were made.
    losses : list of float
        One per step.
    checks : dict of int to Figures
        By the step after which they were made; 0 is before training.

    Raises
    ------
    PromptError
        If there are too few objects.
    """

    def __init__(self, model: Sam2, pictures: Sequence[Picture], recipe: Recipe) -> None:
        self.model, self.recipe = model, recipe
        self.split = hold_out(pictures, recipe.seed)
        self.step = 0
        self.losses: list[float] = []
        self.checks: dict[int, Figures] = {}
        self._data = digest(pictures)
        self._average = copy.deepcopy(model)
        self._trained = _choose_trained(model, recipe)
        self._averaged = dict(self._average.named_parameters())
        self._best = self._copy_of_average()
        refiner = refiner_keys(self._trained)
        rates = (self._trained.keys() - refiner, _RATE[recipe.mode]), (refiner, _REFINER_RATE)
        groups = [
            {"params": [self._trained[name] for name in sorted(names)], "rate": rate}
            for names, rate in rates
        ]
        self._optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
        self._pool: list[tuple[ImageFeatures, Tensor]] = []
        self._cache = FeatureCache()  # of what is held out

    # Training -------------------------------------------------------------------------------------

    def run(self) -> Iterator[Progress]:
        """Train to the last step, from wherever it is; whoever stops listening stops it.

        Yields
        ------
        Progress
            After each window that was looked at, each object that was checked, and each step.

        Raises
        ------
        Sam2Error
            If the device has too little memory.
        """
        with memory_errors(self.model.device):
            if self.recipe.mode == "head" and self.step < self.recipe.steps:
                yield from self._look()
            if self.step not in self.checks and self._is_to_be_checked():
                yield from self._check()
            while self.step < self.recipe.steps:
                self.losses.append(self._learn())
                self.step += 1
                yield Progress("training", self.step, self.recipe.steps, self.losses[-1])
                if self._is_to_be_checked():
                    yield from self._check()

    @property
    def outcome(self) -> Outcome:
        """What has come of it; there was a check at least before training."""
        best = self._best_step()
        return Outcome(
            before=self.checks[0],
            after=self.checks[best],
            best_step=best,
            objects=self.split.objects,
            held_out=len(self.split.held_out),
        )

    def _look(self) -> Iterator[Progress]:
        """Compute the features of the pool's windows, the same ones each time."""
        self._pool.clear()
        for index in range(_POOL):
            rng = np.random.default_rng([self.recipe.seed, index])
            pixels, labels = self._draw(rng)
            with torch.no_grad():
                features = self.model.embed(pixels[None].to(self.model.device))
            self._pool.append((features, labels))
            yield Progress("looking", index + 1, _POOL)

    def _check(self) -> Iterator[Progress]:
        """Score the averaged weights on what is held out, and keep them if they are the best."""
        if self.recipe.mode == "full":
            self._cache = FeatureCache()  # the encoder has changed
        segmenter = ImageSegmenter(self._average, self._cache)
        targets, scores = self.split.held_out, list[Figures]()
        for target in targets:
            scores.append(score(segmenter, target))
            if len(scores) < len(targets):
                yield Progress("checking", len(scores), len(targets))
        self.checks[self.step] = figures = mean_of(scores)
        if self._best_step() == self.step:
            self._best = self._copy_of_average()
        yield Progress("checking", len(targets), len(targets), figures=figures)

    def _learn(self) -> float:
        """Make one step, on windows and prompts that depend on its number only."""
        for group in self._optimizer.param_groups:
            group["lr"] = group["rate"] * self._pace()
        rng = np.random.default_rng([self.recipe.seed, _POOL + self.step])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            features, labels = self._batch(rng)
            decode = cast(WindowDecoder, _CanvasDecoder(self.model, features))
            loss, _ = prompted_loss(decode, labels, _OBJECTS, background=1.0)
            if self.model.refiner is not None and features.picture is not None:
                pixels = features.picture.float().cpu()
                more, _ = refiner_loss(decode, self.model.refiner, pixels, labels, None, _REFINED)
                loss = loss + more
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self._trained.values(), _CLIP)
        if torch.isfinite(norm):
            self._optimizer.step()
        self._update_average()
        return loss.item()

    def _batch(self, rng: np.random.Generator) -> tuple[ImageFeatures, Tensor]:
        """Give the features of some windows, and their labels (B, S, S), on the CPU."""
        if self.recipe.mode == "head":
            chosen = rng.choice(len(self._pool), _WINDOWS, replace=False)
            kept, labels = zip(*(self._pool[index] for index in chosen), strict=True)
            return _stacked(kept), torch.stack(labels)
        drawn = [self._draw(rng) for _ in range(_WINDOWS)]
        pixels = torch.stack([pixels for pixels, _ in drawn]).to(self.model.device)
        return self.model.embed(pixels), torch.stack([labels for _, labels in drawn])

    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        return draw_lesson(self.split.learnt, rng, self.model.config.image_size)

    def _pace(self) -> float:
        """Give the share of the learning rate: up from 0 at first, down to 0 at the end."""
        steps = self.recipe.steps
        warm = min(1.0, (self.step + 1) / max(1, round(_WARM_UP * steps)))
        return warm * (1 + math.cos(math.pi * self.step / steps)) / 2

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(_AVERAGE, (1 + self.step) / (10 + self.step))
        for key, value in self._trained.items():
            self._averaged[key].lerp_(value, 1 - decay)

    def _is_to_be_checked(self) -> bool:
        every = max(1, self.recipe.steps // _CHECKS)
        return self.step % every == 0 or self.step == self.recipe.steps

    def _best_step(self) -> int:
        return max(self.checks, key=lambda step: (self.checks[step].mean, -step))

    def _copy_of_average(self) -> dict[str, Tensor]:
        return {key: self._averaged[key].detach().clone() for key in self._trained}

    # Keeping --------------------------------------------------------------------------------------

    def keep(self, path: Path) -> None:
        """Write the state, whole or not at all, so that `resume` can go on from it.

        Raises
        ------
        Sam2Error
            If it cannot be written.
        """
        state = {
            "about": self._about(),
            "step": self.step,
            "losses": self.losses,
            "checks": {step: list(figures) for step, figures in self.checks.items()},
            "trained": {key: value.detach() for key, value in self._trained.items()},
            "average": self._copy_of_average(),
            "best": self._best,
            "optimizer": self._optimizer.state_dict(),
        }
        partial = path.with_name(f"{path.name}.part")
        try:
            torch.save(state, partial)
            partial.replace(path)
        except (OSError, RuntimeError) as error:  # torch has errors of its own
            raise Sam2Error(
                f"The training cannot be kept in {path}: {error}. Make room there."
            ) from error

    def resume(self, path: Path) -> None:
        """Go on from a state that was kept.

        Raises
        ------
        PromptError
            If there is none, or it is of another model, other pictures or another recipe.
        """
        state = _read_state(path)
        about = self._about()
        differing = [name for name in about if about[name] != state["about"].get(name)]
        if differing:
            raise PromptError(
                f"The training kept in {path} has another {' and '.join(differing)}. Go on with "
                "what it was begun with, or begin anew."
            )
        self.step, self.losses = state["step"], list(state["losses"])
        self.checks = {step: Figures(*figures) for step, figures in state["checks"].items()}
        with torch.no_grad():
            for key, value in self._trained.items():
                value.copy_(state["trained"][key])
                self._averaged[key].copy_(state["average"][key])
        self._best = {key: value.to(self.model.device) for key, value in state["best"].items()}
        self._optimizer.load_state_dict(state["optimizer"])

    def export(self, path: Path) -> None:
        """Write the best weights as a checkpoint that tells where it comes from."""
        with torch.no_grad():
            for key, value in self._best.items():
                self._averaged[key].copy_(value)
        outcome = self.outcome
        told = {
            "base": {"name": self.model.name, "weights_hash": self.model.weights_hash},
            "data_hash": self._data,
            **asdict(self.recipe),
            "best_step": outcome.best_step,
            "objects": outcome.objects,
            "held_out": outcome.held_out,
            "iou_before": outcome.before._asdict(),
            "iou_after": outcome.after._asdict(),
        }
        save_weights(self._average, path, {"fine_tuning": told})

    def _about(self) -> dict[str, Any]:
        model = {"model": self.model.weights_hash, "data": self._data}
        return {**model, **asdict(self.recipe)}


def train(tuner: FineTuner, state: Path, tell: Callable[[Progress], None]) -> None:
    """Train to the end, keeping the state on the way and whatever ends it.

    Parameters
    ----------
    tuner : FineTuner
    state : Path
        Where it is kept.
    tell : callable
        Told how far it is; what it raises stops the training.
    """
    kept = time.monotonic()
    try:
        for progress in tuner.run():
            tell(progress)
            if time.monotonic() - kept > _KEEP_SECONDS:
                tuner.keep(state)
                kept = time.monotonic()
    finally:
        tuner.keep(state)


class _CanvasDecoder:
    """Decodes on whole canvases, wherever the model is; prompts and answers are on the CPU."""

    def __init__(self, model: Sam2, features: ImageFeatures) -> None:
        self._model, self._features = model, features

    def __call__(
        self, images: Tensor, coords_xy: Tensor, labels: Tensor, mask_logits: Tensor | None = None
    ) -> DecoderOutput:
        """Decode N prompts on the windows at `images` (N,); see `WindowDecoder`."""
        device = self._model.device
        output = self._model.decode_all(
            self._features.take(images.to(device)),
            coords_xy.to(device),
            labels.to(device),
            None if mask_logits is None else mask_logits.to(device),
        )
        here = DecoderOutput(*(part.float().cpu() for part in output))
        return here._replace(object_score=here.object_score.detach())


def _choose_trained(model: Sam2, recipe: Recipe) -> dict[str, nn.Parameter]:
    """Give what is trained by name, and let nothing else ask for a gradient."""
    names = [name for name, _ in model.named_parameters()]
    memory = memory_keys(names)
    trained = {}
    for name, parameter in model.named_parameters():
        in_head = name.startswith(_HEAD) and not name.startswith(_FEATURES)
        chosen = in_head or (recipe.mode == "full" and name not in memory)
        parameter.requires_grad_(chosen)
        if chosen:
            trained[name] = parameter
    return trained


def _stacked(features: Sequence[ImageFeatures]) -> ImageFeatures:
    fine, middle = (torch.cat([f.high_res_features[i] for f in features]) for i in (0, 1))
    pictures = [f.picture for f in features if f.picture is not None]
    picture = torch.cat(pictures) if pictures else None
    return ImageFeatures(torch.cat([f.image_embed for f in features]), (fine, middle), picture)


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise PromptError(f"There is no training to go on with at {path}. Begin anew.") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise PromptError(
            f"The training kept in {path} cannot be read ({error}). Remove it, and begin anew."
        ) from error
    if not isinstance(state, dict) or "about" not in state:
        raise PromptError(f"{path} is no kept training. Remove it, and begin anew.")
    return state
