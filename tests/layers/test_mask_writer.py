from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_sam2.errors import PromptError
from napari_sam2.layers.create import create_objects
from napari_sam2.layers.mask_writer import MaskWriter
from napari_sam2.session.prompts import PlaneImage, Request
from napari_sam2.session.results import Prediction
from tests.layers.conftest import SCALED, pixels


@pytest.fixture
def labels() -> Labels:
    return create_objects(Image(pixels(), **SCALED))


def prediction(
    *boxes: tuple[int, int, int, int],
    shape: tuple[int, int] = (40, 60),
    plane: tuple[int, ...] = (2,),
    axes: tuple[int, int] = (1, 2),
    object_id: int = 1,
) -> Prediction:
    """A candidate for each box."""
    masks = np.zeros((len(boxes), *shape), bool)
    for mask, (y0, x0, y1, x1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = True
    image = PlaneImage("plane", shape, lambda: np.zeros(shape))
    request = Request(image, object_id=object_id, plane=plane, axes=axes)
    ious = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return Prediction.of_masks(request, masks, ious, np.zeros((len(boxes), 4, 4), np.float32), 1.0)


A, B = (5, 5, 10, 10), (8, 8, 20, 20)


def drawn(labels: Labels, plane: int = 2) -> set[int]:
    return set(np.unique(labels.data[plane]).tolist())


def test_the_mask_is_drawn_on_its_plane_only(labels: Labels) -> None:
    MaskWriter(labels).show(prediction(A))
    expected = np.zeros_like(labels.data)
    expected[2, 5:10, 5:10] = 1
    assert np.array_equal(labels.data, expected)


@pytest.mark.parametrize(
    ("axes", "plane", "shape"), [((2, 0), (7,), (60, 5)), ((0, 2), (7,), (5, 60))]
)
def test_the_axes_of_the_request_are_followed(
    labels: Labels, axes: tuple[int, int], plane: tuple[int, ...], shape: tuple[int, int]
) -> None:
    MaskWriter(labels).show(prediction((1, 2, 3, 5), axes=axes, plane=plane, shape=shape))
    expected = np.zeros_like(labels.data)
    if axes == (2, 0):
        expected[2:5, 7, 1:3] = 1
    else:
        expected[1:3, 7, 2:5] = 1
    assert np.array_equal(labels.data, expected)


def test_a_new_mask_replaces_the_old_one_in_one_undo_step(labels: Labels) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    first = labels.data.copy()
    writer.show(prediction(B))
    assert labels.data[2, 5, 5] == 0
    assert labels.data[2, 15, 15] == 1
    labels.undo()
    assert np.array_equal(labels.data, first)
    labels.undo()
    assert not labels.data.any()


def test_an_unchanged_mask_is_no_undo_step(labels: Labels) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    writer.show(prediction(A))
    labels.undo()
    assert not labels.data.any()


def test_what_an_undo_brought_back_is_replaced_as_well(labels: Labels) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    writer.show(prediction(B))
    labels.undo()
    writer.show(prediction((30, 30, 35, 35)))
    assert np.count_nonzero(labels.data) == 25


def test_no_candidates_clear_the_mask(labels: Labels) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    assert writer.has_mask
    writer.show(prediction())
    assert not labels.data.any()
    assert not writer.has_mask


def test_other_objects_are_never_touched(labels: Labels) -> None:
    """micro-sam issues 535 and 967: committed objects were overwritten."""
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    assert writer.commit() == 1
    kept = labels.data == 1
    writer.show(prediction(B, object_id=2))
    assert np.array_equal(labels.data == 1, kept)
    writer.erase()
    assert np.array_equal(labels.data, kept)


def test_the_brush_of_the_user_stays(labels: Labels) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    labels.data[2, 30, 30] = 1
    writer.show(prediction(B))
    assert labels.data[2, 30, 30] == 1


def test_an_object_on_several_planes_is_erased_from_all(labels: Labels) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A, plane=(2,)))
    writer.show(prediction(B, plane=(3,)))
    assert drawn(labels, 2) == drawn(labels, 3) == {0, 1}
    writer.erase()
    assert not labels.data.any()


@pytest.mark.parametrize(
    ("axes", "plane", "shape"), [((1, 2), (2,), (40, 60)), ((2, 0), (7,), (60, 5))]
)
def test_clearing_takes_the_brush_of_the_user_along(
    labels: Labels, axes: tuple[int, int], plane: tuple[int, ...], shape: tuple[int, int]
) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction((1, 1, 3, 3), axes=axes, plane=plane, shape=shape))
    labels.data[2, 7, 30] = 1  # on both planes
    writer.erase()
    assert not labels.data.any()


def test_the_next_label_is_free(labels: Labels) -> None:
    labels.data[0, 0, 0] = 41
    writer = MaskWriter(labels)
    assert writer.object_id == labels.selected_label == 42
    writer.show(prediction(A, object_id=42))
    labels.data[0, 0, 1] = 99  # painted by the user meanwhile
    assert writer.commit() == 42
    assert writer.object_id == labels.selected_label == 100


def test_another_writer_goes_on_with_the_object_at_work(labels: Labels) -> None:
    MaskWriter(labels).show(prediction(A))
    writer = MaskWriter(labels)
    assert writer.object_id == labels.selected_label == 1
    writer.show(prediction())
    assert np.count_nonzero(labels.data) == 25  # no prompts here: what is drawn stays
    writer.show(prediction(B))
    assert np.count_nonzero(labels.data) == 144
    assert writer.commit() == 1
    assert MaskWriter(labels).object_id == 2


def test_another_writer_leaves_a_label_that_others_may_have_taken(labels: Labels) -> None:
    MaskWriter(labels)
    labels.data[0, 0, :2] = 1, 2
    assert MaskWriter(labels).object_id == 3


def test_an_answer_about_a_committed_object_is_dropped(labels: Labels) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    writer.commit()
    writer.show(prediction(B))
    assert np.count_nonzero(labels.data) == 25


def test_labels_that_the_dtype_cannot_hold_are_refused() -> None:
    """micro-sam issue 671: label ids overflowed."""
    labels = Labels(np.full((5, 40, 60), 255, np.uint8), name="full")
    with pytest.raises(PromptError, match=r"'full' needs room .*uint8 ends at 255"):
        MaskWriter(labels)


def test_a_mask_of_another_size_is_refused(labels: Labels) -> None:
    with pytest.raises(PromptError, match="must have the shape of the image"):
        MaskWriter(labels).show(prediction(A, shape=(20, 20)))


@pytest.mark.parametrize("shape", [(40, 60), (2, 40, 60), (5, 20, 60)])
def test_data_of_another_shape_have_no_mask_to_keep_or_clear(
    labels: Labels, shape: tuple[int, ...]
) -> None:
    writer = MaskWriter(labels)
    writer.show(prediction(A))
    labels.data = np.ones(shape, np.int32)
    assert not writer.has_mask
    writer.erase()
    assert labels.data.all()
    with pytest.raises(PromptError, match="must have the shape of the image"):
        writer.show(prediction(A))


def test_the_dtype_of_the_layer_is_kept() -> None:
    labels = Labels(np.zeros((40, 60), np.uint16))
    MaskWriter(labels).show(prediction(A, axes=(0, 1), plane=()))
    assert labels.data.dtype == np.uint16
    assert labels.data.max() == 1
