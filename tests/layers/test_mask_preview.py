"""The object at work in a layer of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.layers.create import OurLayers, ensure_layers
from napari_sam2.layers.kept_document import open_document
from napari_sam2.session.document import Document
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer, PlacedPoint, PlacedPrompts
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts
from tests.layers.conftest import SCALED, pixels

PLANE, SIZE = Plane((1, 2), (2,)), (40, 60)
Desk = tuple[ViewerModel, OurLayers, Document]


@pytest.fixture
def desk(viewer: ViewerModel) -> Desk:
    layers = ensure_layers(viewer, viewer.add_image(pixels(), **SCALED))
    return viewer, layers, open_document(layers, lambda: (1, 2))


def square(y: int, x: int, side: int = 5, shape: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def answer(document: Document, mask: np.ndarray, plane: Plane = PLANE) -> None:
    document.set_prompts(PlacedPrompts((PlacedPoint((2.0, 1.0, 1.0)),)), plane)
    prompts = Prompts(((1.0, 1.0),), (1,))
    document.set_answer(plane, mask.shape, Answer(prompts, (PackedMask.of(mask),), (0.9,)))


def drawn(layers: OurLayers, plane: Plane = PLANE) -> np.ndarray:
    return plane.as_displayed(layers.mask.data[plane.key])


def test_the_mask_is_drawn_on_its_plane_only(desk: Desk) -> None:
    _, layers, document = desk
    answer(document, square(5, 5))
    assert (drawn(layers) == square(5, 5)).all()
    assert np.count_nonzero(layers.mask.data) == 25
    assert not layers.objects.data.any()


@pytest.mark.parametrize("plane", [Plane((2, 0), (7,)), Plane((0, 2), (7,))])
def test_the_axes_of_the_plane_are_followed(desk: Desk, plane: Plane) -> None:
    _, layers, document = desk
    mask = square(1, 2, 3, plane.shape_of((5, 40, 60)))
    answer(document, mask, plane)
    assert (drawn(layers, plane) == mask).all()
    assert np.count_nonzero(layers.mask.data) == mask.sum()


def test_only_changed_pixels_are_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    _, layers, document = desk
    answer(document, square(5, 5))
    written: list[int] = []
    original = type(layers.mask).data_setitem

    def spy(self: Any, indices: Any, value: Any, refresh: bool = True) -> None:
        written.append(len(indices[0]))
        original(self, indices, value, refresh)

    monkeypatch.setattr(type(layers.mask), "data_setitem", spy)
    answer(document, square(5, 6))
    assert written == [10]
    answer(document, square(5, 6))
    assert written == [10]


def test_the_next_object_has_its_own_label_and_the_old_mask_is_gone(desk: Desk) -> None:
    _, layers, document = desk
    answer(document, square(5, 5))
    document.commit()
    assert not layers.mask.data.any()
    assert layers.mask.selected_label in (0, 2)
    answer(document, square(9, 9))
    assert set(np.unique(layers.mask.data)) == {0, 2}


def test_the_brush_adds_and_the_eraser_removes(desk: Desk) -> None:
    _, layers, document = desk
    answer(document, square(5, 5))
    layers.mask.selected_label = 1
    layers.mask.brush_size = 1
    layers.mask.paint((2, 20, 20), 1)
    layers.mask.paint((2, 5, 5), 0)
    wanted = square(5, 5) | square(20, 20, 1)
    wanted[5, 5] = False
    assert (drawn(layers) == wanted).all()
    answer(document, square(5, 5, 7))
    wanted = square(5, 5, 7) | square(20, 20, 1)
    wanted[5, 5] = False
    assert (drawn(layers) == wanted).all()
    document.commit()
    assert (layers.objects.data[2] == wanted).all()


def test_a_stroke_of_another_colour_is_of_the_same_object(desk: Desk) -> None:
    _, layers, document = desk
    layers.mask.paint((2, 20, 20), 7)
    document.commit()
    assert set(np.unique(layers.objects.data)) == {0, 1}


def test_undo_takes_a_stroke_back(desk: Desk) -> None:
    _, layers, document = desk
    answer(document, square(5, 5))
    layers.mask.paint((2, 20, 20), 1)
    document.undo()
    assert (drawn(layers) == square(5, 5)).all()
    document.redo()
    assert drawn(layers)[20, 20] == 1


def test_a_layer_that_was_deleted_is_drawn_anew(desk: Desk) -> None:
    viewer, layers, document = desk
    answer(document, square(5, 5))
    viewer.layers.remove(layers.mask)
    again = ensure_layers(viewer, viewer.layers[0])
    assert again.mask != layers.mask
    assert open_document(again, lambda: (1, 2)) is document
    assert (drawn(again) == square(5, 5)).all()
    document.commit()
    assert not again.mask.data.any()
    assert layers.mask.data.any()  # nobody follows it any more


def test_what_was_in_the_layer_before_is_kept(viewer: ViewerModel) -> None:
    """As after saving the layers and opening them again."""
    layers = ensure_layers(viewer, viewer.add_image(pixels(), **SCALED))
    layers.mask.metadata["napari_sam2"].pop("is_new")
    layers.objects.metadata["napari_sam2"].pop("is_new")
    layers.mask.data[2][square(3, 3)] = 9
    layers.objects.data[1, 4, 4] = 5
    document = open_document(layers, lambda: (1, 2))
    assert document.at_work.object_id == 6
    assert document.state.objects[5].area == 1
    document.commit()
    assert (layers.objects.data[2] == 6 * square(3, 3)).all()
