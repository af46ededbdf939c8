"""Makes the picture of a propagation for the guide, with the shipped model.

    xvfb-run -a -s "-screen 0 1400x1100x24" python docs/propagation.py STACK

STACK is the 3-D nuclei of StarDist's examples (BSD-3, github.com/stardist/stardist), 31 x 61 x 57.
Writes `images/propagate.png` beside this file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import tifffile
from PIL import Image

from napari_sam2.session.objects import PlacedPoint, PlacedPrompts
from napari_sam2.stage import Stage

TARGET = Path(__file__).parent / "images" / "propagate.png"
WINDOW = (1240, 980)
CLICK = (12, 7, 36)  # z, y, x
ZOOM = 9.0


def main(stack: Path) -> None:
    """Follow one nucleus, and take a picture of the window."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        picture = tifffile.imread(stack)
        stage = Stage((picture, {"name": "nuclei"}, "image"), Path(folder), window=WINDOW)
        try:
            follow(stage)
            Image.fromarray(stage.photograph()).convert("RGB").save(TARGET, optimize=True)
        finally:
            stage.viewer.close()


def follow(stage: Stage) -> None:
    """Click on a nucleus, follow it, and go to a plane that the model has found."""
    panel, controller = stage.widget.panel, stage.widget.controller
    stage.viewer.dims.set_point(0, CLICK[0])
    stage.wait()
    stage.mark(PlacedPrompts((PlacedPoint(CLICK),)))
    panel.groups["objects"].folded = True
    panel.propagation.requested.emit()
    stage.wait(lambda: not controller.tracking.running)
    stage.viewer.dims.set_point(0, CLICK[0] + 2)
    stage.look_at((30, 28), ZOOM)
    stage.wait(lambda: not controller.busy)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
