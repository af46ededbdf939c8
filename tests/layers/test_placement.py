"""Our layers lie on the image, also when it is placed anew after they were made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Layer

from napari_sam2.layers.create import OurLayers, ensure_frame, ensure_layers
from napari_sam2.layers.placement import Placement
from napari_sam2.layers.track_layer import show_tracks
from napari_sam2.session.planes import Plane
from napari_sam2.session.track_table import TrackRow
from tests.layers.conftest import SCALED

TURN = np.array([[1, 0, 0, 3], [0, 0.9, 0.2, 1], [0, -0.2, 0.9, 2], [0, 0, 0, 1]])
CHANGES: dict[str, Any] = {
    "scale": (1, 0.3, 0.4),
    "translate": (5, 6, 7),
    "rotate": 30,
    "shear": (0, 0, 0.2),
    "affine": TURN,
    "units": ("um", "um", "um"),
    "axis_labels": ("z", "y", "x"),
}


@pytest.fixture
def layers(viewer: ViewerModel, scaled: Image) -> OurLayers:
    return ensure_layers(viewer, scaled)


@pytest.fixture
def placement(scaled: Image, layers: OurLayers) -> Iterator[Placement]:
    placement = Placement(scaled, layers)
    yield placement
    placement.close()


def place(layer: Layer) -> list[Any]:
    corners = np.vstack([np.zeros(3), np.eye(3)])
    world = np.array([layer.data_to_world(corner) for corner in corners])
    return [np.round(world, 9).tolist(), layer.units, layer.axis_labels]


@pytest.mark.usefixtures("placement")
@pytest.mark.parametrize("change", CHANGES)
def test_they_go_along_with_the_image(scaled: Image, layers: OurLayers, change: str) -> None:
    setattr(scaled, change, CHANGES[change])
    wanted = place(scaled)
    assert [place(layer) for layer in layers] == [wanted] * 4


@pytest.mark.usefixtures("placement")
def test_prompts_that_lie_elsewhere_stay_there(scaled: Image, layers: OurLayers) -> None:
    layers.points.translate = (1, 2, 3)
    before = place(layers.points)
    scaled.scale = (1, 1, 1)
    assert place(layers.points) == before
    assert place(layers.shapes) == place(scaled)


@pytest.mark.usefixtures("placement")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["objects", "mask"])
def test_labels_cannot_leave_the_pixels_that_they_are_of(
    scaled: Image, layers: OurLayers, name: str, change: str
) -> None:
    wanted = place(scaled)
    setattr(getattr(layers, name), change, CHANGES[change])
    assert [place(layer) for layer in layers] == [wanted] * 4


@pytest.mark.usefixtures("placement")
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_loop_over_all_layers_places_them_all(
    viewer: ViewerModel, scaled: Image, is_reversed: bool
) -> None:
    for layer in reversed(viewer.layers) if is_reversed else viewer.layers:
        layer.scale = (1, 0.3, 0.4)
    assert [tuple(layer.scale) for layer in viewer.layers] == [(1, 0.3, 0.4)] * 5


@pytest.mark.usefixtures("placement")
def test_the_image_is_left_alone(scaled: Image, layers: OurLayers) -> None:
    before = place(scaled)
    for layer in layers:
        layer.translate = (1, 2, 3)
        layer.affine.translate = (4, 5, 6)  # in place
    assert place(scaled) == before
    assert tuple(scaled.scale) == SCALED["scale"]


def test_labels_are_brought_back_when_the_panel_opens(scaled: Image, layers: OurLayers) -> None:
    scaled.scale = (1, 1, 1)
    placement = Placement(scaled, layers)
    assert place(layers.objects) == place(layers.mask) == place(scaled)
    placement.close()


def test_after_close_nobody_follows(scaled: Image, layers: OurLayers, placement: Placement) -> None:
    placement.close()
    before = place(layers.mask)
    scaled.scale = (1, 1, 1)
    assert place(layers.mask) == before
    layers.objects.scale = (3, 3, 3)
    assert tuple(layers.objects.scale) == (3, 3, 3)


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_drawn_on_the_image_goes_along(
    viewer: ViewerModel, scaled: Image, layers: OurLayers, change: str
) -> None:
    frame = ensure_frame(viewer, scaled, below=layers.shapes)
    row = TrackRow(1, 0, 2.0, 3.0, 9, 0.9, 2.0, "tracked", "")
    tracks = show_tracks(viewer, scaled, [Plane((1, 2), (0,))], [row])
    other = viewer.add_tracks([[1, 0, 0, 0], [1, 1, 1, 1]], name="the user's own")
    before = place(other)
    placement = Placement(scaled, layers, viewer.layers)
    setattr(scaled, change, CHANGES[change])
    assert place(frame) == place(tracks) == place(scaled)
    assert place(other) == before
    placement.close()
