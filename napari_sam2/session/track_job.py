"""A propagation as the worker gets it, and what it tells: values, numpy only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.tracks import Method, PropagationOptions, TrackedMask, TrackedObject


@dataclass(frozen=True, eq=False)
class TrackJob:
    """Follow these objects through these frames.

    Attributes
    ----------
    model, device : str
        As in `Request`.
    frames : tuple of PlaneImage
        Along the axis; each is read when it is its turn.
    objects : tuple of TrackedObject
        Their regions are chosen by the worker.
    options : PropagationOptions
    whole : bool
        Look at whole planes; by default at a part with room around the object.
    """

    model: str
    device: str
    frames: tuple[PlaneImage, ...]
    objects: tuple[TrackedObject, ...]
    options: PropagationOptions
    whole: bool = False


@dataclass(frozen=True)
class TrackStarted:
    """How objects are followed, now that the model is known.

    Attributes
    ----------
    method : "memory" or "carry"
    model, weights_hash : str
        Of the model.
    has_memory : bool
        Whether it has a memory that was trained.
    """

    method: Method
    model: str
    weights_hash: str
    has_memory: bool


Told = TrackStarted | TrackedMask
Tell = Callable[[Told], None]
