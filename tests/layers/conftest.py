"""Images that lie in the world as microscopes place them: identity hides coordinate bugs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.create import ensure_layers
from napari_sam2.layers.prompt_layers import PromptLayers

SHAPE = (5, 40, 60)
SCALED = {"scale": (2, 0.5, 0.5), "translate": (0, 10, 20)}
_TURN = np.array([[1, 0, 0, 3], [0, 0.9, 0.2, 1], [0, -0.2, 0.9, 2], [0, 0, 0, 1]])
PLACINGS: dict[str, dict[str, Any]] = {
    "identity": {},
    "scaled": SCALED,
    "rotated": {**SCALED, "rotate": 20},
    "sheared": {**SCALED, "shear": (0.0, 0.0, 0.3)},
    "affine": {**SCALED, "affine": _TURN},
}


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture(params=list(PLACINGS))
def image(request: pytest.FixtureRequest, viewer: ViewerModel) -> Image:
    """A stack in each placing, shown at its plane 2."""
    stack = viewer.add_image(pixels(), name="cells", **PLACINGS[request.param])
    show_plane(viewer, stack, 2)
    return stack


@pytest.fixture
def scaled(viewer: ViewerModel) -> Image:
    """A stack with scale (2, 0.5, 0.5) and translate (0, 10, 20), shown at its plane 2."""
    stack = viewer.add_image(pixels(), name="cells", **SCALED)
    show_plane(viewer, stack, 2)
    return stack


@pytest.fixture
def prompts(viewer: ViewerModel, image: Image) -> Iterator[PromptLayers]:
    """On the image in each placing."""
    yield from _prompts(viewer, image)


@pytest.fixture
def on_scaled(viewer: ViewerModel, scaled: Image) -> Iterator[PromptLayers]:
    yield from _prompts(viewer, scaled)


def _prompts(viewer: ViewerModel, image: Image) -> Iterator[PromptLayers]:
    layers = ensure_layers(viewer, image)
    prompts = PromptLayers(layers.points, layers.shapes)
    yield prompts
    prompts.close()


def pixels(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def show_plane(viewer: ViewerModel, image: Image, index: int) -> None:
    viewer.dims.set_point(0, image.data_to_world((index, 0, 0))[0])
