"""A layer of ours shows what the model sees, and lies where that is."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.create import OurLayers, ensure_layers, find_layers, is_ours
from napari_sam2.layers.model_input import ModelInput, place_of
from napari_sam2.session.masks import Box
from napari_sam2.session.planes import Plane
from napari_sam2.session.view import Look
from tests.layers.conftest import SCALED, pixels, show_plane

PLANE, REGION = Plane((1, 2), (2,)), (8, 10, 24, 42)
SIDE = 64


def look(region: Box = REGION, side: int = SIDE) -> Look:
    return Look(region, np.random.default_rng(0).random((side, side, 3), dtype=np.float32))


@pytest.fixture
def layers(viewer: ViewerModel, image: Image) -> OurLayers:
    return ensure_layers(viewer, image)


@pytest.fixture
def shown(viewer: ViewerModel, image: Image, layers: OurLayers) -> ModelInput:
    shown = ModelInput(viewer, image, layers.objects)
    shown.show(look(), PLANE)
    return shown


def test_it_lies_exactly_over_its_region(image: Image, shown: ModelInput) -> None:
    """By its edges: those of the region are those of the picture."""
    y0, x0, y1, x1 = (edge - 0.5 for edge in REGION)
    theirs = [(2, y0, x0), (2, y0, x1), (2, y1, x1), (2, y1, x0)]
    low, high = -0.5, SIDE - 0.5
    ours = [(0, low, low), (0, low, high), (0, high, high), (0, high, low)]
    np.testing.assert_allclose(
        [shown.layer.data_to_world(at) for at in ours],
        [image.data_to_world(at) for at in theirs],
        atol=1e-5,
    )


def test_the_picture_is_what_was_given(shown: ModelInput) -> None:
    assert shown.layer.rgb
    np.testing.assert_array_equal(shown.layer.data[0], look().picture)
    assert tuple(shown.layer.contrast_limits) == (0, 1)
    assert shown.layer.visible


def test_a_square_region_of_a_square_picture_is_pixel_on_pixel(scaled: Image) -> None:
    matrix = place_of(scaled, PLANE, (5, 7, 5 + 16, 7 + 16), 16)
    np.testing.assert_allclose(matrix @ (0, 3, 4, 1), (*scaled.data_to_world((2, 8, 11)), 1))


def test_it_is_seen_on_its_plane_only(viewer: ViewerModel, image: Image, shown: ModelInput) -> None:
    for index, is_seen in ((1, False), (2, True), (3, False)):
        show_plane(viewer, image, index)
        at = shown.layer.world_to_data(viewer.dims.point)
        assert (round(float(at[0])) == 0) == is_seen


@pytest.mark.parametrize("axes", [(0, 2), (0, 1)])
def test_it_lies_on_planes_of_other_axes(
    viewer: ViewerModel, scaled: Image, axes: tuple[int, int]
) -> None:
    plane = Plane(axes, (7,))
    matrix = place_of(scaled, plane, (1, 2, 5, 30), SIDE)
    corner = np.zeros(3)
    corner[list(axes)] = -0.5
    wanted = np.zeros(3)
    wanted[list(axes)], wanted[plane.hidden_axes[0]] = (0.5, 1.5), 7
    np.testing.assert_allclose((matrix @ (*corner, 1))[:3], scaled.data_to_world(wanted))
    shown = ModelInput(viewer, scaled, scaled)
    shown.show(look((1, 2, 5, 30)), plane)
    assert [shown.layer.data.shape[axis] for axis in axes] == [SIDE, SIDE]


def test_it_is_below_what_is_drawn_and_above_the_images(
    viewer: ViewerModel, image: Image, layers: OurLayers, shown: ModelInput
) -> None:
    names = [layer.name for layer in viewer.layers]
    assert names[:3] == ["cells", "cells: model input", "cells: objects"]


def test_another_look_changes_the_same_layer(
    viewer: ViewerModel, image: Image, shown: ModelInput
) -> None:
    before, count = shown.layer, len(viewer.layers)
    shown.show(look((0, 0, 40, 60), 32), Plane((1, 2), (3,)))
    assert shown.layer == before
    assert len(viewer.layers) == count
    assert shown.layer.data.shape == (1, 32, 32, 3)
    np.testing.assert_allclose(
        shown.layer.data_to_world((0, -0.5, 31.5)), image.data_to_world((3, -0.5, 59.5)), atol=1e-5
    )


def test_it_goes_along_when_the_image_is_moved(scaled: Image, viewer: ViewerModel) -> None:
    shown = ModelInput(viewer, scaled, scaled)
    shown.show(look(), PLANE)
    scaled.scale, scaled.units = (1, 3, 3), "um"
    shown.show(look(), PLANE)
    assert shown.layer.units == scaled.units
    np.testing.assert_allclose(
        shown.layer.data_to_world((0, -0.5, -0.5)), scaled.data_to_world((2, 7.5, 9.5))
    )


def test_what_is_selected_stays_selected(viewer: ViewerModel, scaled: Image) -> None:
    layers = ensure_layers(viewer, scaled)
    viewer.layers.selection = {layers.points, layers.mask}
    viewer.layers.selection.active = layers.points
    selected = set(viewer.layers.selection)
    shown = ModelInput(viewer, scaled, layers.objects)
    shown.show(look(), PLANE)
    assert viewer.layers.selection.active == layers.points
    assert set(viewer.layers.selection) == selected
    shown.hide()
    assert viewer.layers.selection.active == layers.points


def test_nothing_else_in_the_viewer_is_changed(viewer: ViewerModel, scaled: Image) -> None:
    layers = ensure_layers(viewer, scaled)
    show_plane(viewer, scaled, 3)

    def state() -> list[object]:
        looks = [(layer.name, layer.visible, layer.opacity) for layer in viewer.layers]
        return [looks, viewer.dims.point, viewer.dims.range, viewer.dims.axis_labels]

    before, data = state(), scaled.data
    shown = ModelInput(viewer, scaled, layers.objects)
    shown.show(look((0, 0, 40, 40), 40), Plane((1, 2), (3,)))
    shown.hide()
    assert state() == before
    assert scaled.data is data
    assert tuple(scaled.scale) == SCALED["scale"]


def test_it_is_known_as_ours_and_as_nothing_else(
    viewer: ViewerModel, image: Image, layers: OurLayers, shown: ModelInput
) -> None:
    assert is_ours(shown.layer)
    assert not is_ours(image)
    assert find_layers(viewer, image) == layers


def test_hidden_it_is_gone_and_hiding_again_is_nothing(
    viewer: ViewerModel, shown: ModelInput
) -> None:
    layer = shown.layer
    shown.hide()
    assert layer not in viewer.layers
    assert shown.layer is None
    shown.hide()


def test_deleted_by_the_user_it_is_made_anew(viewer: ViewerModel, shown: ModelInput) -> None:
    viewer.layers.remove(shown.layer)
    assert shown.layer is None
    shown.show(look(), PLANE)
    assert shown.layer in viewer.layers


def test_without_our_layers_it_is_above_the_image(viewer: ViewerModel, scaled: Image) -> None:
    layers = ensure_layers(viewer, scaled)
    viewer.layers.remove(layers.objects)
    ModelInput(viewer, scaled, layers.objects).show(look(), PLANE)
    assert [layer.name for layer in viewer.layers][:2] == ["cells", "cells: model input"]


def test_a_flat_image_has_no_hidden_axes(viewer: ViewerModel) -> None:
    flat = viewer.add_image(pixels((40, 60)), scale=(2, 3))
    shown = ModelInput(viewer, flat, flat)
    shown.show(look((0, 0, 40, 60)), Plane((0, 1)))
    assert shown.layer.data.shape == (SIDE, SIDE, 3)
    np.testing.assert_allclose(shown.layer.data_to_world((-0.5, 63.5)), (-1, 178.5))


def test_three_dimensions_do_not_disturb_it(viewer: ViewerModel, shown: ModelInput) -> None:
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    assert shown.layer in viewer.layers
