"""Makes the pictures of the documents, with the shipped model on the shipped samples.

    xvfb-run -a -s "-screen 0 1400x900x24" python docs/screenshots.py

Writes `images/*.png` beside this file. Settings and unsaved work of yours are not touched.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from qtpy.QtCore import QBuffer
from scipy import ndimage

from napari_sam2._sample_data import LayerData, fluorescence
from napari_sam2.session.objects import (
    ELLIPSE,
    PATH,
    POLYGON,
    RECTANGLE,
    ObjectClass,
    PlacedPoint,
    PlacedPrompts,
    PlacedShape,
)
from napari_sam2.session.prompts import NEGATIVE
from napari_sam2.stage import Stage, corners
from napari_sam2.widget.settings import Settings

IMAGES = Path(__file__).parent / "images"
MAX_BYTES = 400_000
FRAME = 72  # pixels of menus and titles above and below the panel
TILE, GAP = 240, 8  # pixels of a close-up, and between two

Yx = tuple[float, float]


def points(*on: Yx, off: Sequence[Yx] = ()) -> PlacedPrompts:
    """Give points on the object, and others on the background."""
    placed = [PlacedPoint(point) for point in on] + [PlacedPoint(point, NEGATIVE) for point in off]
    return PlacedPrompts(tuple(placed))


def box(y0: float, x0: float, y1: float, x1: float, *on: Yx) -> PlacedPrompts:
    """Give a rectangle, and points on the object."""
    return replace(points(*on), shapes=(PlacedShape(RECTANGLE, corners(y0, x0, y1, x1)),))


def ellipse(y0: float, x0: float, y1: float, x1: float) -> PlacedPrompts:
    """Give an ellipse."""
    return PlacedPrompts((), (PlacedShape(ELLIPSE, corners(y0, x0, y1, x1)),))


def lasso(*vertices: Yx) -> PlacedPrompts:
    """Give an outline by hand."""
    return PlacedPrompts((), (PlacedShape(POLYGON, vertices),))


def scribbles(on: tuple[Yx, ...], off: tuple[Yx, ...]) -> PlacedPrompts:
    """Give a line along the object, and one along what is none of it."""
    return PlacedPrompts((), (PlacedShape(PATH, off, NEGATIVE), PlacedShape(PATH, on)))


LASSO = lasso(
    *((377, 168), (379, 176), (388, 184), (402, 190), (420, 193), (440, 189), (455, 179)),
    *((459, 169), (455, 158), (440, 151), (420, 145), (400, 147), (386, 154), (379, 160)),
)
RIGHT_OF_PAIR = scribbles(
    ((255, 492), (262, 497), (270, 500), (284, 508), (293, 513), (300, 514)),
    ((262, 463), (273, 461), (285, 462), (297, 464), (305, 465)),
)
LEFT_OF_PAIR = scribbles(
    ((265, 462), (275, 459), (285, 460), (297, 462), (305, 463)),
    ((255, 495), (268, 498), (280, 500), (290, 505), (300, 510)),
)
# One object after the other; the last one is still at work in the picture.
ALL_OVER = (
    points((28, 121)),
    points((38, 200)),
    points((42, 583)),
    points((132, 310)),
    points((155, 515)),
    points((236, 600)),
    points((402, 321)),
    points((505, 582)),
    LASSO,
    points((376, 46)),
    RIGHT_OF_PAIR,
    LEFT_OF_PAIR,
    points((254, 235)),
    box(396, 440, 463, 520, (429, 482)),
    points((283, 362)),
    points((54, 367)),
)
NEARBY = (
    points((505, 582)),
    points((283, 362)),
    points((155, 515)),
    points((236, 600)),
    points((42, 583)),
    points((402, 321)),
    RIGHT_OF_PAIR,
    points((254, 235)),
    LEFT_OF_PAIR,
    box(396, 440, 463, 520, (429, 482)),
)
IN_THE_FIELD = (
    points((430, 480)),
    points((773, 458)),
    points((897, 647)),
    points((937, 527)),
    points((618, 1223)),
    points((757, 1030)),
)
# Boxes around whole nuclei; the last one is still at work in the picture.
IN_STACK = (
    box(105, 287, 162, 333),
    box(129, 483, 179, 547),
    box(215, 568, 257, 629),
    box(224, 208, 285, 264),
    box(252, 340, 315, 387),
    box(377, 297, 427, 345),
    box(248, 478, 316, 531),
    box(252, 444, 313, 481),
    box(396, 442, 462, 518),
)
# Ways to ask, and where to look.
KINDS = (
    (points((54, 367)), (54, 367)),
    (box(103, 285, 164, 335), (133, 310)),
    (ellipse(250, 340, 316, 386), (283, 363)),
    (LASSO, (418, 168)),
    (RIGHT_OF_PAIR, (281, 487)),
)


def main() -> None:
    """Make all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with stage("dark") as dark:
        annotate(dark, ALL_OVER)
        show_viewer(dark, "viewer-dark", center=(262, 400), zoom=1.32)
        show_panel(dark, "panel-dark", "objects", "classes")
    with stage("light") as light:
        light.widget.panel.options.changed.emit(Settings(fill_holes=True, min_area=50))
        annotate(light, NEARBY)
        show_viewer(light, "viewer-light", center=(316, 480), zoom=2.0)
        show_panel(light, "panel-light", "options", "files", "keys")
    with stage("dark") as dark:
        show_kinds(dark, "prompts")
    with stage("dark", large_field()) as dark:
        for job in IN_THE_FIELD:
            dark.keep()
            dark.mark(job)
        show_canvas(dark, "region", center=(760, 1000), zoom=0.62)
    with stage("dark") as dark:
        show_model_input(dark, "model-input")
    with stage("dark", turned_stack()) as dark:
        show_turned_stack(dark, "turned-stack")


