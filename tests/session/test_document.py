from __future__ import annotations

import math

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.document import Document
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.labels import ArrayLabels
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer, ObjectClass, PlacedPoint, PlacedPrompts
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts

SHAPE = (12, 16)
PLANE = Plane((1, 2), (1,))
OTHER = Plane((1, 2), (3,))


class Desk:
    """A document on a small stack, and short ways of doing things to it."""

    def __init__(self, dtype: type = np.int32) -> None:
        self.labels = ArrayLabels(np.zeros((5, *SHAPE), dtype))
        self.document = Document(self.labels)

    @property
    def data(self) -> np.ndarray:
        return self.labels.data

    def answer(self, *masks: np.ndarray, plane: Plane = PLANE, model: str = "micro") -> None:
        points = tuple((p.position[1], p.position[2]) for p in self.document.at_work.prompts.points)
        prompts = Prompts(points or ((1.0, 1.0),), (1,) * max(len(points), 1))
        answer = Answer(
            prompts,
            tuple(PackedMask.of(mask) for mask in masks),
            (0.9, 0.5, 0.2)[: len(masks)],
            model=model,
        )
        self.document.set_answer(plane, SHAPE, answer)

    def click(self, y: float, x: float, plane: Plane = PLANE) -> None:
        points = self.document.at_work.prompts.points
        point = PlacedPoint((float(plane.index[0]), y, x))
        self.document.set_prompts(PlacedPrompts((*points, point)), plane)

    def keep(self, mask: np.ndarray, plane: Plane = PLANE) -> int:
        self.click(1, 1, plane)
        self.answer(mask, plane=plane)
        return self.document.commit()

    def paint(self, value: int, mask: np.ndarray, plane: Plane = PLANE) -> None:
        """Paint by hand, as napari does it: the pixels first, the news after."""
        indices = plane.indices(*np.nonzero(mask))
        before = self.data[indices]
        self.data[indices] = value
        edit = PixelEdit.of(indices, before, np.asarray(value))
        self.document.record_paint([] if edit is None else [edit], plane)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def square(y: int, x: int, side: int = 3) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_a_kept_object_is_in_the_labels_and_in_the_table(desk: Desk) -> None:
    desk.click(2, 3)
    desk.answer(square(1, 2))
    assert not desk.data.any()
    assert desk.document.commit() == 1
    assert (desk.data[1] == square(1, 2)).all()
    assert desk.data.sum() == 9
    record = desk.document.state.objects[1]
    assert (record.area, record.start, record.stop) == (9, (1, 1, 2), (2, 4, 5))
    assert record.score == pytest.approx(0.9)
    assert record.work is not None
    assert record.work.prompts.points == (PlacedPoint((1.0, 2, 3)),)
    assert desk.document.at_work.object_id == 2
    assert not desk.document.at_work.prompts


def test_an_object_on_two_planes_is_one(desk: Desk) -> None:
    desk.click(2, 3)
    desk.answer(square(1, 2))
    desk.click(2, 3, OTHER)
    desk.answer(square(5, 5), plane=OTHER)
    desk.document.commit()
    assert (desk.data[3] == square(5, 5)).all()
    record = desk.document.state.objects[1]
    assert (record.area, record.start, record.stop) == (18, (1, 1, 2), (4, 8, 8))


def test_undo_of_everything_restores_the_start(desk: Desk) -> None:
    states, pixels = [desk.document.state], [desk.data.copy()]

    def note() -> None:
        states.append(desk.document.state)
        pixels.append(desk.data.copy())

    desk.click(2, 3)
    desk.answer(square(1, 2), square(2, 2))
    note()
    desk.document.choose(PLANE, 1)
    note()
    desk.document.commit()
    note()
    desk.paint(1, square(8, 8))
    note()
    desk.click(9, 9)
    desk.answer(square(8, 8, 2))
    note()
    desk.document.policy = "replace"
    desk.document.commit()
    note()
    desk.document.merge([1, 2])
    note()
    desk.document.reopen(1, (1, 2))
    note()
    desk.document.cancel()
    note()
    desk.document.rename(1, "nucleus")
    note()
    desk.document.delete([1])
    note()
    for state, data in zip(states[-2::-1], pixels[-2::-1], strict=True):
        assert desk.document.undo() is not None
        assert desk.document.state is state
        np.testing.assert_array_equal(desk.data, data)
    assert desk.document.undo() is None
    for state, data in zip(states[1:], pixels[1:], strict=True):
        assert desk.document.redo() is not None
        assert desk.document.state is state
        np.testing.assert_array_equal(desk.data, data)
    assert desk.document.redo() is None


