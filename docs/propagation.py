"""Makes the picture and the animation of a propagation for the guide, with the shipped model.

    xvfb-run -a -s "-screen 0 1400x1100x24" python docs/propagation.py STACK

STACK is the 3-D nuclei of StarDist's examples (BSD-3, github.com/stardist/stardist), 31 x 61 x 57.
Writes `images/propagate.png` and `images/propagate.gif` beside this file.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import tifffile
from PIL import Image

from napari_sam2.session.objects import PlacedPoint, PlacedPrompts
from napari_sam2.stage import Stage

IMAGES = Path(__file__).parent / "images"
WINDOW = (1240, 980)
CLICK = (22, 21, 22)  # z, y, x
ZOOM = 9.0
AROUND = 6  # planes of the film before and behind the click
FILM_SIZE = 280  # pixels
MILLISECONDS = 180  # a plane


def main(stack: Path) -> None:
    """Follow one nucleus, and take a picture of the window."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        picture = tifffile.imread(stack)
        stage = Stage((picture, {"name": "nuclei"}, "image"), Path(folder), window=WINDOW)
        try:
            follow(stage)
            picture = Image.fromarray(stage.photograph()).convert("RGB")
            picture.save(IMAGES / "propagate.png", optimize=True)
            first, *others = film(stage)
            first.save(
                IMAGES / "propagate.gif",
                save_all=True,
                append_images=others,
                duration=MILLISECONDS,
                loop=0,
                optimize=True,
            )
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
    stage.viewer.dims.set_point(0, CLICK[0] + 1)
    stage.look_at((30, 28), ZOOM)
    stage.wait(lambda: not controller.busy)


def film(stage: Stage) -> list[Image.Image]:
    """Take a picture of the canvas at each plane around the click, there and back."""
    pictures = []
    for plane in range(CLICK[0] - AROUND, CLICK[0] + AROUND + 1):
        stage.viewer.dims.set_point(0, plane)
        stage.look_at((30, 28), ZOOM)
        stage.wait(lambda: not stage.widget.controller.busy)
        shot = Image.fromarray(stage.viewer.screenshot(flash=False)).convert("RGB")
        side = min(shot.size)
        left, top = (shot.width - side) // 2, (shot.height - side) // 2
        square = shot.crop((left, top, left + side, top + side))
        pictures.append(
            square.resize((FILM_SIZE, FILM_SIZE)).quantize(32, dither=Image.Dither.NONE)
        )
    return pictures + pictures[-2:0:-1]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
