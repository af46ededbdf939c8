"""What fine-tuning is asked, and what it tells: values only, and no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import Box
from napari_sam2.session.plane_image import PlaneImage

Mode = Literal["head", "full"]
MODES: tuple[Mode, ...] = get_args(Mode)
DEFAULT_STEPS = 200
FEWEST_OBJECTS = 5


@dataclass(frozen=True)
class Recipe:
    """How a model is fine-tuned.

    Attributes
    ----------
    mode : str
        "head" trains what reads prompts and draws masks, and needs no graphics card; "full" trains
        what looks at pictures too.
    steps : int
        In all.
    seed : int
        Of everything that is drawn by lot.
    """

    mode: Mode = "head"
    steps: int = DEFAULT_STEPS
    seed: int = 0


class Figures(NamedTuple):
    """Mean IoU on the objects that were held out, of the masks that a user would see first."""

    click: float
    box: float

    @property
    def mean(self) -> float:
        """What is to rise."""
        return (self.click + self.box) / 2


@dataclass(frozen=True)
class Progress:
    """How far fine-tuning is.

    Attributes
    ----------
    stage : str
        "looking" at windows of the pictures, "checking" on what is held out, or "training".
    done, total : int
        Of this stage; of "training" the steps.
    loss : float or None
        Of the step that was just made.
    figures : Figures or None
        Of the check that was just made.
    """

    stage: Literal["looking", "checking", "training"]
    done: int
    total: int
    loss: float | None = None
    figures: Figures | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of fine-tuning.

    Attributes
    ----------
    before, after : Figures
        Of the model that it began with, and of the best one since.
    best_step : int
        When that was: 0 if training never helped.
    objects, held_out : int
        How many objects were learnt from, and how many were checked on.
    """

    before: Figures
    after: Figures
    best_step: int
    objects: int
    held_out: int

    @property
    def helped(self) -> bool:
        """Whether the result is better than what it began with."""
        return self.best_step > 0


@dataclass(frozen=True, eq=False)
class LabelledPlane:
    """One plane, or a part of it, with its objects, of which the pixels are read later.

    Attributes
    ----------
    name : str
        Unlike that of any other plane.
    image : PlaneImage
    region : (y0, x0, y1, x1)
        Which part of it.
    labels : integer, shape (H, W)
        Of that part; 0 where nothing is known, one integer per object.
    """

    name: str
    image: PlaneImage
    region: Box
    labels: NDArray[np.integer]


def count_objects(labels: NDArray[np.integer]) -> int:
    """Count the objects of a plane."""
    return len(np.unique(labels[labels > 0]))


@dataclass(frozen=True, eq=False)
class Job:
    """Training on what was kept in napari.

    Attributes
    ----------
    planes : tuple of LabelledPlane
    base, device : str
        As in `Request`.
    name : str
        Of the new model.
    recipe : Recipe
    """

    planes: tuple[LabelledPlane, ...]
    base: str
    device: str
    name: str
    recipe: Recipe
