"""A model of the user's own: trained on what was kept in napari, saved where models are listed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_sam2.session.device import load_model
from napari_sam2.session.pixels import as_plane
from napari_sam2.session.view import compose
from napari_sam2.training.data import Picture
from napari_sam2.training.finetune import FineTuner, train
from napari_sam2.training.tuning import Job, LabelledPlane, Outcome, Progress
from napari_sam2.weights.registry import new_own_path, state_path

_KIND = "own"


def train_own(job: Job, tell: Callable[[Progress], None]) -> Outcome:
    """Train, or go on with a training of that name that was stopped; save what helps.

    Parameters
    ----------
    job : Job
    tell : callable
        Told how far it is; what it raises stops the training, which is kept.

    Raises
    ------
    WeightsError
        If the name cannot be used, or the model to begin with cannot be had.
    PromptError
        If there are too few objects, or a plane cannot be read.
    Sam2Error
        If the device has too little memory.
    """
    path = new_own_path(job.name)
    pictures = [_as_picture(plane) for plane in job.planes]
    tuner = FineTuner(load_model(job.base, job.device), pictures, job.recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    state = state_path(path)
    if state.exists():
        tuner.resume(state)
    train(tuner, state, tell)
    outcome = tuner.outcome
    if outcome.helped:
        tuner.export(path)
    state.unlink(missing_ok=True)
    return outcome


def _as_picture(plane: LabelledPlane) -> Picture:
    """Read a plane as the model sees it."""
    pixels = [as_plane(array) for array in plane.image.read(plane.region, 1.0)]
    channels = [(part * 255).round().astype(np.uint8) for part in compose(pixels, plane.image.view)]
    image = np.stack(channels if len(channels) == 3 else channels * 3, axis=-1)
    return Picture(plane.name, _KIND, image, plane.labels.astype(np.int32))