@contextmanager
def stage(theme: str, sample: LayerData | None = None) -> Iterator[Stage]:
    """Open a viewer with a sample, and close it whatever happens."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        stage = Stage(sample or fluorescence()[0], Path(folder), theme=theme)
        try:
            yield stage
        finally:
            stage.viewer.close()


def large_field() -> LayerData:
    """Give a large picture: the sample, upright, upside down and turned, side by side."""
    image, layer, kind = fluorescence()[0]
    turned = image[::-1, ::-1]
    rows = ((image, image[::-1], turned), (turned[::-1], turned, image), (image[::-1], image) * 2)
    return np.concatenate([np.concatenate(row[:3], axis=1) for row in rows]), layer, kind


def annotate(stage: Stage, jobs: Sequence[PlacedPrompts]) -> None:
    """Do the jobs, the last one but for keeping it; sort some of the objects into classes."""
    for job in jobs:
        stage.keep()
        stage.mark(job)
    document = stage.widget.controller.document
    assert document is not None
    document.set_classes([ObjectClass("nucleus", "#56b4e9"), ObjectClass("cut off", "#e69f00")])
    document.set_class(document.state.objects, "nucleus")
    document.set_class([1], "cut off")
    document.rename(2, "check again")


def show_viewer(stage: Stage, name: str, center: Yx, zoom: float) -> None:
    """Take a picture of the whole window."""
    stage.look_at(center, zoom)
    save(name, Image.fromarray(stage.photograph()).convert("RGB"))


def show_canvas(stage: Stage, name: str, center: Yx, zoom: float) -> None:
    """Take a picture of the canvas alone."""
    stage.look_at(center, zoom)
    save(name, Image.fromarray(stage.viewer.screenshot(flash=False)).convert("RGB"))


def show_panel(stage: Stage, name: str, *opened: str) -> None:
    """Take a picture of the dock alone, as tall as it would like to be."""
    panel = stage.widget.panel
    for title, group in panel.groups.items():
        group.folded = title not in opened
    content = panel.widget()
    assert content is not None
    stage.wait()
    stage.viewer.window.resize(1400, content.sizeHint().height() + FRAME)
    stage.wait()
    panel.table.select(3)
    stage.wait()
    buffer = QBuffer()
    stage.dock.grab().save(buffer, "PNG")
    save(name, Image.open(io.BytesIO(buffer.data().data())).convert("RGB"))


def show_kinds(stage: Stage, name: str) -> None:
    """Take close-ups of one object, prompted in one way after the other, side by side."""
    stage.mark(points((505, 582)))
    stage.keep()  # the second object has the better colour
    tiles = [close_up(stage, prompts, center) for prompts, center in KINDS]
    strip = Image.new("RGBA", (len(tiles) * (TILE + GAP) - GAP, TILE))
    for number, tile in enumerate(tiles):
        strip.paste(tile, (number * (TILE + GAP), 0))
    save(name, strip)


def close_up(stage: Stage, prompts: PlacedPrompts, center: Yx) -> Image.Image:
    """Prompt for an object and take the middle of the canvas."""
    stage.widget.controller.cancel()
    stage.look_at(center, zoom=2.2)
    stage.mark(prompts)
    canvas = Image.fromarray(stage.viewer.screenshot(flash=False))
    left, top = (canvas.width - TILE) // 2, (canvas.height - TILE) // 2
    return canvas.crop((left, top, left + TILE, top + TILE))


def show_model_input(stage: Stage, name: str) -> None:
    """Take a picture of what the model sees, over the part of the image that it sees."""
    panel, image = stage.widget.panel, stage.viewer.layers[0]
    image.colormap = "bop blue"
    stage.look_at((283, 362), zoom=3.0)
    stage.mark(points((283, 362)))
    panel.groups["view"].folded = False
    panel.groups["objects"].folded = True
    panel.view.show_input(True)
    panel.view.input_toggled.emit(True)
    stage.wait(lambda: any("model input" in layer.name for layer in stage.viewer.layers))
    show_viewer(stage, name, center=(283, 362), zoom=2.2)


def turned_stack() -> LayerData:
    """Give a stack of the sample in and out of focus, its pixels no squares, turned."""
    image, look, _ = fluorescence()[0]
    sharp = image.astype(np.float32)
    planes = [
        ndimage.gaussian_filter(sharp, 1.2 * abs(z)) * 0.85 ** abs(z) for z in (-2, -1, 0, 1, 2)
    ]
    placing = {
        "name": "turned stack",
        "scale": (2.0, 0.45, 0.3),
        "rotate": 25,
        "units": "um",
        "axis_labels": ("z", "y", "x"),
        "contrast_limits": look["contrast_limits"],
    }
    return np.stack(planes).astype(np.uint16), placing, "image"


def show_turned_stack(stage: Stage, name: str) -> None:
    """Take a picture of masks on a stack that is turned, and whose pixels are no squares."""
    image = stage.viewer.layers[0]
    stage.viewer.dims.set_current_step(0, 2)
    for job in IN_STACK:
        stage.keep()
        stage.mark(on_plane(job, 2))
    _, y, x = image.data_to_world((2, 280, 440))
    show_viewer(stage, name, center=(y, x), zoom=4.8)


def on_plane(job: PlacedPrompts, z: int) -> PlacedPrompts:
    """Give the same prompts on a plane of a stack."""
    placed = [replace(point, position=(z, *point.position)) for point in job.points]
    shapes = [
        replace(shape, vertices=tuple((z, *vertex) for vertex in shape.vertices))
        for shape in job.shapes
    ]
    return PlacedPrompts(tuple(placed), tuple(shapes))


def save(name: str, picture: Image.Image) -> None:
    """Write a picture, as small as it gets without loss."""
    path = IMAGES / f"{name}.png"
    picture.save(path, optimize=True)
    size = path.stat().st_size
    assert size < MAX_BYTES, f"{path.name} must be below {MAX_BYTES} bytes, got {size}. Show less."
    print(f"{path.name}: {picture.width} x {picture.height}, {size // 1000} kB")


if __name__ == "__main__":
    main()
