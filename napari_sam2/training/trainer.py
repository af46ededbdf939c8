"""Train a SAM 2 from scratch, resumably: `python -m napari_sam2.training.trainer --help`.

The recipe follows SAM: a click or a box, then clicks where the mask is wrong, the earlier logits
fed back. The first part runs on windows of the model's canvas, a quarter of its area: the position
encodings are cut to the window's place, so the geometry is that of the full canvas from the start.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.sam2 import memory_keys, refiner_keys
from napari_sam2.session.preprocess import MEAN, STD
from napari_sam2.training.data import Picture, Windows, draw_pictures, load_pictures, windows
from napari_sam2.training.losses import DenseHead
from napari_sam2.training.prompted import WindowDecoder, prompted_loss
from napari_sam2.training.run import Run, Schedule, begin, read_options
from napari_sam2.training.start import prepare
from napari_sam2.training.window import Window, random_place
from napari_sam2.weights.loading import load_weights

_MEAN, _STD = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
_FIRST_BACKGROUND = 0.05
_FEATURE_SCALE = 0.3  # of the neck's levels when the decoder joins; the positions' is 0.7


@dataclass(frozen=True)
class Recipe(Schedule):
    """The numbers of a run.

    Attributes
    ----------
    batch, full_batch : int
        Windows a step, and whole canvases.
    fresh : int
        New windows a step, see `data.windows`.
    objects, full_objects : int
        Prompts a step, on windows and on whole canvases.
    dense : float
        Weight of the dense helper loss at the start; it falls to a tenth.
    dense_only : int
        First steps, on the dense helper loss alone.
    settle : int
        Steps over which the background's weight in the mask loss rises to 1.
    drawn, new_scenes : int, float
        Drawn scenes at the start, and how many of them are replaced by new ones, per step.
    """

    batch: int = 4
    full_batch: int = 2
    fresh: int = 2
    objects: int = 24
    full_objects: int = 16
    dense: float = 4.0
    dense_only: int = 800
    settle: int = 1200
    drawn: int = 250
    new_scenes: float = 0.0


class Trainer(Run[Windows]):
    """Trains the image path; the memory and the refiner stay as they are.

    Parameters
    ----------
    model : Sam2
    recipe : Recipe
    folder : Path
        See `Run`.
    """

    recipe: Recipe

    def __init__(self, model: Sam2, recipe: Recipe, folder: Path) -> None:
        self.dense_head = DenseHead(model.config.d_model)
        names = [name for name, _ in model.named_parameters()]
        frozen = memory_keys(names) | refiner_keys(names)
        super().__init__(model, frozen, self.dense_head, recipe, folder)
        model.has_memory = False  # what there was is of another image path

    def batches(self, pictures: Sequence[Picture], side: int) -> Iterator[Windows]:
        """Give batches of windows, or of whole canvases."""
        recipe, canvas = self.recipe, self.model.config.image_size
        return windows(
            pictures,
            np.random.default_rng([recipe.seed, self.step, self.team.place]),
            batch=recipe.full_batch if side == canvas else recipe.batch,
            side=side,
            canvas=canvas,
            fresh=recipe.full_batch if side == canvas else recipe.fresh,
            pool=60 if side == canvas else 240,
            new_scenes=recipe.new_scenes,
        )

    def loss(self, batch: Windows) -> tuple[Tensor, dict[str, float]]:
        """Score the encoder by the dense helper, and the whole by prompts."""
        side, recipe = batch.pixels.shape[-1], self.recipe
        offset = random_place(self.model.config.image_size, side)
        pixels = (batch.pixels - _MEAN) / _STD
        if self.step == recipe.dense_only:
            self._calibrate(pixels)
            self.team.follow(self.modules.state_dict().values())
        levels = Window(self.model, offset, side).neck_levels(pixels)
        dense = self.dense_head(levels, batch.labels)
        fade = 0.1 + 0.9 * max(0.0, 1 - 2 * self.progress)
        loss = recipe.dense * fade * dense
        scores = {"dense": dense.item()}
        if self.step >= recipe.dense_only:
            decode = WindowDecoder(self.model, self.model.as_features(levels), offset, side)
            is_full = side == self.model.config.image_size
            count = recipe.full_objects if is_full else recipe.objects
            decoding, ious = prompted_loss(
                decode, batch.labels, count, self._background(), batch.others
            )
            loss = loss + decoding
            scores = {**scores, **ious, "loss": decoding.item()}
        return loss, scores

    def _background(self) -> float:
        done = min(1.0, (self.step - self.recipe.dense_only) / self.recipe.settle)
        return float(_FIRST_BACKGROUND ** (1 - done))

    @torch.no_grad()
    def _calibrate(self, pixels: Tensor) -> None:
        """Bring the neck's levels to a scale that the decoder can start from."""
        levels = Window(self.model, (0, 0), pixels.shape[-1]).neck_levels(pixels)
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


def main() -> None:
    """Train `micro` from scratch or from weights, or go on with a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="micro")
    parser.add_argument(
        "--weights",
        help="start from these; give --dense-only -1 --settle 1 too",
    )
    options, numbers = read_options(parser, Recipe())
    recipe, weights = Recipe(**numbers), options["weights"]
    model = load_weights(weights) if weights else prepare(build_sam2(options["config"]))
    trainer = Trainer(model, recipe, options["run"])
    begin(trainer, options["data"], model.weights_hash)
    pictures = load_pictures(options["data"], "train") + draw_pictures(recipe.drawn, recipe.seed)
    trainer.run(pictures)


if __name__ == "__main__":
    main()
