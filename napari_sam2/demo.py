"""The main job on a real picture, from script and in the viewer: `python -m napari_sam2.demo`.

Segments nuclei of a fluorescence picture that the shipped model was not trained on, by clicks and a
box, and writes `mask.tif` (a label image), `overlay.png` and `viewer.png`, a screenshot of napari
with the widget at work.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2._sample_data import fluorescence
from napari_sam2.image_files import write_image

if TYPE_CHECKING:
    from napari_sam2.session.results import Prediction
    from napari_sam2.widget import SegmentWidget

_Points = Sequence[tuple[float, float]]
_PATIENCE = 120.0  # seconds that one answer may take before the demo gives up
_WINDOW = (1400, 860)


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
    [(image, layer, _)] = fluorescence()
    segment(as_shown(image, layer["contrast_limits"]), options.model, options.output)
    show(image, layer, options.model, options.output)
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
        labels[prediction.mask & (labels == 0)] = number
        predictions.append(prediction)
        _say(_report(number, job, prediction))
    write_image(output / "mask.tif", labels)
    write_image(output / "overlay.png", draw_overlay(predictions, image))
    _say(f"Wrote {output / 'mask.tif'} ({len(JOBS)} objects) and {output / 'overlay.png'}")


def show(image: NDArray[np.uint8], layer: dict[str, Any], model: str, output: Path) -> None:
    """Do the same in napari, one object still at work, and write a screenshot."""
    import napari

    viewer = napari.Viewer(show=False)
    try:
        _annotate(viewer, image, layer, model)
        viewer.screenshot(str(output / "viewer.png"), canvas_only=False, flash=False)
    finally:
        viewer.close()
    _say(f"Wrote {output / 'viewer.png'}")


def _annotate(viewer: Any, image: NDArray[np.uint8], layer: dict[str, Any], model: str) -> None:
    from napari_sam2.layers.create import POLARITY, ensure_layers

    image_layer = viewer.add_image(image, **layer)
    layers = ensure_layers(viewer, image_layer)
    widget: SegmentWidget
    _, widget = viewer.window.add_plugin_dock_widget("napari-sam2", "Segment with SAM 2")
    widget.controller.model = model
    viewer.window.show()
    viewer.window.resize(*_WINDOW)  # after `show`, which brings back the last window's size
    for job in JOBS:
        if widget.controller.can_commit:
            widget.controller.commit()  # the object before
        for point, kind in zip(job.points, job.polarity, strict=True):
            layers.points.feature_defaults = {POLARITY: kind}
            layers.points.add(point)
        layers.points.selected_data = set()  # a selected one is drawn in blue
        if job.box is not None:
            y0, x0, y1, x1 = job.box
            layers.shapes.add_rectangles([[(y0, x0), (y0, x1), (y1, x1), (y1, x0)]])
        _wait_for(lambda: bool(widget.controller.can_commit and not widget.controller.busy))
    viewer.reset_view()
    _wait_for(lambda: True)


def _wait_for(condition: Callable[[], bool]) -> None:
    """Let Qt work until the condition holds, and what it caused has been drawn."""
    from qtpy.QtWidgets import QApplication

    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"The viewer gave no mask within {_PATIENCE:.0f} seconds.")
        QApplication.processEvents()
        time.sleep(0.01)
    for _ in range(20):
        QApplication.processEvents()
        time.sleep(0.01)


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
