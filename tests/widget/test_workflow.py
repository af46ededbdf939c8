"""What people do to a panel that nobody expected: images of all kinds, other views, other orders.

A real panel on a viewer without a window; answers come when the test waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.errors import PromptError, WeightsError
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.objects import ObjectClass
from tests.widget.desk import Desk, desk_on

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def desk(viewer: ViewerModel, stack: object) -> Iterator[Desk]:
    """A panel that annotates a stack of 5 x 40 x 60."""
    with desk_on(viewer) as desk:
        desk.annotate()
        desk.go_to(2)
        yield desk


# Images of all kinds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "settings", "at"),
    [
        ((40, 60), {}, (10, 20)),
        ((40, 60, 3), {"rgb": True}, (10, 20)),
        ((2, 3, 40, 60), {"scale": (1, 2, 0.5, 0.5)}, (1, 2, 10, 20)),
        ((40, 60), {"rotate": 30, "shear": (0.3,), "translate": (5, 7)}, (10, 20)),
        ((3, 40, 60), {"units": ("um", "nm", "nm"), "scale": (1, 500, 500)}, (1, 10, 20)),
    ],
    ids=["2-D", "RGB", "4-D", "turned", "units"],
)
def test_click_keep_and_undo(viewer: ViewerModel, shape, settings, at) -> None:
    viewer.add_image(np.zeros(shape, np.uint8), **settings)
    with desk_on(viewer) as desk:
        desk.annotate()
        desk.go_to(*at[:-2])
        start = desk.state
        desk.keep(*at)
        assert np.count_nonzero(desk.objects.data[(*at[:-2],)] == 1) == 49
        assert desk.areas() == desk.counted() == {1: 49}
        for _ in range(2):
            desk.controller.undo()
        assert not desk.objects.data.any()
        assert not desk.mask.data.any()
        assert desk.state.objects == start.objects
        assert not len(desk.points.data)


def test_the_3d_view_may_be_on_at_any_moment(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.viewer.dims.ndisplay = 3
    desk.settle()
    desk.controller.cycle()
    desk.controller.commit()
    desk.controller.undo()
    desk.controller.undo()
    desk.controller.redo()
    desk.viewer.dims.ndisplay = 2
    desk.settle()
    assert np.count_nonzero(desk.mask.data == 1) == 49
    assert desk.keep(2, 10, 21) == 1
    assert desk.areas() == desk.counted()


# Seen from another side --------------------------------------------------------------------------


def test_an_object_seen_from_two_sides_is_counted_once(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.look_along(1, 0, 2)
    desk.go_to(2, 10)
    desk.click(2, 10, 20)
    drawn = np.count_nonzero(desk.mask.data)
    desk.controller.commit()
    assert desk.areas() == desk.counted() == {1: drawn}
    desk.controller.undo()
    assert not desk.objects.data.any()
    assert np.count_nonzero(desk.mask.data) == drawn


def test_who_is_replaced_from_two_sides_loses_each_pixel_once(desk: Desk) -> None:
    desk.keep(2, 10, 26)
    desk.document.policy = "replace"
    desk.click(2, 10, 20)
    desk.look_along(1, 0, 2)
    desk.go_to(2, 10)
    desk.click(2, 10, 20)
    desk.controller.commit()
    assert desk.areas() == desk.counted()
    desk.controller.undo()
    assert desk.areas() == desk.counted() == {1: 49}


def test_what_is_erased_from_another_side_stays_erased(desk: Desk) -> None:
    """micro-sam issue 995: edits were lost on commit."""
    desk.click(2, 10, 20)
    desk.look_along(1, 0, 2)
    desk.go_to(2, 11)
    desk.brush(desk.mask, 2, 11, 20, value=0, size=1)
    assert desk.mask.data[2, 11, 20] == 0
    desk.controller.commit()
    assert desk.objects.data[2, 11, 20] == 0
    assert desk.areas() == desk.counted() == {1: 48}


def test_a_mask_that_is_gone_on_one_side_is_still_seen_where_another_has_it(desk: Desk) -> None:
    desk.click(2, 10, 20)
    before = desk.mask.data.copy()
    desk.look_along(1, 0, 2)
    desk.go_to(2, 10)
    desk.click(2, 10, 22)
    desk.controller.undo()
    desk.settle()
    shown = desk.mask.data.copy()
    desk.controller.commit()
    np.testing.assert_array_equal(desk.objects.data != 0, shown != 0)
    assert (shown[before != 0] == 1).all()


def test_a_view_with_rows_and_columns_exchanged_is_the_same_plane(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.look_along(0, 2, 1)
    assert desk.controller.answer is not None
    desk.controller.cycle()
    assert np.count_nonzero(desk.mask.data) == 81
    desk.controller.commit()
    assert desk.areas() == desk.counted() == {1: 81}


def test_one_stroke_through_all_planes_is_one_step(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.mask.n_edit_dimensions = 3
    desk.brush(desk.mask, 2, 20, 40, value=1, size=12)
    drawn = desk.mask.data != 0
    assert drawn.any(axis=(1, 2)).sum() > 1
    desk.controller.undo()
    assert np.count_nonzero(desk.mask.data) == 49
    desk.controller.redo()
    desk.controller.commit()
    np.testing.assert_array_equal(desk.objects.data != 0, drawn)
    assert desk.areas() == desk.counted()


# By hand -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["brush", "fill", "polygon", "brush 3-D"])
def test_napari_s_tools_on_our_objects_are_steps(desk: Desk, act: str) -> None:
    desk.keep(2, 10, 20)
    objects = desk.objects
    objects.selected_label = 1
    before = objects.data.copy()
    if act == "brush":
        desk.brush(objects, 2, 20, 40, value=1)
    elif act == "brush 3-D":
        objects.n_edit_dimensions = 3
        desk.brush(objects, 2, 20, 40, value=1, size=5)
    elif act == "fill":
        objects.fill((2, 10, 20), 7)
    else:
        objects.paint_polygon(np.array([[2, 20, 30], [2, 20, 40], [2, 30, 40]]), 1)
    after = objects.data.copy()
    assert (after != before).any()
    assert desk.areas() == desk.counted()
    desk.controller.undo()
    np.testing.assert_array_equal(objects.data, before)
    desk.controller.redo()
    np.testing.assert_array_equal(objects.data, after)
    assert desk.areas() == desk.counted()


def test_preserved_labels_are_counted_right(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.objects.preserve_labels = True
    desk.brush(desk.objects, 2, 10, 20, value=9, size=20)
    assert desk.areas() == desk.counted() == {1: 49}
    desk.controller.undo()
    assert desk.areas() == desk.counted() == {1: 49}
    assert not (desk.objects.data == 9).any()


def test_napari_s_own_undo_is_a_step_of_ours(desk: Desk) -> None:
    """napari issue 1448: what napari's own undo takes back is never mixed up with ours."""
    desk.keep(2, 10, 20)
    desk.brush(desk.objects, 2, 10, 20, value=0)
    painted = desk.objects.data.copy()
    desk.objects.undo()
    assert desk.areas() == desk.counted() == {1: 49}
    desk.objects.redo()
    np.testing.assert_array_equal(desk.objects.data, painted)
    assert desk.areas() == desk.counted()
    desk.objects.undo()
    desk.keep(2, 30, 40)
    assert desk.areas() == desk.counted() == {1: 49, 2: 49}
    while desk.document.undo_title:
        desk.controller.undo()
    assert not desk.objects.data.any()