def test_an_answer_is_no_step_of_its_own(desk: Desk) -> None:
    desk.click(2, 3)
    desk.answer(square(1, 2))
    assert desk.document.undo_title == "add a point"
    desk.document.undo()
    assert not desk.document.at_work.has_mask
    desk.document.redo()
    mask = desk.document.mask_on(PLANE)
    assert mask is not None
    assert (mask.to_array() == square(1, 2)).all()


def test_another_models_answer_is_a_step(desk: Desk) -> None:
    desk.click(2, 3)
    desk.answer(square(1, 2))
    desk.answer(square(4, 4), model="tiny")
    assert desk.document.undo_title == "mask by tiny"
    desk.document.undo()
    mask = desk.document.mask_on(PLANE)
    assert mask is not None
    assert (mask.to_array() == square(1, 2)).all()


@pytest.mark.parametrize(
    ("policy", "old", "stray", "new"),
    [("keep", 9, 0, 12), ("replace", 5, 0, 16), ("empty", 9, 4, 8)],
)
def test_where_masks_meet(desk: Desk, policy: str, old: int, stray: int, new: int) -> None:
    desk.keep(square(2, 2))
    desk.paint(77, square(5, 5, 2))
    desk.document.policy = policy
    assert desk.keep(square(3, 3, 4)) == 78 - 77 + 1
    counts = {value: int((desk.data == value).sum()) for value in (1, 77, 2)}
    assert counts == {1: old, 77: stray, 2: new}
    assert desk.document.state.objects[1].area == old
    assert desk.document.state.objects[2].area == new


def test_painting_by_hand_is_kept_and_counted(desk: Desk) -> None:
    desk.keep(square(2, 2))
    desk.paint(1, square(2, 8))
    desk.paint(0, square(2, 2, 1))
    assert desk.document.state.objects[1].area == 17
    assert desk.document.state.objects[1].stop == (2, 5, 11)
    desk.document.undo()
    desk.document.undo()
    assert desk.document.state.objects[1].area == 9
    assert (desk.data[1] == square(2, 2)).all()


def test_an_object_that_was_only_painted_can_be_kept(desk: Desk) -> None:
    desk.paint(1, square(2, 2))
    assert desk.document.commit() == 1
    record = desk.document.state.objects[1]
    assert record.area == 9
    assert math.isnan(record.score)
    assert not desk.document.state.strays


def test_the_next_label_is_never_one_that_was_painted(desk: Desk) -> None:
    desk.paint(7, square(8, 8))
    desk.keep(square(2, 2))
    assert desk.document.at_work.object_id == 8


def test_the_brush_on_the_mask_outlives_the_next_answer(desk: Desk) -> None:
    desk.click(2, 3)
    desk.answer(square(1, 2))
    desk.document.paint_over({PLANE: (PackedMask.of(square(8, 8)), PackedMask(SHAPE))})
    desk.document.paint_over({PLANE: (PackedMask(SHAPE), PackedMask.of(square(1, 2, 1)))})
    desk.click(3, 3)
    desk.answer(square(1, 2, 4))
    desk.document.commit()
    wanted = (square(1, 2, 4) | square(8, 8)) & ~square(1, 2, 1)
    assert (desk.data[1] == wanted).all()


def test_the_last_stroke_on_a_pixel_counts(desk: Desk) -> None:
    nothing, pixel = PackedMask(SHAPE), PackedMask.of(square(8, 8, 1))
    for added, removed in ((pixel, nothing), (nothing, pixel), (pixel, nothing)):
        desk.document.paint_over({PLANE: (added, removed)})
        mask = desk.document.mask_on(PLANE)
        assert mask is not None
        assert mask.area == added.area


def test_reopening_brings_back_prompts_and_pixels_exactly(desk: Desk) -> None:
    desk.click(2, 3)
    desk.answer(square(1, 2), square(2, 2))
    desk.document.choose(PLANE, 1)
    at_work = desk.document.at_work
    desk.document.commit()
    desk.paint(0, square(2, 2, 1))
    desk.document.reopen(1, (1, 2))
    assert not desk.data.any()
    again = desk.document.at_work
    assert again.object_id == 1
    assert again.prompts == at_work.prompts
    assert again.planes[PLANE].answer == at_work.planes[PLANE].answer
    mask = desk.document.mask_on(PLANE)
    assert mask is not None
    assert (mask.to_array() == (square(2, 2) & ~square(2, 2, 1))).all()
    assert desk.document.commit() == 1
    assert desk.data.sum() == 8
    assert desk.document.at_work.object_id == 2


def test_cancelling_what_was_reopened_leaves_it_as_it_was(desk: Desk) -> None:
    desk.keep(square(2, 2))
    desk.document.rename(1, "first")
    record, before = desk.document.state.objects[1], desk.data.copy()
    desk.document.reopen(1, (1, 2))
    desk.click(9, 9)
    desk.answer(square(8, 8))
    desk.document.cancel()
    np.testing.assert_array_equal(desk.data, before)
    assert desk.document.state.objects == {1: record}
    assert desk.document.at_work.object_id == 2


