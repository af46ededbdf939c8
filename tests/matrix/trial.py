"""Clicks on the shape of a scene, keeps the mask, and looks where it lies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray
from scipy import ndimage as ndi

from napari_sam2.asker import Report
from napari_sam2.controller import Controller
from napari_sam2.layers.create import OurLayers, ensure_layers
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.kept_document import open_document
from napari_sam2.layers.placement import Placement
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.brightness import Brightness
from napari_sam2.session.pixels import as_plane
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction
from napari_sam2.session.view import compose
from tests.fakes import HeldRunner
from tests.matrix.cases import Case
from tests.matrix.scene import Placing, Scene, placing

TOLERANCE = 0.5 + 1e-3  # pixels; float32 in napari's transforms takes the rest


class BrightPredict:
    """Answers with what is bright, and joined to the first point or in the box.

    Reads the plane in two halves, as the panel may read any part of it.
    """

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, request: Request, report: Report) -> Prediction:
        self.asked.append(request)
        bright = np.concatenate([self._look(request, half) for half in (0, 1)], axis=1)
        masks = np.zeros((0, *request.image.shape), bool)
        prompts = request.prompts
        if prompts.points:
            y, x = np.round(prompts.points[0]).astype(int)
            found, _ = ndi.label(bright)
            masks = ((found == found[y, x]) & bright)[None]
        return Prediction.of_masks(
            request=request,
            masks=masks,
            iou_predictions=np.full(len(masks), 0.9, np.float32),
            low_res_masks=np.zeros((len(masks), 4, 4), np.float32),
            object_score=1.0,
        )

    def _look(self, request: Request, half: int) -> NDArray[np.bool_]:
        image = request.image
        middle = image.shape[1] // 3
        region = ((0, 0, image.shape[0], middle), (0, middle, *image.shape))[half]
        pixels = [as_plane(array) for array in image.read(region, 1.0)]
        view = Brightness().settle(image, region, 1.0, pixels)
        return np.mean(list(compose(pixels, view)), axis=0) > 0.5


class Trial:
    """A scene with the plugin's own parts on it, but for the thread and the model."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        if scene.case.prompts == "before the image":
            scene.take_away()
        self.layers: OurLayers = ensure_layers(scene.viewer, scene.image)
        self.placement = Placement(scene.image, self.layers)
        if scene.case.prompts == "before the image":
            scene.put_back()
        self.source = ImageSource(scene.viewer)
        self.source.select(scene.image)
        self.runner, self.predict = HeldRunner(), BrightPredict()
        self.controller = Controller(self.source, self.runner, self.predict)
        self.said: list[str] = []
        self.controller.failed.connect(self.said.append)
        self._places = dict.fromkeys(("points", "shapes"), scene.placing)
        if scene.case.prompts == "elsewhere":
            self._move_prompts()
            self.layers.objects.translate = self.layers.objects.translate + 5
            self.layers.mask.scale = self.layers.mask.scale * 2
        self.prompts = PromptLayers(self.layers.points, self.layers.shapes)
        self.controller.attach(self.prompts, open_document(self.layers, lambda: scene.shown))

    def close(self) -> None:
        self.controller.close()
        self.prompts.close()
        self.placement.close()
        self.source.close()

    def click(self) -> None:
        """Place a point on the shape, and wait for its mask."""
        [at] = self._in_layer("points", self.scene.click[None])
        self.layers.points.add(at)
        self.runner.finish_all()

    def outline(self) -> None:
        """Draw around the shape."""
        self.layers.shapes.add_polygons(self._in_layer("shapes", self.scene.corners))
        self.runner.finish_all()

    def _in_layer(self, layer: str, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry positions in the data of the image over the world into a layer of prompts."""
        ratio = self.scene.world_units if self.scene.case.prompts == "elsewhere" else 1.0
        world = self.scene.in_world(positions) * ratio
        matrix = np.linalg.inv(self._places[layer].matrix)
        data: NDArray[np.float64] = world @ matrix[:-1, :-1].T + matrix[:-1, -1]
        return data

    def _move_prompts(self) -> None:
        scene = self.scene
        for name, other in (("points", "mixed"), ("shapes", "affine")):
            layer: Layer = getattr(self.layers, name)
            self._places[name] = _elsewhere(placing(other, scene.ndim, scene.shown))
            self._places[name].apply_to(layer)
            if scene.case.company == "other units":
                layer.units = "nm"


def run(case: Case) -> str:
    """Try a case; gives what is wrong, in a sentence, or nothing."""
    scene = Scene(case)
    before = _look_of(scene)
    with _trial(scene) as trial:
        trial.click()
        if trial.said:
            return f"the click said: {trial.said[0]}"
        trial.controller.commit()
        trial.runner.finish_all()
        return (
            _mask_is_wrong(trial)
            or _layers_are_wrong(trial)
            or _outline_is_wrong(trial)
            or _three_dimensions_are_wrong(trial)
            or ("" if _look_of(scene) == before else "the user's image was changed")
        )


@contextmanager
def _trial(scene: Scene) -> Iterator[Trial]:
    trial = Trial(scene)
    try:
        yield trial
    finally:
        trial.close()


def _mask_is_wrong(trial: Trial) -> str:
    scene, objects = trial.scene, trial.layers.objects
    labels = np.asarray(objects.data)
    if not labels.any():
        return "no pixel was drawn"
    pixels = np.stack(np.indices(labels.shape), axis=-1).reshape(-1, scene.ndim).astype(float)
    depth = scene.depth(scene.from_world(_world_of(objects, pixels)))
    drawn = labels.reshape(-1) == 1
    too_much = drawn & (depth < -TOLERANCE)
    too_little = ~drawn & (depth > TOLERANCE)
    if too_much.any() or too_little.any():
        return f"{too_much.sum()} pixels too many, {too_little.sum()} too few, of {drawn.sum()}"
    return ""


def _layers_are_wrong(trial: Trial) -> str:
    image = trial.scene.image
    for layer in (trial.layers.objects, trial.layers.mask):
        if layer.axis_labels != image.axis_labels or layer.units != image.units:
            return f"{layer.name} has units {layer.units} and axes {layer.axis_labels}"
    return ""


def _outline_is_wrong(trial: Trial) -> str:
    trial.outline()
    box = trial.predict.asked[-1].prompts.box
    if trial.said or box is None:
        return f"the outline said: {trial.said}"
    wanted = trial.scene.corners[:, list(trial.scene.shown)]
    edges = np.array(box) - 0.5  # of the first and last pixel, where 0 is the middle of one
    error = np.abs(edges - [*wanted.min(axis=0), *wanted.max(axis=0)]).max()
    return f"the outline is {error:.2f} pixels off" if error > TOLERANCE else ""


def _three_dimensions_are_wrong(trial: Trial) -> str:
    if trial.scene.ndim < 3:
        return ""
    prompts = trial.prompts.capture()
    trial.scene.viewer.dims.ndisplay = 3
    trial.controller.predict()
    said, trial.said[:] = list(trial.said), []
    if len(said) != 1 or "2-D view" not in said[0]:
        return f"in 3-D it said: {said}"
    if trial.prompts.capture() != prompts:
        return "in 3-D the prompts have changed"
    trial.scene.look()
    trial.controller.predict()
    trial.runner.finish_all()
    return f"back from 3-D it said: {trial.said}" if trial.said else ""


def _world_of(layer: Layer, positions: NDArray[np.float64]) -> NDArray[np.float64]:
    origin = np.array(layer.data_to_world(np.zeros(layer.ndim)))
    steps = np.array([layer.data_to_world(step) for step in np.eye(layer.ndim)]) - origin
    world: NDArray[np.float64] = positions @ steps + origin
    return world


def _elsewhere(there: Placing) -> Placing:
    return Placing(
        there.scale * 1.3, there.translate + 4.5, there.rotate, there.shear, there.affine
    )


def _look_of(scene: Scene) -> tuple[Any, ...]:
    image = scene.image
    return (
        [id(level) for level in image.data] if image.multiscale else id(image.data),
        image.metadata,
        image.name,
        tuple(image.contrast_limits),
        image.units,
        image.axis_labels,
        *(
            np.asarray(getattr(image, name)).tolist()
            for name in scene.placing.arguments
            if name != "affine"
        ),
        np.asarray(image.affine).tolist(),
    )