def test_napari_s_own_undo_of_what_we_drew(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.keep(2, 30, 40)
    desk.objects.undo()
    assert desk.areas() == desk.counted()
    desk.keep(2, 20, 30)
    assert desk.areas() == desk.counted()


def test_a_stroke_that_was_cleared_with_its_object_is_not_undone_again(desk: Desk) -> None:
    desk.brush(desk.mask, 2, 10, 20, value=1)
    desk.controller.cancel()
    title = desk.document.undo_title
    desk.go_to(0)
    assert desk.document.undo_title == title


# Layers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint16, np.int64, bool])
def test_labels_that_were_there_are_objects(viewer: ViewerModel, stack, dtype) -> None:
    with desk_on(viewer) as desk:
        desk.annotate()
        labels = np.zeros((5, 40, 60), dtype)
        labels[2, :5, :5] = 1
        labels[3, :5, :5] = min(120, np.iinfo(dtype).max) if dtype is not bool else 1
        desk.objects.data = labels
        highest = max(desk.state.objects)
        desk.go_to(2)
        assert desk.keep(2, 20, 40) == highest + 1
        assert desk.areas() == desk.counted()


def test_labels_beyond_32_bits_are_drawn_as_themselves(desk: Desk) -> None:
    """micro-sam issue 671: label ids overflowed."""
    labels = np.zeros((5, 40, 60), np.int64)
    labels[2, :5, :5] = 2**40
    desk.objects.data = labels
    desk.click(2, 20, 40)
    assert set(np.unique(desk.mask.data)) == {0, 2**40 + 1}
    desk.controller.commit()
    assert desk.areas() == desk.counted() == {2**40: 25, 2**40 + 1: 49}


def test_ids_with_gaps_are_left_alone(desk: Desk) -> None:
    labels = np.zeros((5, 40, 60), np.int32)
    labels[2, :5, :5], labels[2, 30:, :5] = 3, 70
    desk.objects.data = labels
    assert desk.keep(2, 20, 40) == 71
    assert set(desk.areas()) == {3, 70, 71}


def test_labels_that_cannot_be_written_are_replaced_by_ones_that_can(desk: Desk) -> None:
    labels = np.zeros((5, 40, 60), np.int32)
    labels[2, :5, :5] = 1
    labels.flags.writeable = False
    desk.objects.data = labels
    desk.keep(2, 20, 40)
    assert desk.areas() == desk.counted() == {1: 25, 2: 49}
    desk.controller.undo()
    assert desk.areas() == desk.counted() == {1: 25}


def test_lazy_labels_are_taken_into_memory(desk: Desk) -> None:
    dask = pytest.importorskip("dask.array")
    labels = np.zeros((5, 40, 60), np.int32)
    labels[2, :5, :5] = 1
    desk.objects.data = dask.from_array(labels)
    desk.keep(2, 20, 40)
    assert desk.areas() == desk.counted() == {1: 25, 2: 49}


def test_objects_of_another_shape_end_the_annotation(desk: Desk) -> None:
    desk.click(2, 10, 20)
    objects = desk.objects
    objects.data = np.zeros((3, 10, 10), np.int32)
    assert desk.controller.document is None
    desk.annotate()
    assert desk.objects != objects
    desk.click(2, 10, 21)
    desk.controller.commit()
    assert len(desk.areas()) == 1


def test_a_mask_layer_with_other_data_is_drawn_again(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.mask.data = np.zeros((5, 40, 60), np.uint8)
    assert np.count_nonzero(desk.mask.data == 1) == 49


def test_a_mask_layer_of_another_shape_ends_the_annotation(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.click(2, 30, 40)
    desk.mask.data = np.zeros((3, 10, 10), np.int32)
    desk.annotate()
    desk.controller.commit()
    assert desk.areas() == desk.counted() == {1: 49, 2: 49}


def test_a_deleted_layer_of_objects_has_no_say_any_more(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.keep(2, 30, 40)
    desk.viewer.layers.remove(desk.objects)
    desk.annotate()
    desk.brush(desk.mask, 2, 20, 30, value=1)
    assert set(np.unique(desk.mask.data)) == {0, 1}
    desk.controller.commit()
    assert desk.areas() == desk.counted()


def test_a_duplicate_is_not_ours(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    ours = desk.layers
    for layer in ours:
        copy = type(layer).create(*layer.as_layer_data_tuple())
        copy.name = f"{layer.name} copy"
        desk.viewer.layers.insert(0, copy)
    desk.panel.close()
    with desk_on(desk.viewer) as other:
        assert tuple(other.layers) == tuple(ours)
        assert other.areas() == {1: 49}
        assert other.document.undo_title


def test_layers_renamed_reordered_and_hidden(desk: Desk) -> None:
    """micro-sam issue 17: renaming a layer broke it."""
    desk.click(2, 10, 20)
    for number, layer in enumerate(desk.viewer.layers):
        layer.name = f"layer {number}"
    desk.viewer.layers.reverse()
    for layer in desk.layers:
        layer.visible = False
    desk.keep(2, 10, 21)
    assert desk.areas() == desk.counted() == {1: 49}
    desk.controller.undo()
    assert desk.areas() == {}
    for layer in desk.layers:
        layer.visible = True
    assert np.count_nonzero(desk.mask.data == 1) == 49


@pytest.mark.parametrize("shape", [(5, 40, 60), (5, 30, 60), (40, 60)])
def test_an_image_whose_data_are_replaced(desk: Desk, shape) -> None:
    desk.keep(2, 10, 20)
    desk.click(2, 30, 40)
    desk.image.data = np.ones(shape, np.float32)
    desk.settle()
    desk.annotate()
    at = (2, 10, 21) if len(shape) == 3 else (10, 21)
    desk.go_to(*at[:-2])
    desk.click(*at)
    desk.controller.commit()
    assert desk.areas() == desk.counted()
    assert len(desk.areas()) == (2 if shape == (5, 40, 60) else 1)


def test_an_image_deleted_while_the_worker_runs(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.points.add((2, 30, 40))
    assert desk.runner.busy
    objects = desk.objects
    desk.viewer.layers.remove(desk.image)
    desk.runner.finish_all()
    assert np.count_nonzero(objects.data) == 49
    desk.viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5), name="cells")
    desk.annotate()
    assert desk.objects == objects
    assert desk.areas() == {1: 49}
    assert len(desk.points.data) == 1


# Several -----------------------------------------------------------------------------------------


def test_two_viewers_do_not_disturb_each_other(desk: Desk) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 40, 60)), name="cells")
    with desk_on(viewer) as other:
        other.annotate()
        desk.keep(2, 10, 20)
        other.click(0, 10, 20)
        other.controller.commit()
        desk.controller.undo()
        assert desk.areas() == {}
        assert other.areas() == {1: 49}
    desk.controller.redo()
    assert desk.areas() == {1: 49}


@pytest.mark.parametrize("first", [0, 1])
def test_two_panels_on_one_image_close_in_any_order(viewer: ViewerModel, stack, first) -> None:
    desks = [Desk(viewer), Desk(viewer)]
    try:
        for desk in desks:
            desk.annotate()
        desks[0].go_to(2)
        desks[0].click(2, 10, 20)
        desks[1].settle()
        assert len({id(desk.document) for desk in desks}) == 1
        desks[first].close()
        rest = desks.pop(1 - first)
        desks = [rest]
        rest.click(2, 11, 20)
        rest.controller.commit()
        assert rest.areas() == rest.counted() == {1: 49}
        for _ in range(3):
            rest.controller.undo()
        assert not rest.document.undo_title
        assert not rest.mask.data.any()
    finally:
        for desk in desks:
            desk.close()


def test_two_panels_on_two_images(desk: Desk) -> None:
    image = desk.viewer.add_image(np.zeros((5, 40, 60)), name="other", scale=(2, 0.5, 0.5))
    with desk_on(desk.viewer) as other:
        other.choose(image)
        other.annotate()
        other.keep(2, 30, 40)
        desk.keep(2, 10, 20)
        assert desk.areas() == desk.counted() == {1: 49}
        assert other.areas() == other.counted() == {1: 49}
    desk.controller.undo()
    assert desk.areas() == {}


def test_a_closed_panel_loses_nothing(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.click(2, 30, 40)
    desk.controller.cycle()
    before, title = desk.state, desk.document.undo_title
    desk.panel.close()
    with desk_on(desk.viewer) as again:
        assert again.state == before
        assert again.document.undo_title == title
        assert again.controller.answer is not None
        assert again.controller.answer.chosen == 1
        again.controller.undo()
        assert again.controller.answer.chosen == 0
        assert np.count_nonzero(again.mask.data) == 49
        again.settle()
        assert not [request for request in again.predict.asked if request.prompts]


def test_undo_after_another_image_was_looked_at(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.click(2, 30, 40)
    image, before = desk.image, desk.state
    other = desk.viewer.add_image(np.zeros((40, 60)), name="other")
    desk.choose(other)
    desk.annotate()
    desk.keep(5, 5)
    desk.choose(image)
    desk.settle()
    assert desk.state == before
    for _ in range(3):
        desk.controller.undo()
    assert not desk.objects.data.any()
    assert not desk.document.undo_title
    desk.choose(other)
    assert desk.areas() == desk.counted() == {1: 49}


# Each shape is an object -------------------------------------------------------------------------


@pytest.fixture
def queue(desk: Desk) -> Desk:
    desk.controller.each_shape = True
    desk.settle()
    return desk


def test_a_shape_that_would_vanish_does_not_hold_up_the_others(queue: Desk) -> None:
    queue.box((2, 5, 5), (2, 15, 15))
    queue.settle()
    assert queue.areas() == {1: 100}
    queue.box((2, 6, 6), (2, 10, 10))  # inside the first: nothing of it may be written
    queue.box((2, 20, 20), (2, 25, 25))
    queue.settle()
    assert list(queue.areas().values()) == [100, 25]
    assert any("belongs to another object" in sentence for sentence in queue.said)
    queue.controller.undo()
    queue.controller.undo()
    queue.settle()
    assert queue.shapes.nshapes == 2


def test_a_shape_whose_answer_fails_is_tried_again(queue: Desk) -> None:
    queue.predict.error = WeightsError("No network.")
    queue.box((2, 5, 5), (2, 15, 15))
    queue.box((2, 20, 20), (2, 25, 25))
    queue.settle()
    assert queue.said[-1] == "No network."
    queue.predict.error = None
    queue.settle()
    assert list(queue.areas().values()) == [100, 25]
    assert queue.shapes.nshapes == 0


# Waiting -----------------------------------------------------------------------------------------


def _wait_to_keep(desk: Desk) -> None:
    desk.points.add((2, 10, 20))
    desk.controller.commit()
    assert desk.runner.busy


@pytest.mark.parametrize("act", ["undo", "cancel", "reopen", "switch"])
def test_what_waits_to_be_kept_is_not_kept_after(desk: Desk, act: str) -> None:
    desk.keep(2, 30, 40)
    _wait_to_keep(desk)
    if act == "reopen":
        desk.controller.reopen(1)
    elif act == "switch":
        image = desk.image
        desk.choose(desk.viewer.add_image(np.zeros((40, 60)), name="other"))
        desk.choose(image)
    else:
        getattr(desk.controller, act)()
    desk.settle()
    kept = set(desk.areas())
    assert kept == (set() if act == "reopen" else {1})
    desk.click(2, 20, 50)
    assert set(desk.areas()) == kept, "it must not be kept by an earlier wish"


def test_an_answer_that_undo_takes_back_is_asked_for_again(desk: Desk) -> None:
    desk.points.add((2, 10, 20))
    desk.brush(desk.objects, 2, 30, 40, value=9)  # while the model is at work
    desk.runner.finish_all()
    desk.controller.undo()
    desk.runner.finish_all()
    assert not (desk.objects.data == 9).any()
    assert np.count_nonzero(desk.mask.data) == 49


def test_a_failing_model_loses_nothing_and_asking_again_works(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.predict.error = WeightsError("No memory.")
    desk.click(2, 12, 22)
    assert desk.said == ["No memory."]
    assert np.count_nonzero(desk.mask.data) == 49
    desk.predict.error = None
    desk.controller.predict()
    desk.runner.finish_all()
    assert desk.controller.answer is not None
    assert len(desk.controller.answer.prompts.points) == 2


def test_prompts_deleted_on_all_planes_leave_no_mask_behind(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.go_to(3)
    desk.click(3, 10, 20)
    desk.points.selected_data = {0, 1}
    desk.points.remove_selected()
    desk.settle()
    assert not desk.mask.data.any()
    assert not desk.controller.can_commit
    desk.controller.undo()
    desk.settle()
    assert np.count_nonzero(desk.mask.data) == 98


# Objects -----------------------------------------------------------------------------------------


def test_cleaning_up_changes_the_object_at_work_and_not_the_kept(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.click(2, 30, 40)
    desk.document.cleanup = Cleanup(min_area=60)
    assert desk.areas() == {1: 49}
    shown = np.count_nonzero(desk.mask.data)
    desk.document.cleanup = Cleanup()
    assert np.count_nonzero(desk.mask.data) == 49
    assert shown in (0, 49)


def test_the_policy_empty_respects_what_was_painted_by_hand(desk: Desk) -> None:
    desk.document.policy = "empty"
    desk.brush(desk.objects, 2, 10, 20, value=40)
    painted = int(np.count_nonzero(desk.objects.data == 40))
    desk.keep(2, 10, 20)
    assert np.count_nonzero(desk.objects.data == 40) == painted
    assert desk.areas() == desk.counted() == {1: 49 - painted}


def test_objects_on_different_planes_become_one(desk: Desk) -> None:
    desk.keep(2, 10, 20)
    desk.go_to(4)
    desk.keep(4, 30, 40)
    desk.go_to(0)
    desk.keep(0, 10, 20)
    desk.controller.merge([1, 2, 3])
    assert desk.areas() == desk.counted() == {1: 147}
    desk.controller.reopen(1)
    assert len(desk.document.at_work.planes) == 3
    desk.controller.cancel()
    assert desk.areas() == desk.counted() == {1: 147}
    desk.controller.delete([1])
    assert not desk.objects.data.any()
    for _ in range(4):  # delete, cancel, open again, merge
        desk.controller.undo()
    assert desk.areas() == desk.counted() == {1: 49, 2: 49, 3: 49}


def test_what_was_painted_in_a_label_of_its_own_becomes_an_object(desk: Desk) -> None:
    desk.brush(desk.objects, 2, 10, 20, value=40, size=5)
    painted = desk.objects.data == 40
    assert desk.areas() == {}
    desk.objects.selected_label = 40
    desk.controller.use_label(desk.objects)
    np.testing.assert_array_equal(desk.mask.data == 40, painted)
    desk.controller.commit()
    np.testing.assert_array_equal(desk.objects.data == 40, painted)
    assert desk.areas() == desk.counted() == {40: np.count_nonzero(painted)}
    desk.controller.undo()
    desk.controller.undo()
    assert desk.areas() == {}
    assert set(desk.state.strays) == {40}
    np.testing.assert_array_equal(desk.objects.data == 40, painted)


def test_a_label_that_cannot_be_opened_is_a_sentence(desk: Desk) -> None:
    noted: list[str] = []
    desk.controller.noted.connect(noted.append)
    for value in (1, 50):
        desk.objects.selected_label = value
        desk.controller.use_label(desk.objects)
    assert "at work already" in noted[0]
    assert "has no pixels" in noted[-1]


def test_classes_change_while_an_object_is_opened_again(desk: Desk) -> None:
    document = desk.document
    document.set_classes([ObjectClass("cell", "#ff0000"), ObjectClass("debris", "#00ff00")])
    desk.keep(2, 10, 20)
    document.set_class([1], "cell")
    desk.controller.reopen(1)
    with pytest.raises(PromptError, match="already"):
        document.rename_class("cell", "debris")
    document.rename_class("cell", "nucleus")
    desk.controller.commit()
    assert desk.state.objects[1].class_name == "nucleus"
    desk.controller.reopen(1)
    document.set_classes([])
    desk.controller.cancel()
    assert desk.state.objects[1].class_name == ""
    while document.undo_title:
        document.undo()
    assert not desk.objects.data.any()
    assert desk.state.classes == ()
