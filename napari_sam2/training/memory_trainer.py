"""Train the memory of a model that has none: `python -m napari_sam2.training.memory_trainer`.

The image path stays as it is, bit by bit: what a click gives today it gives tomorrow.
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
from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.session.preprocess import MEAN, STD
from napari_sam2.training.clips import Clip, clips
from napari_sam2.training.data import Picture, draw_pictures, load_pictures
from napari_sam2.training.remembered import clip_loss
from napari_sam2.training.run import Run, Schedule, begin, read_options
from napari_sam2.training.start import prepare_memory
from napari_sam2.training.window import Window, random_place
from napari_sam2.weights.files import read_checkpoint
from napari_sam2.weights.hub import fetch
from napari_sam2.weights.loading import load_weights
from napari_sam2.weights.registry import find_entry

_MEAN, _STD = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))


@dataclass(frozen=True)
class MemoryRecipe(Schedule):
    """The numbers of a run.

    Attributes
    ----------
    clips, full_clips : int
        Clips a step, of windows and of whole canvases.
    objects, full_objects : int
        Followed in each, at most.
    frames, full_frames : int
        Length of the clips; a part of each, of three frames at least, is taken at a time.
    fresh : float
        New clips a step.
    pool, full_pool : int
        Embedded clips kept.
    drawn : int
        Drawn scenes.
    """

    steps: int = 3_000
    full_from: float = 0.8
    clips: int = 2
    full_clips: int = 1
    objects: int = 4
    full_objects: int = 3
    frames: int = 8
    full_frames: int = 6
    fresh: float = 0.5
    pool: int = 80
    full_pool: int = 24
    drawn: int = 150


@dataclass(frozen=True, eq=False)
class EmbeddedClip:
    """A clip as the memory sees it.

    Attributes
    ----------
    place : (int, int)
        Of its window on the canvas.
    features : ImageFeatures
        Of all frames, batch T.
    labels : Tensor, shape (T, S, S), int64
    """

    place: tuple[int, int]
    features: ImageFeatures
    labels: Tensor

    def part(self, frames: Sequence[int]) -> EmbeddedClip:
        """Give some of the frames, in this order."""
        index = torch.tensor(frames)
        return EmbeddedClip(self.place, self.features.take(index), self.labels[index])


class MemoryTrainer(Run[list[EmbeddedClip]]):
    """Trains what serves the memory, and nothing else.

    Parameters
    ----------
    model : Sam2
    recipe : MemoryRecipe
    folder : Path
        See `Run`.
    """

    recipe: MemoryRecipe

    def __init__(self, model: Sam2, recipe: MemoryRecipe, folder: Path) -> None:
        names = [name for name, _ in model.named_parameters()]
        super().__init__(model, set(names) - memory_keys(names), nn.Identity(), recipe, folder)

    def batches(self, pictures: Sequence[Picture], side: int) -> Iterator[list[EmbeddedClip]]:
        """Give clips of windows, or of whole canvases, from a pool that is renewed bit by bit."""
        recipe, canvas = self.recipe, self.model.config.image_size
        is_full = side == canvas
        rng = np.random.default_rng([recipe.seed, self.step, self.team.place])
        length = recipe.full_frames if is_full else recipe.frames
        count = recipe.full_clips if is_full else recipe.clips
        most = recipe.full_pool if is_full else recipe.pool
        made = clips(pictures, rng, side=side, canvas=canvas, frames=length)
        pool = [self.embed(next(made)) for _ in range(count + 1)]
        while True:
            if len(pool) < most:
                pool.append(self.embed(next(made)))
            elif rng.random() < recipe.fresh:
                pool[rng.integers(most)] = self.embed(next(made))
            yield [_some(pool[i], rng) for i in rng.choice(len(pool), count, replace=False)]

    @torch.no_grad()
    def embed(self, clip: Clip) -> EmbeddedClip:
        """Embed a clip, somewhere on the canvas."""
        side = clip.pixels.shape[-1]
        place = random_place(self.model.config.image_size, side)
        window = Window(self.model, place, side)
        levels = [window.neck_levels((frame[None] - _MEAN) / _STD) for frame in clip.pixels]
        fine, middle, coarse = (torch.cat(level) for level in zip(*levels, strict=True))
        features = self.model.as_features((fine, middle, coarse))
        return EmbeddedClip(place, features, clip.labels)

    def loss(self, batch: list[EmbeddedClip]) -> tuple[Tensor, dict[str, float]]:
        """Score the memory on some clips."""
        side = batch[0].labels.shape[-1]
        is_full = side == self.model.config.image_size
        count = self.recipe.full_objects if is_full else self.recipe.objects
        losses, told = [], {}
        for clip in batch:
            window = Window(self.model, clip.place, side)
            frames = [clip.features.take(torch.tensor([at])) for at in range(len(clip.labels))]
            loss, scores = clip_loss(window, frames, clip.labels, count)
            losses.append(loss)
            told.update(scores)
        total = torch.stack(losses).mean()
        return total, {**told, "loss": total.item()}


def _some(clip: EmbeddedClip, rng: np.random.Generator) -> EmbeddedClip:
    """Take three frames or more in a row, forth or back."""
    length = int(rng.integers(3, len(clip.labels) + 1))
    first = int(rng.integers(len(clip.labels) - length + 1))
    frames = range(first, first + length)
    return clip.part(frames if rng.random() < 0.5 else frames[::-1])


def main() -> None:
    """Train the memory of a model, or go on with a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="micro", help="whose memory is trained")
    options, numbers = read_options(parser, MemoryRecipe())
    recipe = MemoryRecipe(**numbers)
    model = load_weights(options["weights"])
    trainer = MemoryTrainer(model, recipe, options["run"])
    pictures = load_pictures(options["data"], "train") + draw_pictures(recipe.drawn, recipe.seed)
    if trainer.step == 0:
        told = read_checkpoint(fetch(find_entry(options["weights"]))).metadata
        trainer.history += told.get("history", [])  # of the image path
        if not model.has_memory:
            first = next(trainer.batches(pictures, recipe.side))
            prepare_memory(model, first[0].features.image_embed)
            trainer.team.follow(model.state_dict().values())
    model.has_memory = True
    begin(trainer, options["data"], model.weights_hash)
    trainer.run(pictures)


if __name__ == "__main__":
    main()
