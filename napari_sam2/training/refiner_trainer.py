"""Train the refiner of a model, and nothing else: `python -m napari_sam2.training.refiner_trainer`.

It learns on the masks of the model as it is: first answers, and answers to corrections of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from napari_sam2.model import Sam2
from napari_sam2.model.sam2 import refiner_keys
from napari_sam2.session.preprocess import MEAN, STD
from napari_sam2.training.data import Picture, Windows, draw_pictures, load_pictures, windows
from napari_sam2.training.prompted import WindowDecoder
from napari_sam2.training.refined import refiner_loss
from napari_sam2.training.run import Run, Schedule, begin, read_options
from napari_sam2.training.window import Window, random_place
from napari_sam2.weights.files import read_checkpoint
from napari_sam2.weights.hub import fetch
from napari_sam2.weights.loading import load_weights
from napari_sam2.weights.registry import find_entry

_MEAN, _STD = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
_WIDTHS = (32, 64, 96)
_SHARES = {"fluo": 0.3, "colour": 0.24, "bright": 0.06, "shapes": 0.4}  # of the windows


@dataclass(frozen=True)
class RefinerRecipe(Schedule):
    """The numbers of a run.

    Attributes
    ----------
    batch, full_batch : int
        Windows a step, and whole canvases.
    fresh : int
        New windows a step, see `data.windows`.
    objects : int
        Prompted a step.
    drawn, new_scenes : int, float
        Drawn scenes at the start, and how many of them are replaced by new ones, per step.
    """

    steps: int = 3_000
    full_from: float = 0.7
    lr: float = 2e-3
    batch: int = 6
    full_batch: int = 2
    fresh: int = 3
    objects: int = 24
    drawn: int = 150
    new_scenes: float = 0.3


class RefinerTrainer(Run[Windows]):
    """Trains the refiner; all else stays as it is, bit by bit.

    Parameters
    ----------
    model : Sam2
        With a refiner.
    recipe : RefinerRecipe
    folder : Path
        See `Run`.
    """

    recipe: RefinerRecipe

    def __init__(self, model: Sam2, recipe: RefinerRecipe, folder: Path) -> None:
        names = {name for name, _ in model.named_parameters()}
        super().__init__(model, names - refiner_keys(names), nn.Identity(), recipe, folder)

    def batches(self, pictures: Sequence[Picture], side: int) -> Iterator[Windows]:
        """Give batches of windows, or of whole canvases."""
        recipe, canvas = self.recipe, self.model.config.image_size
        is_full = side == canvas
        return windows(
            pictures,
            np.random.default_rng([recipe.seed, self.step, self.team.place]),
            batch=recipe.full_batch if is_full else recipe.batch,
            side=side,
            canvas=canvas,
            fresh=recipe.full_batch if is_full else recipe.fresh,
            pool=60 if is_full else 240,
            new_scenes=recipe.new_scenes,
            shares=_SHARES,
        )

    def loss(self, batch: Windows) -> tuple[Tensor, dict[str, float]]:
        """Score the refiner on what the model answers."""
        side = batch.pixels.shape[-1]
        offset = random_place(self.model.config.image_size, side)
        pixels = (batch.pixels - _MEAN) / _STD
        with torch.no_grad():
            levels = Window(self.model, offset, side).neck_levels(pixels)
            decode = WindowDecoder(self.model, self.model.as_features(levels), offset, side)
        assert self.model.refiner is not None
        return refiner_loss(
            decode, self.model.refiner, pixels, batch.labels, batch.others, self.recipe.objects
        )


def main() -> None:
    """Train the refiner of a model, or go on with a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="micro", help="whose refiner is trained")
    options, numbers = read_options(parser, RefinerRecipe())
    recipe = RefinerRecipe(**numbers)
    model = load_weights(options["weights"])
    if model.refiner is None:
        model.add_refiner(_WIDTHS)
    trainer = RefinerTrainer(model, recipe, options["run"])
    if trainer.step == 0:
        told = read_checkpoint(fetch(find_entry(options["weights"]))).metadata
        trainer.history += told.get("history", [])  # of all the rest
    trainer.team.follow(model.state_dict().values())
    begin(trainer, options["data"], model.weights_hash)
    pictures = load_pictures(options["data"], "train") + draw_pictures(recipe.drawn, recipe.seed)
    trainer.run(pictures)


if __name__ == "__main__":
    main()
