"""How much better masks are where the object is looked at closer.

    python -m tests.benchmarks.field_of_view FOLDER --split val --small 32 48 64 --room 3 4 6

Objects of a picture are asked about one after the other, first all by a click in the middle, then
all by a tight box, with the whole picture on screen. Under "whole" the picture fills the model's
input, as for the official predictor; under "auto" every question begins anew, as in a script;
under "panel" the regions before are used again, as in the viewer. The mean IoU of the mask that a
user would see first stands beside how many embeddings were computed for an object. Objects are
also sorted by their longer side in the model's input when the whole picture fills it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import pairwise, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_sam2.session import regions
from napari_sam2.session.boxes import longer_side
from napari_sam2.session.device import load_model
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import POSITIVE, Prompts, Request
from napari_sam2.session.regions import FieldOfView
from napari_sam2.session.sight import Sight
from napari_sam2.training.data import Picture, load_pictures

SIZES = (0, 24, 48, 96, np.inf)  # model pixels
PROTOCOLS = ("click", "box")


class Score(NamedTuple):
    """How one object fared in one field of view, asked in one way."""

    field: str
    protocol: str
    size: float
    iou: float
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
    parser.add_argument("--fields", nargs="+", default=["auto", "panel"])
    parser.add_argument("--objects", type=int, default=5, help="random ones of each picture")
    parser.add_argument("--pictures", type=int, default=30, help="random ones")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    pictures = load_pictures(options.folder, options.split)
    rng.shuffle(pictures)
    jobs = [
        (picture, some_objects(picture, options.objects, rng))
        for picture in pictures[: options.pictures]
    ]
    segmenter = ImageSegmenter(load_model(options.model, options.device))
    scores = [score for job in jobs for score in score_picture("whole", "whole", *job, segmenter)]
    for small, room, field in product(options.small, options.room, options.fields):
        regions.SMALL, regions._ROOM = small, room
        name = f"{field} ({small}, {room})"
        for job in jobs:
            scores += score_picture(name, field, *job, segmenter)
    sys.stdout.write(table(scores))


def some_objects(picture: Picture, count: int, rng: np.random.Generator) -> list[PackedMask]:
    """Give the true masks of a few objects."""
    labels = np.unique(picture.labels[picture.labels > 0])
    chosen = rng.choice(labels, min(count, len(labels)), replace=False)
    return [PackedMask.of(picture.labels == label) for label in chosen]


def score_picture(
    name: str, field: str, picture: Picture, truths: list[PackedMask], segmenter: ImageSegmenter
) -> Iterator[Score]:
    """Ask for the objects by a click, then by a box."""
    image = PlaneImage.of((picture.name, field), picture.image)
    for protocol in PROTOCOLS:
        segmenter._cache.clear()
        sight = Sight()
        for truth in truths:
            before, prompts = len(segmenter._cache), prompts_for(truth, protocol)
            sight.look(Plane((0, 1)), prompts, image.whole, goes_on=False)
            where = sight.field if field == "panel" else FieldOfView(field)
            prediction = segmenter.predict(Request(image, prompts, field=where))
            sight.take_in(prediction)
            sight.follow(prediction)
            size = longer_side(truth.box) / max(truth.shape) * segmenter.model.config.image_size
            yield Score(
                name,
                protocol,
                size,
                iou(prediction.packed_mask, truth),
                len(segmenter._cache) - before,
            )


def prompts_for(truth: PackedMask, protocol: str) -> Prompts:
    """Give a click in the middle of an object, or a box around it."""
    y0, x0, y1, x1 = truth.box
    if protocol == "box":
        return Prompts(box=(float(y0), float(x0), float(y1), float(x1)))
    depth = ndimage.distance_transform_edt(np.pad(truth.crop(), 1))
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return Prompts(((float(y0 + y - 1), float(x0 + x - 1)),), (POSITIVE,))


def iou(a: PackedMask, b: PackedMask) -> float:
    """Give the intersection over union."""
    return (a & b).area / (a | b).area


def table(scores: list[Score]) -> str:
    """Lay the means out: all objects, then by size."""
    lines = [
        "| objects of model pixels | number | field of view | click | box | embedded for a click |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for low, high in ((0.0, np.inf), *pairwise(SIZES)):
        for field in dict.fromkeys(score.field for score in scores):
            some = [s for s in scores if s.field == field and low <= s.size < high]
            clicks, boxes = ([s for s in some if s.protocol == p] for p in PROTOCOLS)
            if clicks:
                means = (
                    np.mean([s.iou for s in clicks]),
                    np.mean([s.iou for s in boxes]),
                    np.mean([s.embedded for s in clicks]),
                )
                cells = f"{low:g} to {high:g} | {len(clicks)} | {field} | "
                lines.append(f"| {cells}{means[0]:.3f} | {means[1]:.3f} | {means[2]:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
