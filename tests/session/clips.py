"""Clips, and what follows objects through them, for tests of propagation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from napari_sam2.model import Sam2
from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.followers import Frame, Look
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.propagation import propagate
from napari_sam2.session.tracks import (
    NEVER_STOP,
    PropagationOptions,
    TrackedMask,
    TrackedObject,
)

SHAPE = (32, 48)
CLICK = Prompts(points=((10.0, 20.0),), polarity=(1,))
EVERYWHERE = PropagationOptions(stop=NEVER_STOP)


def square(side: int = 10, y: int = 8) -> PackedMask:
    mask = np.zeros(SHAPE, bool)
    mask[y : y + side, 16 : 16 + side] = True
    return PackedMask.of(mask)


class Clip:
    """Frames that count how often each is read."""

    def __init__(self, count: int) -> None:
        noise = np.random.default_rng(0)
        self.stack = noise.integers(0, 255, (count, *SHAPE), np.uint8)
        self.reads: Counter[int] = Counter()
        self.frames = [PlaneImage(("clip", at), SHAPE, self._reader(at)) for at in range(count)]

    def _reader(self, at: int) -> Callable[[Box, float], tuple[np.ndarray, ...]]:
        def read(region: Box, step: float) -> tuple[np.ndarray, ...]:
            self.reads[at] += 1
            y0, x0, y1, x1 = region
            return (self.stack[at, y0:y1, x0:x1],)

        return read


class ScriptedFollower:
    """Finds a square of a side, or what the script says, and writes down what it is told.

    Attributes
    ----------
    script : dict
        By frame and direction, or by frame: a side, or a side and an object score, or those and
        an IoU.
    """

    def __init__(self, script: dict[Any, Any] | None = None) -> None:
        self.script = script or {}
        self.prompted: dict[int, list[int]] = {}
        self.asked: list[tuple[int, int, int]] = []
        self.kept: list[tuple[int, int]] = []
        self.upcoming: list[tuple[int, list[tuple[int, int]]]] = []
        self.conditioning: dict[int, tuple[int, ...]] = {}

    def prompted_frames(self, object_id: int) -> list[int]:
        return self.prompted.get(object_id, [])

    def prompt(self, object_id: int, frame: Frame, prompts: Prompts) -> Look:
        return look(frame.shape, 10)

    def keep_prompted(self, object_id: int, frame: int, look: Look) -> None:
        self.prompted.setdefault(object_id, []).append(frame)

    def release(self, object_id: int, frame: int) -> None:
        self.prompted[object_id].remove(frame)

    def forget_object(self, object_id: int) -> None:
        self.prompted.pop(object_id, None)

    def follow(self, object_id: int, frame: Frame, direction: int) -> Look:
        self.asked.append((object_id, frame.index, direction))
        self.conditioning[frame.index] = tuple(sorted(self.prompted_frames(object_id)))
        said = self.script.get((frame.index, direction), self.script.get(frame.index, 10))
        return look(frame.shape, *(said if isinstance(said, tuple) else (said,)))

    def keep_tracked(self, object_id: int, frame: int, direction: int, look: Look) -> None:
        self.kept.append((object_id, frame))

    def forget(self, object_id: int, upcoming: Any) -> None:
        self.upcoming.append((object_id, list(upcoming)))


def look(shape: tuple[int, int], side: int, object_score: float = 5.0, iou: float = 0.9) -> Look:
    logits = torch.full((1, 1, *shape), -5.0)
    logits[..., 8 : 8 + side, 16 : 16 + side] = 5.0
    return Look(logits, iou, object_score)


class CountingSegmenter(ImageSegmenter):
    """Counts what it computes."""

    def __init__(self, model: Sam2, cache: FeatureCache | None = None) -> None:
        super().__init__(model, cache)
        self.embedded = 0

    def _compute(self, *args: Any) -> ImageFeatures:
        self.embedded += 1
        return super()._compute(*args)


def run(
    segmenter: ImageSegmenter,
    clip: Clip,
    *objects: TrackedObject,
    follower: Any = None,
    **options: Any,
) -> list[TrackedMask]:
    return list(propagate(segmenter, clip.frames, objects, PropagationOptions(**options), follower))


def frames_of(masks: list[TrackedMask]) -> list[int]:
    return [one.frame for one in masks]
