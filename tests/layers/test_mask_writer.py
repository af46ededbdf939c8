"""Labels of a layer, read and changed through the one door."""

from __future__ import annotations

import copy
import json
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_sam2.layers.create import create_objects
from napari_sam2.layers.mask_writer import LabelLayer
from napari_sam2.session.history import PixelEdit
from tests.layers.conftest import SCALED, pixels

AT = (np.array([2, 2, 3]), np.array([5, 6, 7]), np.array([8, 9, 10]))


@pytest.fixture
def labels() -> Labels:
    return create_objects(Image(pixels(), **SCALED))


def edit(before: int, after: int) -> PixelEdit:
    edit = PixelEdit.of(AT, np.asarray(before), np.asarray(after))
    assert edit is not None
    return edit


def test_an_edit_is_made_and_taken_back(labels: Labels) -> None:
    store = LabelLayer(labels)
    store.write(edit(0, 4))
    assert labels.data[AT].tolist() == [4, 4, 4]
    assert np.count_nonzero(labels.data) == 3
    store.write(edit(0, 4).reversed())
    assert not labels.data.any()


def test_what_has_changed_since_is_left_alone(labels: Labels) -> None:
    store = LabelLayer(labels)
    labels.data[2, 5, 8] = 9
    store.write(edit(0, 4))
    assert labels.data[AT].tolist() == [9, 4, 4]


def test_an_edit_shows_at_once(labels: Labels) -> None:
    heard = Mock()
    labels.events.labels_update.connect(heard)
    LabelLayer(labels).write(edit(0, 4))
    assert heard.call_count == 1


def test_a_hidden_layer_is_written_and_shown_later(viewer: ViewerModel) -> None:
    image = viewer.add_image(pixels(), **SCALED)
    labels = viewer.add_layer(create_objects(image))
    labels.visible = False
    viewer.dims.set_point(0, 4)
    LabelLayer(labels).write(edit(0, 4))
    assert labels.data[AT].tolist() == [4, 4, 4]
    labels.visible = True
    assert labels.get_value((4, 10 + 5 / 2, 20 + 8 / 2), world=True) == 4


def test_a_value_that_does_not_fit_is_made_room_for() -> None:
    labels = Labels(np.full((4, 4), 250, np.uint8))
    store, replaced = LabelLayer(labels), Mock()
    store.replaced.connect(replaced)
    store.hold(255)
    assert labels.data.dtype == np.uint8
    store.hold(256)
    assert labels.data.dtype == np.int16
    assert (labels.data == 250).all()
    replaced.assert_not_called()


@pytest.mark.parametrize("act", ["paint", "fill", "polygon", "setitem"])
def test_what_the_user_paints_is_told_exactly(labels: Labels, act: str) -> None:
    store, told = LabelLayer(labels), []
    store.painted.connect(told.extend)
    labels.selected_label = 3
    before = labels.data.copy()
    if act == "paint":
        labels.paint((0, 8, 8), 3)
        labels.paint((0, 9, 9), 5)
    elif act == "fill":
        labels.fill((0, 3, 3), 7)
    elif act == "polygon":
        labels.paint_polygon(np.array([[0, 2, 2], [0, 2, 9], [0, 9, 9]]), 2)
    else:
        labels.data_setitem(AT, np.array([1, 2, 3]))
    replayed = before.copy()
    for edit in told:
        at = edit.indices()
        assert (replayed[at] == edit.before).all()
        replayed[at] = edit.after
    np.testing.assert_array_equal(replayed, labels.data)
    assert (replayed != before).any()


def test_our_own_edits_are_not_told(labels: Labels) -> None:
    store, told = LabelLayer(labels), Mock()
    store.painted.connect(told)
    store.write(edit(0, 4))
    told.assert_not_called()
    store.close()
    labels.paint((0, 8, 8), 3)
    told.assert_not_called()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 5)), unique=True, min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_an_edit_is_what_it_was_made_of(pixels: list[tuple[int, int, int]], random) -> None:
    indices = tuple(np.array(axis) for axis in zip(*pixels, strict=True))
    before = np.array([random.randint(0, 3) for _ in pixels])
    after = np.array([random.randint(0, 3) for _ in pixels])
    edit = PixelEdit.of(indices, before, after)
    array = np.zeros((4, 5, 6), int)
    array[indices] = before
    wanted = array.copy()
    wanted[indices] = after
    if edit is not None:
        assert (array[edit.indices()] == edit.before).all()
        array[edit.indices()] = edit.after
        assert edit.count == (before != after).sum()
    np.testing.assert_array_equal(array, wanted)


def test_the_document_in_the_metadata_is_text_to_others() -> None:
    """Writers of other plugins may dump a layer's metadata."""
    from napari_sam2.layers.create import ensure_layers
    from napari_sam2.layers.kept_document import open_document

    viewer = ViewerModel()
    layers = ensure_layers(viewer, viewer.add_image(pixels(), **SCALED))
    document = open_document(layers, lambda: (1, 2))
    assert open_document(layers, lambda: (1, 2)) is document
    assert isinstance(json.loads(json.dumps(layers.objects.metadata)), dict)
    copied = copy.deepcopy(layers.objects.metadata)
    assert all(type(value) in (str, dict) for value in copied.values())
