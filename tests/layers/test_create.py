from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes

from napari_sam2.layers.create import (
    OurLayers,
    create_mask,
    create_objects,
    create_points,
    create_shapes,
    ensure_layers,
    find_layers,
)
from tests.layers.conftest import pixels


@pytest.mark.parametrize("create", [create_points, create_shapes, create_mask, create_objects])
def test_our_layers_lie_on_the_image(image: Image, create) -> None:
    layer = create(image)
    corners = [(0, 0, 0), (4, 0, 59), (1, 39, 7)]
    ours, theirs = ([owner.data_to_world(at) for at in corners] for owner in (layer, image))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert layer.ndim == image.ndim
    assert layer.axis_labels == image.axis_labels
    assert layer.units == image.units


def test_objects_are_integers_shaped_as_the_image_without_colours() -> None:
    objects = create_objects(Image(pixels((20, 30, 3)), rgb=True))
    assert objects.data.shape == (20, 30)
    assert objects.data.dtype == np.int32


def test_on_an_image_that_is_turned_along_its_first_axis_they_are_shown_without_a_warning(
    viewer: ViewerModel,
) -> None:
    viewer.add_image(pixels())
    viewer.dims.order = (1, 0, 2)
    turn = [[0.8, 0, -0.6], [0, 1, 0], [0.6, 0, 0.8]]
    hidden = viewer.add_image(pixels(), rotate=turn, visible=False)
    made = ensure_layers(viewer, hidden)
    assert [layer.visible for layer in made] == [True] * 4


def test_layers_are_made_once(viewer: ViewerModel, scaled: Image) -> None:
    assert find_layers(viewer, scaled) is None
    made = ensure_layers(viewer, scaled)
    assert [layer.name for layer in viewer.layers] == [
        "cells",
        "cells: objects",
        "cells: mask",
        "cells: shapes",
        "cells: points",
    ]
    assert ensure_layers(viewer, scaled) == made
    assert len(viewer.layers) == 5


def test_renamed_layers_are_found(viewer: ViewerModel, scaled: Image) -> None:
    """micro-sam issue 17: renaming a layer broke the tool."""
    made = ensure_layers(viewer, scaled)
    for layer in viewer.layers:
        layer.name = f"my {layer.name}"
    assert find_layers(viewer, scaled) == made


def test_reordered_and_hidden_layers_are_found(viewer: ViewerModel, scaled: Image) -> None:
    made = ensure_layers(viewer, scaled)
    viewer.layers.reverse()
    for layer in made:
        layer.visible = False
    assert ensure_layers(viewer, scaled) == made


def test_a_layer_saved_and_opened_again_is_found(viewer: ViewerModel, scaled: Image) -> None:
    """micro-sam issues 929 and 943: layers were duplicated or missing on re-open."""
    made = ensure_layers(viewer, scaled)
    viewer.layers.remove(made.objects)
    opened = viewer.add_layer(Layer.create(*made.objects.as_layer_data_tuple()))
    assert ensure_layers(viewer, scaled) == made._replace(objects=opened)


def test_an_image_and_its_layers_saved_and_opened_again_belong_together(
    viewer: ViewerModel, scaled: Image
) -> None:
    made = ensure_layers(viewer, scaled)
    elsewhere = ViewerModel()
    opened = [
        elsewhere.add_layer(Layer.create(*layer.as_layer_data_tuple())) for layer in (scaled, *made)
    ]
    assert find_layers(elsewhere, opened[0]) == OurLayers(*opened[1:])
    opened[0].name = "renamed"
    assert find_layers(elsewhere, opened[0]) == OurLayers(*opened[1:]), "taken for good"


def test_layers_of_an_image_in_the_viewer_are_not_taken_by_a_namesake(
    viewer: ViewerModel, scaled: Image
) -> None:
    ensure_layers(viewer, scaled)
    scaled.name = "first"
    namesake = viewer.add_image(pixels(), name="cells")
    assert find_layers(viewer, namesake) is None


@pytest.mark.parametrize("mark", [None, "cells", {}, {"content": "mask"}, {"image": 3}])
def test_metadata_of_others_are_no_mark(viewer: ViewerModel, scaled: Image, mark) -> None:
    made = ensure_layers(viewer, scaled)
    made.mask.metadata["napari_sam2"] = mark
    assert find_layers(viewer, scaled) is None


def test_only_a_missing_layer_is_made_again(viewer: ViewerModel, scaled: Image) -> None:
    made = ensure_layers(viewer, scaled)
    viewer.layers.remove(made.mask)
    again = ensure_layers(viewer, scaled)
    assert again._replace(mask=made.mask) == made
    assert again.mask != made.mask
    assert list(viewer.layers)[1:] == list(again), "in its place among the others"


def test_each_image_has_its_own(viewer: ViewerModel, scaled: Image) -> None:
    other = viewer.add_image(pixels(), name="other")
    made = ensure_layers(viewer, scaled)
    assert find_layers(viewer, other) is None
    assert not set(map(id, ensure_layers(viewer, other))) & set(map(id, made))


def test_objects_of_another_shape_do_not_fit(viewer: ViewerModel, scaled: Image) -> None:
    before = ensure_layers(viewer, scaled)
    scaled.data = pixels((5, 20, 20))
    assert find_layers(viewer, scaled) is None
    after = ensure_layers(viewer, scaled)
    assert after.objects.data.shape == (5, 20, 20)
    assert before.objects in viewer.layers


def test_the_users_own_layers_are_not_taken(viewer: ViewerModel, scaled: Image) -> None:
    viewer.add_points(ndim=3)
    viewer.add_shapes(ndim=3)
    viewer.add_labels(np.zeros(scaled.data.shape, int))
    assert find_layers(viewer, scaled) is None


def test_kinds_are_as_named(viewer: ViewerModel, scaled: Image) -> None:
    layers = ensure_layers(viewer, scaled)
    assert isinstance(layers.objects, Labels)
    assert isinstance(layers.mask, Labels)
    assert isinstance(layers.shapes, Shapes)
    assert isinstance(layers.points, Points)
