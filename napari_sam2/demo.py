"""The main job on a real picture, from script and in the viewer: `python -m napari_sam2.demo`.

Segments nuclei of a fluorescence picture that the shipped model was not trained on, by clicks and a
box, and writes `mask.tif` (a label image), `overlay.png` and `viewer.png`, a screenshot of napari
with the panel at work. Settings and unsaved work of yours are neither read nor touched.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_sam2._sample_data import fluorescence
from napari_sam2.image_files import write_image
from napari_sam2.session.objects import RECTANGLE, PlacedPoint, PlacedPrompts, PlacedShape
from napari_sam2.stage import Stage, corners

if TYPE_CHECKING:
    from napari_sam2.session.results import Prediction

_Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Job:
    """One object and how it is prompted; positions are (y, x) in pixels."""

    points: _Points = ()
    polarity: Sequence[int] = ()
    box: tuple[float, float, float, float] | None = None

    def __str__(self) -> str:
        words = [
            f"{'click' if kind else 'background click'} at ({y:g}, {x:g})"
            for (y, x), kind in zip(self.points, self.polarity, strict=True)
        ]
        return ", ".join([f"box {self.box}"] * (self.box is not None) + words)

    def placed(self) -> PlacedPrompts:
        """Give the prompts as they are drawn in the viewer."""
        points = zip(self.points, self.polarity, strict=True)
        boxes = [self.box] if self.box is not None else []
        return PlacedPrompts(
            tuple(PlacedPoint(point, kind) for point, kind in points),
            tuple(PlacedShape(RECTANGLE, corners(*box)) for box in boxes),
        )


JOBS = (
    Job([(254, 235)], [1]),
    Job([(283, 362)], [1]),
    Job([(270, 504), (283, 458)], [1, 0]),
    Job([(281, 460), (268, 506)], [1, 0]),
    Job([(154, 514)], [1]),
    Job(box=(103, 285, 164, 335)),
    Job([(429, 482)], [1], box=(396, 440, 463, 520)),
)


def main() -> int:
    """Run the demo; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to write to")
    parser.add_argument("--model", default="micro", help="name or path of a model")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    [sample] = fluorescence()
    image, layer, _ = sample
    segment(as_shown(image, layer["contrast_limits"]), options.model, options.output)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        show(Stage(sample, Path(folder), options.model), options.output / "viewer.png")
    return 0


def as_shown(image: NDArray[np.uint8], limits: tuple[float, float]) -> NDArray[np.uint8]:
    """Stretch an image to contrast limits, as the viewer does for the eye and the model."""
    low, high = limits
    stretched: NDArray[np.uint8] = np.round(
        np.clip((image - low) / (high - low), 0, 1) * 255
    ).astype(np.uint8)
    return stretched


def segment(image: NDArray[np.uint8], model: str, output: Path) -> None:
    """Segment every object of `JOBS` by script, and write the mask and the overlay."""
    import napari_sam2
    from napari_sam2.session.cleanup import Cleanup
    from napari_sam2.session.overlay import draw_overlay

    started = time.perf_counter()
    segmenter = napari_sam2.ImageSegmenter(napari_sam2.load_model(model))
    _say(
        f"Model {segmenter.model.name} on {segmenter.model.device}, "
        f"ready in {time.perf_counter() - started:.1f} s (torch included)"
    )
    labels = np.zeros(image.shape[:2], np.uint16)
    predictions: list[Prediction] = []
    for number, job in enumerate(JOBS, start=1):
        prediction = segmenter.segment(image, job.points, job.polarity, box=job.box)
        prediction = prediction.tidied(Cleanup())
        labels[prediction.mask & (labels == 0)] = number
        predictions.append(prediction)
        _say(_report(number, job, prediction))
    write_image(output / "mask.tif", labels)
    write_image(output / "overlay.png", draw_overlay(predictions, image))
    _say(f"Wrote {output / 'mask.tif'} ({len(JOBS)} objects) and {output / 'overlay.png'}")


def show(stage: Stage, path: Path) -> None:
    """Do the same in napari, one object still at work, and write a screenshot."""
    try:
        for job in JOBS:
            stage.keep()
            stage.mark(job.placed())
        stage.viewer.reset_view()
        write_image(path, stage.photograph())
    finally:
        stage.viewer.close()
    _say(f"Wrote {path}")


def _report(number: int, job: Job, prediction: Prediction) -> str:
    return (
        f"Object {number}: {job}\n"
        f"  {prediction.mask.sum()} pixels, predicted IoU {prediction.iou_predictions[0]:.2f}; "
        f"embedding {prediction.embed_seconds * 1e3:.0f} ms, "
        f"decoding {prediction.decode_seconds * 1e3:.0f} ms"
    )


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
