"""The part of a plane that is on screen, whatever lies between the image and the canvas."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.axes import displayed_plane
from napari_sam2.layers.visible import VisiblePart
from napari_sam2.session.boxes import contains
from napari_sam2.session.masks import Box
from tests.layers.conftest import SHAPE, pixels

WHOLE = (0, 0, *SHAPE[1:])


@pytest.fixture
def screen(viewer: ViewerModel) -> Iterator[VisiblePart]:
    screen = VisiblePart(viewer)
    yield screen
    screen.close()


def look(viewer: ViewerModel, world: tuple[float, float], height: float) -> None:
    """Bring a place of the world to the middle of the canvas, so much of it from top to bottom."""
    viewer.canvas.size = (600, 900)
    viewer.scene.camera.center = (0.0, *world)
    viewer.scene.camera.zoom = 600 / height


def seen(screen: VisiblePart, viewer: ViewerModel, image: Image) -> Box | None:
    return screen.box_on(image, displayed_plane(image, viewer.dims))


def test_all_of_an_image_is_seen_at_first(
    viewer: ViewerModel, image: Image, screen: VisiblePart
) -> None:
    viewer.reset_view()
    assert seen(screen, viewer, image) == WHOLE


def test_a_part_is_seen_as_pixels_of_the_plane(
    viewer: ViewerModel, scaled: Image, screen: VisiblePart
) -> None:
    look(viewer, (20, 35), height=4)  # (20, 30) in pixels, 8 pixels high, 12 wide
    assert seen(screen, viewer, scaled) == (16, 24, 25, 37)


def test_what_is_on_screen_lies_in_the_box(
    viewer: ViewerModel, image: Image, screen: VisiblePart
) -> None:
    """In every placing: each pixel is carried into the world, and looked for on the canvas."""
    middle = image.data_to_world((2, 15, 40))[1:]
    look(viewer, middle, height=5)
    box = seen(screen, viewer, image)
    assert box is not None
    at = np.argwhere(np.ones((40, 60)))
    world = np.array([image.data_to_world((2, *pixel))[1:] for pixel in at])
    on_screen = at[(np.abs(world - middle) <= (2.5, 3.75)).all(axis=1)]
    assert contains(box, (*on_screen.min(axis=0), *(on_screen.max(axis=0) + 1)))
    assert box != WHOLE


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (2, 1, 0)])
def test_other_axes_may_be_on_screen(
    viewer: ViewerModel, scaled: Image, screen: VisiblePart, order: tuple[int, int, int]
) -> None:
    viewer.dims.order = order
    at = np.array((3, 20, 30))
    world = np.array(scaled.data_to_world(at))[list(order[1:])]
    look(viewer, tuple(world), height=4)
    rows, columns = sorted(order[1:])
    half = np.array(order).argsort()[[rows, columns]] == 2  # along the width of the canvas?
    size = np.where(half, 3, 2) / np.array((2, 0.5, 0.5))[[rows, columns]]
    low, high = at[[rows, columns]] - size, at[[rows, columns]] + size
    limits = np.array(SHAPE)[[rows, columns]]
    wanted = np.maximum(np.floor(low + 0.5), 0), np.minimum(np.ceil(high + 0.5), limits)
    assert seen(screen, viewer, scaled) == tuple(int(edge) for edge in np.ravel(wanted))


def test_an_image_beside_the_canvas_is_not_seen(
    viewer: ViewerModel, scaled: Image, screen: VisiblePart
) -> None:
    look(viewer, (200, 35), height=4)
    assert seen(screen, viewer, scaled) is None


def test_of_a_grid_each_image_has_its_part(
    viewer: ViewerModel, scaled: Image, screen: VisiblePart
) -> None:
    viewer.add_image(pixels(), scale=(2, 0.5, 0.5), translate=(0, 10, 20))
    look(viewer, (20, 35), height=4)
    viewer.canvas.grid.shape = (1, 2)
    viewer.canvas.grid.enabled = True
    assert seen(screen, viewer, scaled) == (16, 27, 25, 34)


def test_units_of_the_world_may_be_others(viewer: ViewerModel, screen: VisiblePart) -> None:
    image = viewer.add_image(pixels((40, 60)), scale=(0.5, 0.5), units=("um", "um"))
    viewer.add_image(pixels((40, 60)), scale=(500, 500), units=("nm", "nm"))
    assert str(viewer.dims.units[0]) == "nanometer"
    look(viewer, (10_000, 15_000), height=4000)
    assert seen(screen, viewer, image) == (16, 24, 25, 37)


def test_a_pyramid_is_seen_in_pixels_of_its_finest_level(
    viewer: ViewerModel, screen: VisiblePart
) -> None:
    data = pixels((400, 600))
    image = viewer.add_image([data, data[::2, ::2]], multiscale=True, scale=(0.5, 0.5))
    look(viewer, (100, 150), height=40)
    assert seen(screen, viewer, image) == (160, 240, 241, 361)


@pytest.mark.parametrize(("level", "corners"), [(0, (30, 60)), (1, (15, 30))])
def test_without_a_canvas_to_ask_what_was_drawn_last_is_taken(level: int, corners: Any) -> None:
    """napari before 0.9."""
    viewer = ViewerModel()
    data = pixels((400, 600))
    image = viewer.add_image([data, data[::2, ::2]], multiscale=True, scale=(0.5, 0.5))
    image.data_level = level
    image.corner_pixels = np.array([corners, (99 // (level + 1), 199 // (level + 1))])
    old = SimpleNamespace(camera=viewer.scene.camera, dims=viewer.dims)
    screen = VisiblePart(old)
    assert seen(screen, viewer, image) == (30, 60, 100, 200)
    screen.close()


def test_moves_are_told_until_it_is_closed(viewer: ViewerModel) -> None:
    screen, heard = VisiblePart(viewer), Mock()
    screen.moved.connect(heard, check_nargs=False)
    viewer.scene.camera.center = (0, 5, 5)
    viewer.scene.camera.zoom = 3
    assert heard.call_count == 2
    screen.close()
    viewer.scene.camera.zoom = 4
    assert heard.call_count == 2
