"""Bringing objects into view."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.layers.create import create_objects
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.jump import is_on, look_at
from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.planes import Plane
from tests.layers.conftest import SCALED, pixels

RECORD = ObjectRecord(1, 9, start=(3, 10, 20), stop=(4, 13, 25))


@pytest.fixture
def source(viewer: ViewerModel) -> ImageSource:
    source = ImageSource(viewer)
    source.select(viewer.add_image(pixels(), **SCALED))
    return source


def test_the_slider_and_the_camera_go_to_the_object(
    viewer: ViewerModel, source: ImageSource
) -> None:
    labels = viewer.add_layer(create_objects(source.image))
    look_at(viewer, source, labels, RECORD)
    assert source.plane == Plane((1, 2), (3,))
    middle = labels.data_to_world((3, 11, 22))
    np.testing.assert_allclose(viewer.scene.camera.center[1:], middle[1:])


def test_seen_from_another_side_the_view_stays_on_that_side(
    viewer: ViewerModel, source: ImageSource
) -> None:
    viewer.dims.order = (1, 0, 2)
    labels = viewer.add_layer(create_objects(source.image))
    look_at(viewer, source, labels, RECORD)
    assert source.plane == Plane((0, 2), (11,))


def test_a_view_closer_than_the_object_is_wide_makes_room(
    viewer: ViewerModel, source: ImageSource
) -> None:
    labels = viewer.add_layer(create_objects(source.image))
    camera = viewer.scene.camera
    camera.zoom = 20
    look_at(viewer, source, labels, RECORD)
    assert camera.zoom == 20  # it fits: 2.5 of the world
    camera.zoom = 2_000
    look_at(viewer, source, labels, RECORD)
    assert camera.zoom < 600 / 2.5


def test_on_which_planes_an_object_is() -> None:
    assert is_on(Plane((1, 2), (3,)), RECORD)
    assert not is_on(Plane((1, 2), (4,)), RECORD)
    assert is_on(Plane((0, 1), (24,)), RECORD)
    assert not is_on(Plane((0, 1), (25,)), RECORD)
