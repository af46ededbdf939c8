from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Points

from napari_sam2.errors import PromptError
from napari_sam2.layers.axes import displayed_plane, map_positions
from napari_sam2.session.planes import Plane
from tests.layers.conftest import SCALED, SHAPE, pixels, show_plane


@pytest.mark.parametrize("index", [0, 3, 4])
def test_the_slider_chooses_the_plane_of_the_data(
    viewer: ViewerModel, image: Image, index: int
) -> None:
    show_plane(viewer, image, index)
    assert displayed_plane(image, viewer.dims) == Plane((1, 2), (index,))


@pytest.mark.parametrize("order", [(1, 0, 2), (1, 2, 0)])
def test_a_plane_is_the_same_with_rows_and_columns_exchanged(
    viewer: ViewerModel, scaled: Image, order: tuple[int, int, int]
) -> None:
    viewer.dims.order = order
    viewer.dims.set_point(1, scaled.data_to_world((0, 7, 0))[1])
    plane = displayed_plane(scaled, viewer.dims)
    assert plane == Plane((0, 2), (7,))
    assert plane.shape_of(SHAPE) == (5, 60)
    assert np.array_equal(plane.as_displayed(scaled.data[plane.key]), scaled.data[:, 7])


def test_a_2d_image_below_a_stack_has_no_hidden_axes(viewer: ViewerModel, scaled: Image) -> None:
    flat = viewer.add_image(pixels((40, 60)))
    assert displayed_plane(flat, viewer.dims) == Plane((0, 1), ())


def test_the_hidden_axes_of_four_dimensions_keep_their_order(viewer: ViewerModel) -> None:
    movie = viewer.add_image(pixels((3, 4, 20, 30)))
    viewer.dims.order = (2, 1, 0, 3)
    viewer.dims.set_point([1, 2], [3, 7])
    plane = displayed_plane(movie, viewer.dims)
    assert plane == Plane((0, 3), (3, 7))
    assert plane.key == (slice(None), 3, 7, slice(None))


def test_the_3d_view_is_refused(viewer: ViewerModel, scaled: Image) -> None:
    viewer.dims.ndisplay = 3
    with pytest.raises(PromptError, match="2-D view"):
        displayed_plane(scaled, viewer.dims)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize("row", [0, 1])
def test_a_plane_across_the_voxels_is_refused(viewer: ViewerModel, row: int) -> None:
    tilt = np.eye(4)
    tilt[row, 1 - row] = 0.3
    tilted = viewer.add_image(pixels(), affine=tilt, name="tilted")
    with pytest.raises(PromptError, match="'tilted', but the layer is rotated or sheared"):
        displayed_plane(tilted, viewer.dims)


def test_an_axis_that_the_image_lacks_is_refused(viewer: ViewerModel, scaled: Image) -> None:
    flat = viewer.add_image(pixels((40, 60)), name="flat")
    viewer.dims.order = (1, 0, 2)
    with pytest.raises(PromptError, match="Two axes of 'flat'"):
        displayed_plane(flat, viewer.dims)


def test_a_slider_beyond_the_image_is_refused(viewer: ViewerModel, scaled: Image) -> None:
    viewer.add_image(pixels(), translate=(100, 0, 0))
    viewer.dims.set_point(0, 100)
    with pytest.raises(PromptError, match="one of the 5 planes of 'cells', got number 50"):
        displayed_plane(scaled, viewer.dims)


def test_the_slider_counts_in_the_units_of_the_world(viewer: ViewerModel) -> None:
    viewer.add_image(pixels(), units="nm", scale=(500, 500, 500))
    stack = viewer.add_image(pixels(), units="um", scale=(0.5, 0.5, 0.5))
    viewer.dims.set_point(0, 1500)
    assert displayed_plane(stack, viewer.dims).index == (3,)


def test_positions_go_through_the_world(image: Image) -> None:
    points = Points(ndim=3, scale=(1, 3, 3), translate=(4, -5, 6), rotate=20)
    there = np.array([[2, 10, 20], [2, 0, 0], [1, 39.5, 59.5]])
    world = [image.data_to_world(position) for position in there]
    data = [points.world_to_data(position) for position in world]
    np.testing.assert_allclose(map_positions(points, image, data), there, atol=1e-5)


def test_many_positions_go_the_way_of_few(image: Image) -> None:
    points = Points(ndim=3, scale=(1, 3, 3), translate=(4, -5, 6), rotate=20)
    many = np.random.default_rng(0).uniform(-50, 200, (100, 3))
    one_by_one = [map_positions(points, image, [position])[0] for position in many]
    np.testing.assert_allclose(map_positions(points, image, many), one_by_one, atol=1e-9)


def test_positions_keep_their_length_between_units() -> None:
    metric = Image(pixels(), units="um", **SCALED)
    points = Points(ndim=3, units="nm", scale=(1000, 1000, 1000))
    there = np.array([[1, 10, 20]])
    world_um = np.array(metric.data_to_world(there[0]))
    np.testing.assert_allclose(map_positions(points, metric, [world_um]), there, atol=1e-6)


@pytest.mark.parametrize("units", [("um", None), (None, "um")])
def test_without_a_common_unit_the_numbers_count_as_they_do_for_napari(units) -> None:
    """A label layer in pixels beside an image in micrometres could not be refined."""
    source, target = Points(ndim=3, units=units[0]), Image(pixels(), units=units[1], **SCALED)
    there = np.array([[1, 10, 20]])
    world = target.data_to_world(there[0])
    np.testing.assert_allclose(map_positions(source, target, [world]), there, atol=1e-6)


def test_no_positions_are_none() -> None:
    assert map_positions(Points(ndim=3), Image(pixels()), np.empty((0, 3))).shape == (0, 3)


def test_a_position_is_on_the_plane_that_it_is_nearest_to() -> None:
    positions = np.array([[1.6, 5, 5], [2.4, 5, 5], [2.6, 5, 5]])
    assert Plane((1, 2), (2,)).holds(positions).tolist() == [True, True, False]
    assert Plane((0, 1), ()).holds(positions[:, 1:]).tolist() == [True, True, True]