def test_reopening_keeps_the_object_at_work_first(desk: Desk) -> None:
    desk.keep(square(2, 2))
    desk.click(9, 9)
    desk.answer(square(8, 8))
    desk.document.reopen(1, (1, 2))
    assert (desk.data[1] == 2 * square(8, 8)).all()
    assert set(desk.document.state.objects) == {2}


def test_reopening_on_other_axes_shows_the_same_pixels(desk: Desk) -> None:
    desk.keep(square(2, 4))
    desk.document.reopen(1, (2, 0))
    pixels = np.zeros_like(desk.data)
    for plane in desk.document.at_work.planes:
        mask = desk.document.mask_on(plane)
        assert mask is not None
        pixels[plane.indices(*mask.pixels())] = 1
    assert (pixels[1] == square(2, 4)).all()
    assert pixels.sum() == 9


def test_a_label_from_elsewhere_is_begun_from(desk: Desk) -> None:
    desk.document.begin_from({PLANE: PackedMask.of(square(2, 2))})
    desk.document.commit()
    assert (desk.data[1] == square(2, 2)).all()


def test_merging_makes_one_object(desk: Desk) -> None:
    for y in (0, 4, 8):
        desk.keep(square(y, y))
    desk.document.rename(3, "third")
    assert desk.document.merge([3, 1]) == 1
    record = desk.document.state.objects[1]
    assert set(desk.document.state.objects) == {1, 2}
    assert (record.area, record.name) == (18, "third")
    assert record.work is None
    assert (desk.data[1] == square(0, 0) + 2 * square(4, 4) + square(8, 8)).all()


def test_a_class_that_is_gone_leaves_its_objects_without(desk: Desk) -> None:
    desk.keep(square(0, 0))
    desk.document.set_classes([ObjectClass("cell", "#ff0000")])
    desk.document.set_class([1], "cell")
    assert desk.document.state.objects[1].class_name == "cell"
    desk.document.set_classes([])
    assert desk.document.state.objects[1].class_name == ""


def test_the_labels_grow_before_they_overflow() -> None:
    desk = Desk(np.uint8)
    desk.paint(255, square(8, 8))
    assert desk.keep(square(0, 0)) == 1
    assert desk.keep(square(4, 4)) == 256
    assert desk.data[1, 4, 4] == 256
    assert desk.data[1, 8, 8] == 255


def test_cleaning_up_is_seen_before_it_is_kept(desk: Desk) -> None:
    ring = square(1, 1, 5) & ~square(3, 3, 1)
    desk.document.cleanup = Cleanup(fill_holes=True)
    desk.click(2, 2)
    desk.answer(ring)
    mask = desk.document.mask_on(PLANE)
    assert mask is not None
    assert (mask.to_array() == square(1, 1, 5)).all()
    desk.document.commit()
    assert (desk.data[1] == square(1, 1, 5)).all()


def test_only_what_was_clicked_is_kept_until_all_parts_are_asked_for(desk: Desk) -> None:
    clicked, elsewhere = square(1, 1), square(9, 9)
    desk.click(2, 2)
    desk.answer(clicked | elsewhere)
    mask = desk.document.mask_on(PLANE)
    assert mask is not None
    assert (mask.to_array() == clicked).all()
    desk.document.cleanup = Cleanup(only_clicked=False)
    mask = desk.document.mask_on(PLANE)
    assert mask is not None
    assert (mask.to_array() == (clicked | elsewhere)).all()


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda d: d.commit(), "no mask to keep"),
        (lambda d: d.delete([5]), "no object 5"),
        (lambda d: d.merge([1]), "no object 1"),
        (lambda d: d.reopen(9, (1, 2)), "no object 9"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(desk: Desk, act, sentence: str) -> None:
    state = desk.document.state
    with pytest.raises(PromptError, match=sentence):
        act(desk.document)
    assert desk.document.state is state
    assert not desk.document.undo_title


def test_a_mask_that_would_vanish_is_not_kept(desk: Desk) -> None:
    desk.keep(square(2, 2, 5))
    desk.click(3, 3)
    desk.answer(square(3, 3, 2))
    with pytest.raises(PromptError, match="replace"):
        desk.document.commit()
    assert desk.document.at_work.has_mask


def test_the_oldest_steps_are_forgotten_when_memory_is_short() -> None:
    document = Document(ArrayLabels(np.zeros((5, *SHAPE), np.int32)), max_bytes=10_000)
    for y in range(20):
        document.set_prompts(PlacedPrompts((PlacedPoint((1.0, y, 0.0)),)), PLANE)
    steps = 0
    while document.undo() is not None:
        steps += 1
    assert 2 <= steps < 20
