"""How well objects are followed: `python -m napari_sam2.training.evaluate_tracks --help`.

Each object of a labelled stack is prompted on its middle plane, each of a movie on its first frame,
and followed as the command line does. What is found is compared with the truth in all planes
together: the IoU of the whole object, or of the whole track.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.image_files import read_planes
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.followers import given_mask
from napari_sam2.session.frames import frames_along
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.pixels import value_range
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.propagation import propagate
from napari_sam2.session.track_regions import first_mask, region_around
from napari_sam2.session.tracks import Method, PropagationOptions, TrackedObject
from napari_sam2.session.view import View
from napari_sam2.training.annotator import most_interior
from napari_sam2.weights.loading import load_weights

PROMPTS = ("click", "box", "mask")
METHODS: tuple[Method, ...] = ("memory", "carry")
_SAME_CELL = 0.2  # IoU of a cell and itself on the next frame of a movie, at least

Truth = Mapping[int, NDArray[np.bool_]]
"""The masks of one object, by frame."""


@dataclass(frozen=True)
class TrackScore:
    """One object, prompted in one way, followed by one method.

    Attributes
    ----------
    prompt : str
        One of `PROMPTS`.
    method : "memory" or "carry"
    iou : float
        Of all planes together.
    found, planes : int
        Planes on which the object was found, and on which it is.
    """

    prompt: str
    method: Method
    iou: float
    found: int
    planes: int


def objects_of_stack(labels: NDArray[np.integer[Any]]) -> dict[int, Truth]:
    """Give the objects of a stack (Z, Y, X), one number each throughout."""
    truth: dict[int, Truth] = {}
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is not None:
            frames = range(place[0].start, place[0].stop)
            masks = {at: labels[at] == label for at in frames}
            truth[label] = {at: mask for at, mask in masks.items() if mask.any()}
    return truth


def tracks_of_movie(labels: NDArray[np.integer[Any]]) -> dict[int, Truth]:
    """Link the objects of the first frame of a movie (T, Y, X), whose numbers change, by overlap.

    A track ends where no object of the next frame is mostly the same place.
    """
    truth: dict[int, Truth] = {}
    for label in np.unique(labels[0][labels[0] > 0]):
        mask = labels[0] == label
        masks = {0: mask}
        for at in range(1, len(labels)):
            candidates, counts = np.unique(labels[at][mask & (labels[at] > 0)], return_counts=True)
            if not len(candidates):
                break
            successor = labels[at] == candidates[counts.argmax()]
            if (mask & successor).sum() / (mask | successor).sum() < _SAME_CELL:
                break
            masks[at] = mask = successor
        truth[int(label)] = masks
    return truth


def evaluate_tracks(
    segmenter: ImageSegmenter,
    frames: Sequence[PlaneImage],
    truth: Mapping[int, Truth],
    *,
    from_middle: bool,
    prompts: Sequence[str] = PROMPTS,
    methods: Sequence[Method] = METHODS,
) -> Iterator[TrackScore]:
    """Follow each object from each kind of prompt by each method.

    Parameters
    ----------
    segmenter : ImageSegmenter
    frames : sequence of PlaneImage
    truth : mapping of int to Truth
    from_middle : bool
        Prompt on the middle plane of each object, not on the first.
    prompts, methods : sequence of str
    """
    for label, masks in truth.items():
        known = sorted(masks)
        start = known[len(known) // 2] if from_middle else known[0]
        for prompt in prompts:
            said = prompts_for(masks[start], prompt)
            mask = given_mask(said) or first_mask(segmenter, frames[start], said)[0]
            region = region_around(segmenter, frames[start], [mask])
            one = TrackedObject(label, {start: Prompts(mask_prompt=mask)}, region=region)
            for method in methods:
                options = PropagationOptions(method=method)
                found = {
                    tracked.frame: tracked.mask
                    for tracked in propagate(segmenter, frames, [one], options)
                    if tracked.mask
                }
                iou = volume_iou(found, masks)
                yield TrackScore(prompt, method, iou, len(found), len(masks))


def prompts_for(mask: NDArray[np.bool_], prompt: str) -> Prompts:
    """Give a click in the middle of a mask, the smallest box around it, or the mask itself."""
    if prompt == "mask":
        return Prompts(mask_prompt=PackedMask.of(mask))
    if prompt == "box":
        (rows, columns), *_ = ndimage.find_objects(mask.astype(np.uint8))
        return Prompts(box=(rows.start, columns.start, rows.stop, columns.stop))
    y, x = most_interior(mask)
    return Prompts(points=((float(y), float(x)),), polarity=(1,))


def volume_iou(found: Mapping[int, PackedMask], truth: Truth) -> float:
    """Compare masks with the truth in all planes together."""
    shared = everything = 0
    for at in {*found, *truth}:
        a = found[at].to_array() if at in found else np.zeros((), bool)
        b = truth.get(at, np.zeros((), bool))
        shared += int((a & b).sum())
        everything += int((a | b).sum())
    return shared / max(everything, 1)


def as_table(scores: Mapping[str, Sequence[TrackScore]]) -> str:
    """Give a Markdown table: mean and quartiles of the IoU, by data, prompt and method."""
    lines = [
        "| data | objects | prompt | method | mean IoU | quartiles | planes found / true |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: |",
    ]
    for name, all_scores in scores.items():
        for prompt in PROMPTS:
            for method in METHODS:
                some = [s for s in all_scores if (s.prompt, s.method) == (prompt, method)]
                if not some:
                    continue
                ious = [one.iou for one in some]
                low, middle, high = np.quantile(ious, (0.25, 0.5, 0.75))
                planes = f"{sum(s.found for s in some)} / {sum(s.planes for s in some)}"
                lines.append(
                    f"| {name} | {len(some)} | {prompt} | {method} | {np.mean(ious):.3f} | "
                    f"{low:.2f} {middle:.2f} {high:.2f} | {planes} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Evaluate a model on stacks and movies, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    pair: dict[str, Any] = {
        "type": Path,
        "nargs": 2,
        "metavar": ("IMAGE", "LABELS"),
        "action": "append",
    }
    parser.add_argument("--stack", default=[], help="labels are one number throughout", **pair)
    parser.add_argument("--movie", default=[], help="labels are numbered in each frame", **pair)
    parser.add_argument("--model", default="micro")
    parser.add_argument("--objects", type=int, default=1000, help="of each, at most")
    options = parser.parse_args()
    model = load_weights(options.model)
    segmenter = ImageSegmenter(model, FeatureCache())
    methods: tuple[Method, ...] = METHODS if model.has_memory else ("carry",)
    scores: dict[str, list[TrackScore]] = {}
    jobs = [(*files, True) for files in options.stack] + [(*f, False) for f in options.movie]
    for image_path, label_path, is_stack in jobs:
        pixels, labels = read_planes(image_path), read_planes(label_path)
        truth = objects_of_stack(labels) if is_stack else tracks_of_movie(labels)
        chosen = np.random.default_rng(0).permutation(sorted(truth))[: options.objects]
        limits = value_range(pixels.reshape(-1, *pixels.shape[2:]))
        frames = frames_along(pixels, 0, View.of_limits(limits))
        some = {int(label): truth[label] for label in chosen}
        found = evaluate_tracks(segmenter, frames, some, from_middle=is_stack, methods=methods)
        scores[image_path.stem] = list(found)
    sys.stdout.write(f"weights: {model.weights_hash[:12]}\n\n{as_table(scores)}\n")


if __name__ == "__main__":
    main()
