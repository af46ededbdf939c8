"""A frame that shows where the model looks, and disturbs nobody."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.create import OurLayers, ensure_layers
from napari_sam2.layers.region_frame import RegionFrame
from napari_sam2.session.planes import Plane

PLANE, REGION = Plane((1, 2), (2,)), (8, 16, 24, 48)


@pytest.fixture
def layers(viewer: ViewerModel, scaled: Image) -> OurLayers:
    return ensure_layers(viewer, scaled)


@pytest.fixture
def frame(viewer: ViewerModel, scaled: Image, layers: OurLayers) -> Iterator[RegionFrame]:
    frame = RegionFrame(viewer, scaled, layers)
    yield frame
    frame.close()


def test_it_lies_around_the_region_on_the_image(viewer: ViewerModel, image: Image) -> None:
    frame = RegionFrame(viewer, image, ensure_layers(viewer, image))
    frame.show(PLANE, REGION)
    (corners,) = frame.layer.data
    assert (corners[:, 0] == 2).all()
    assert corners[:, 1:].min(axis=0).tolist() == [7.5, 15.5]
    assert corners[:, 1:].max(axis=0).tolist() == [23.5, 47.5]
    for corner in corners:
        assert frame.layer.data_to_world(corner) == image.data_to_world(corner)
    frame.close()


def test_the_whole_plane_needs_no_frame(frame: RegionFrame) -> None:
    frame.show(PLANE, REGION)
    for region in (None, (0, 0, 40, 60)):
        frame.show(PLANE, region)
        assert frame.layer.nshapes == 0


@pytest.mark.parametrize("axes", [(0, 1), (0, 2)])
def test_seen_from_another_side_it_lies_on_that_plane(
    frame: RegionFrame, axes: tuple[int, int]
) -> None:
    frame.show(Plane(axes, (3,)), (1, 10, 4, 30))
    (corners,) = frame.layer.data
    assert (corners[:, 3 - sum(axes)] == 3).all()
    assert np.ptp(corners[:, list(axes)], axis=0).tolist() == [3, 20]


def test_it_is_between_masks_and_prompts_and_the_selection_stays(
    viewer: ViewerModel, scaled: Image, layers: OurLayers
) -> None:
    viewer.layers.selection = {layers.mask, scaled}
    frame = RegionFrame(viewer, scaled, layers)
    assert viewer.layers.index(frame.layer) == viewer.layers.index(layers.shapes) - 1
    assert viewer.layers.index(frame.layer) > viewer.layers.index(layers.mask)
    assert viewer.layers.selection == {layers.mask, scaled}
    frame.close()


def test_the_tool_in_hand_stays(viewer: ViewerModel, scaled: Image, layers: OurLayers) -> None:
    viewer.layers.selection.active = layers.points
    layers.points.mode = "add"
    frame = RegionFrame(viewer, scaled, layers)
    frame.show(PLANE, REGION)
    assert viewer.layers.selection.active == layers.points
    assert layers.points.mode == "add"
    frame.close()


def test_it_cannot_be_edited(frame: RegionFrame) -> None:
    frame.show(PLANE, REGION)
    assert not frame.layer.editable
    frame.layer.mode = "add_rectangle"
    assert frame.layer.mode == "pan_zoom"


def test_it_is_as_thin_at_any_zoom(frame: RegionFrame, viewer: ViewerModel) -> None:
    frame.show(PLANE, REGION)
    for zoom in (1, 20):
        viewer.scene.camera.zoom = zoom
        assert frame.layer.edge_width == [pytest.approx(1.5 / (0.5 * zoom))]


def test_hidden_by_the_user_it_stays_hidden(frame: RegionFrame) -> None:
    frame.layer.visible = False
    frame.show(PLANE, REGION)
    assert not frame.layer.visible


def test_deleted_by_the_user_it_is_missed_by_nobody(
    frame: RegionFrame, viewer: ViewerModel
) -> None:
    viewer.layers.remove(frame.layer)
    frame.show(PLANE, REGION)
    assert frame.layer.nshapes == 0


def test_there_is_one_however_often_the_panel_is_opened(
    viewer: ViewerModel, scaled: Image, layers: OurLayers, frame: RegionFrame
) -> None:
    frame.show(PLANE, REGION)
    again = RegionFrame(viewer, scaled, layers)
    assert again.layer == frame.layer
    assert again.layer.nshapes == 0
    again.close()


def test_after_close_nothing_is_shown(
    viewer: ViewerModel, scaled: Image, layers: OurLayers
) -> None:
    frame = RegionFrame(viewer, scaled, layers)
    frame.show(PLANE, REGION)
    frame.close()
    width = list(frame.layer.edge_width)
    viewer.scene.camera.zoom *= 9
    assert frame.layer.nshapes == 0
    assert frame.layer.edge_width == width
