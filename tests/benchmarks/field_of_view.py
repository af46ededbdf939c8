"""How much better masks are where the object is looked at closer.

    python -m tests.benchmarks.field_of_view FOLDER --split val --small 32 48 64 --room 3 4 6

Every picture's objects are clicked on in their middle, and boxed tightly; the mean IoU of the mask
that a user would see first stands beside how many regions were looked at and embedded. An object
is counted by its size in the model's input when the whole picture fills it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from napari_sam2.session import regions
from napari_sam2.session.boxes import longer_side
from napari_sam2.session.device import load_model
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import PackedMask
from napari_sam2.training.data import Picture, load_pictures

SIZES = (0, 24, 48, 96, np.inf)  # model pixels, of the object's longer side


class Score(NamedTuple):
    """How one object fared in one field of view."""

    way: str
    size: float
    click: float
    box: float
    embedded: int


def main() -> None:
    """Score the fields of view and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="micro")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--small", nargs="+", type=int, default=[regions.SMALL])
    parser.add_argument("--room", nargs="+", type=int, default=[regions._ROOM])
    parser.add_argument("--objects", type=int, default=3, help="random ones of each picture")
    parser.add_argument("--pictures", type=int, default=50, help="random ones")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    pictures = load_pictures(options.folder, options.split)
    rng.shuffle(pictures)
    jobs = [
        (picture, label)
        for picture in pictures[: options.pictures]
        for label in some_objects(picture, options.objects, rng)
    ]
    model = load_model(options.model, options.device)
    scores = list(score("whole", jobs, ImageSegmenter(model)))
    for regions.SMALL, regions._ROOM in product(options.small, options.room):
        way = f"auto ({regions.SMALL}, {regions._ROOM})"
        scores += score(way, jobs, ImageSegmenter(model))
    sys.stdout.write(table(scores))


def some_objects(picture: Picture, count: int, rng: np.random.Generator) -> list[int]:
    """Give labels of the picture."""
    labels = np.unique(picture.labels[picture.labels > 0])
    return [int(label) for label in rng.choice(labels, min(count, len(labels)), replace=False)]


def score(way: str, jobs: list[tuple[Picture, int]], segmenter: ImageSegmenter) -> Iterator[Score]:
    """Ask for every object by a click and by a box."""
    image_size, field = segmenter.model.config.image_size, way.split()[0]
    for picture, label in jobs:
        truth = PackedMask.of(picture.labels == label)
        before = len(segmenter._cache)
        ious = [
            iou(segmenter.segment(picture.image, region=field, **prompt).packed_mask, truth)
            for prompt in prompts_for(truth)
        ]
        size = longer_side(truth.box) * image_size / max(truth.shape)
        yield Score(way, size, *ious, len(segmenter._cache) - before)
        segmenter._cache.clear()


def prompts_for(truth: PackedMask) -> Iterator[dict[str, Any]]:
    """Give a click in the middle of an object, and a box around it."""
    depth = ndimage.distance_transform_edt(np.pad(truth.crop(), 1))
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    yield {"points": [(y - 1 + truth.box[0], x - 1 + truth.box[1])]}
    yield {"box": truth.box}


def iou(a: PackedMask, b: PackedMask) -> float:
    """Give the intersection over union."""
    return (a & b).area / (a | b).area


def table(scores: list[Score]) -> str:
    """Lay the means out: all objects, then by size."""
    kinds = [(0.0, np.inf), *pairwise(SIZES)]
    lines = [
        "| field of view | objects of model pixels | number | click | box | embedded |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for low, high in kinds:
        for way in dict.fromkeys(score.way for score in scores):
            some = [s for s in scores if s.way == way and low <= s.size < high]
            if some:
                means = np.mean([(s.click, s.box, s.embedded) for s in some], axis=0)
                name = "all" if (low, high) == kinds[0] else f"{low:g} to {high:g}"
                figures = f"{means[0]:.3f} | {means[1]:.3f} | {means[2]:.1f}"
                lines.append(f"| {way} | {name} | {len(some)} | {figures} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
