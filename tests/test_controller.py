from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes

from napari_sam2.controller import Controller
from napari_sam2.errors import PromptError, WeightsError
from napari_sam2.layers.create import ensure_layers
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.kept_document import open_document
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.regions import FieldOfView
from napari_sam2.session.results import Prediction
from tests.fakes import HeldRunner, SquarePredict


@dataclass
class Desk:
    """Everything that a click passes, but for the thread and the model."""

    viewer: ViewerModel
    image: Image
    objects: Labels
    mask: Labels
    shapes: Shapes
    points: Points
    prompts: PromptLayers
    predict: SquarePredict
    runner: HeldRunner
    controller: Controller
    failed: Mock
    noted: Mock
    committed: Mock

    def click(self, y: float, x: float, plane: int = 2) -> None:
        self.points.add((plane, y, x))

    def show_plane(self, index: int) -> None:
        self.viewer.dims.set_point(0, 2 * index)
        self.controller.refresh()

    def count(self, label: int, plane: int = 2) -> int:
        """Count the object's pixels: of the one at work where it is drawn, else as it is kept."""
        layer = self.mask if label == self.controller.object_id else self.objects
        return int(np.count_nonzero(layer.data[plane] == label))


@pytest.fixture
def desk() -> Iterator[Desk]:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5), translate=(0, 10, 20))
    viewer.dims.set_point(0, 4)
    layers = ensure_layers(viewer, image)
    source = ImageSource(viewer)
    source.select(image)
    prompts = PromptLayers(layers.points, layers.shapes)
    runner, predict = HeldRunner(), SquarePredict()
    controller = Controller(source, runner, predict)
    failed, noted, committed = Mock(), Mock(), Mock()
    controller.failed.connect(failed)
    controller.noted.connect(noted)
    controller.committed.connect(committed)
    controller.attach(prompts, open_document(layers, lambda: (1, 2)))
    yield Desk(
        viewer, image, *layers, prompts, predict, runner, controller, failed, noted, committed
    )
    controller.close()
    prompts.close()
    source.close()


def test_the_plane_is_embedded_ahead(desk: Desk) -> None:
    desk.runner.finish()
    assert [request.prompts for request in desk.predict.asked] == [Prompts()]
    assert not desk.objects.data.any()


def test_a_click_gives_a_mask(desk: Desk) -> None:
    desk.runner.finish()
    desk.click(10, 20)
    desk.runner.finish()
    assert desk.count(1) == 49
    assert desk.mask.data[2, 7:14, 17:24].all()
    assert not desk.objects.data.any()
    assert desk.predict.asked[-1].prompts == Prompts(((10, 20),), (1,))
    assert desk.predict.asked[-1].plane == (2,)


def test_a_box_gives_a_mask(desk: Desk) -> None:
    desk.runner.finish()
    desk.shapes.add_rectangles([np.array([[2, 9, 9], [2, 9, 4], [2, 3, 4], [2, 3, 9]])])
    desk.runner.finish_all()
    assert desk.predict.asked[-1].prompts.box == (3, 4, 9, 9)
    assert desk.count(1) == 30


def test_the_same_request_is_not_asked_twice(desk: Desk) -> None:
    desk.runner.finish()
    desk.controller.refresh()
    desk.prompts.changed.emit()
    assert desk.runner.started == 1


def test_only_the_newest_of_many_clicks_is_answered(desk: Desk) -> None:
    for x in (10, 20, 30):
        desk.click(10, x)
    assert desk.runner.started == 1
    desk.runner.finish_all()
    assert [len(request.prompts.points) for request in desk.predict.asked] == [0, 3]


def test_a_stale_answer_is_dropped(desk: Desk) -> None:
    desk.runner.finish()
    desk.click(10, 20)
    desk.points.data = [[2, 30, 40]]
    desk.runner.finish()
    assert not desk.mask.data.any()
    desk.runner.finish()
    assert desk.mask.data[2, 30, 40] == 1
    assert desk.mask.data[2, 10, 20] == 0


def test_going_back_to_the_running_request_needs_no_second_run(desk: Desk) -> None:
    desk.runner.finish()
    desk.click(10, 20)
    desk.click(30, 40)
    desk.points.remove([1])
    desk.runner.finish()
    assert not desk.runner.busy
    assert desk.count(1) == 49


def test_removing_the_last_point_clears_the_mask(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.points.remove([0])
    desk.runner.finish_all()
    assert not desk.mask.data.any()


def test_cycling_shows_every_candidate_and_runs_nothing(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    runs, seen = desk.runner.started, []
    for _ in range(4):
        seen.append(desk.count(1))
        desk.controller.cycle()
    assert seen == [49, 81, 25, 49]
    desk.controller.cycle(-2)  # from the second past the first to the last
    assert desk.count(1) == 25
    assert desk.runner.started == runs


def test_cycling_waits_for_the_newest_answer(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.click(30, 40)
    desk.controller.cycle()
    assert desk.count(1) == 49
    assert "still being made" in desk.noted.call_args.args[0]


def test_commit_keeps_the_mask_and_begins_the_next_object(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.commit()
    assert desk.controller.object_id == 2
    assert len(desk.points.data) == 0
    assert desk.controller.answer is None
    assert not desk.mask.data.any()
    desk.committed.assert_called_once_with(1)
    desk.runner.finish_all()
    assert desk.count(1) == 49
    desk.click(14, 20)
    desk.runner.finish_all()
    assert desk.count(1) == 49
    assert desk.count(2) == 49
    desk.controller.commit()
    assert desk.count(1) == 49
    assert desk.count(2) == 49 - 21  # three of seven rows belong to the first
    assert desk.predict.asked[-1].object_id == 2


def test_commit_waits_for_the_mask_of_the_last_click(desk: Desk) -> None:
    """micro-sam issue 995: edits were lost on commit."""
    desk.click(10, 20)
    desk.controller.commit()
    desk.committed.assert_not_called()
    assert "as soon as" in desk.noted.call_args.args[0]
    desk.runner.finish_all()
    desk.committed.assert_called_once_with(1)
    assert desk.count(1) == 49
    assert desk.controller.object_id == 2


def test_cancel_takes_back_a_waiting_commit(desk: Desk) -> None:
    desk.click(10, 20)
    desk.controller.commit()
    desk.controller.cancel()
    desk.runner.finish_all()
    desk.committed.assert_not_called()
    assert not desk.mask.data.any()
    assert not desk.objects.data.any()


def test_a_failure_takes_back_a_waiting_commit(desk: Desk) -> None:
    desk.click(10, 20)
    desk.controller.commit()
    desk.predict.error = WeightsError("No network.")
    desk.runner.finish_all()
    desk.committed.assert_not_called()
    assert desk.noted.call_args.args[0] == ""


def test_without_a_mask_there_is_nothing_to_commit(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.commit()
    desk.committed.assert_not_called()
    assert "no mask to keep" in desk.noted.call_args.args[0]


def test_an_object_of_another_plane_is_committed_too(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.show_plane(3)
    desk.runner.finish_all()
    desk.controller.commit()
    desk.committed.assert_called_once_with(1)
    assert desk.count(1) == 49


def test_cancel_removes_prompts_and_mask_at_once(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.cancel()
    assert len(desk.points.data) == 0
    assert not desk.mask.data.any()
    desk.runner.finish_all()
    desk.click(10, 20)
    desk.runner.finish_all()
    assert desk.count(1) == 49


def test_each_plane_keeps_its_prompts_and_its_mask(desk: Desk) -> None:
    desk.click(10, 20, plane=2)
    desk.runner.finish_all()
    desk.show_plane(3)
    desk.click(20, 30, plane=3)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].prompts == Prompts(((20, 30),), (1,))
    desk.show_plane(2)
    desk.runner.finish_all()
    assert desk.count(1, plane=2) == desk.count(1, plane=3) == 49


def test_hiding_and_showing_the_image_keeps_the_chosen_candidate(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.cycle()
    desk.image.visible = False
    desk.image.visible = True
    desk.controller.refresh()
    desk.runner.finish_all()
    assert desk.count(1) == 81
    assert desk.controller.answer is not None
    assert desk.controller.answer.chosen == 1


def test_the_brush_of_the_user_survives_a_look_at_another_plane(desk: Desk) -> None:
    """micro-sam issue 995: edits were lost."""
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.mask.data_setitem((np.array([2]), np.array([10]), np.array([20])), 0)
    desk.show_plane(3)
    desk.runner.finish_all()
    desk.show_plane(2)
    desk.runner.finish_all()
    assert desk.count(1) == 48
    desk.click(11, 20)
    desk.runner.finish_all()
    assert desk.count(1) == 48
    desk.controller.commit()
    assert desk.count(1) == 48


def test_a_point_that_is_placed_again_draws_again(desk: Desk) -> None:
    for _ in range(2):
        desk.click(10, 20)
        desk.runner.finish_all()
        assert desk.count(1) == 49
        desk.points.remove([0])
        desk.runner.finish_all()
        assert desk.count(1) == 0


def test_another_model_is_another_request(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.model = "tiny"
    desk.controller.refresh()
    desk.runner.finish_all()
    assert [request.model for request in desk.predict.asked] == ["micro", "tiny"]


def test_choosing_another_model_cancels_a_download_that_nobody_waits_for(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.model = "large"
    desk.controller.refresh()
    desk.points.add([2, 20, 30])
    assert desk.runner.cancelled == 0  # the same model: the download is still wanted
    desk.controller.model = "tiny"
    desk.controller.refresh()
    assert desk.runner.cancelled == 1
    desk.runner.finish_all()
    assert desk.predict.asked[-1].model == "tiny"
    assert desk.controller.answer is not None
    assert desk.controller.answer.model == "tiny"


def test_going_back_to_the_model_whose_download_was_cancelled_starts_it_again(desk: Desk) -> None:
    desk.runner.finish_all()
    for model in ("large", "tiny", "large"):
        desk.controller.model = model
        desk.controller.refresh()
    assert desk.runner.cancelled == 1
    desk.predict.error = InterruptedError("Cancelled while downloading 2 %.")
    desk.runner.finish()
    desk.predict.error = None
    desk.runner.finish()
    desk.failed.assert_not_called()
    assert [request.model for request in desk.predict.asked[1:]] == ["large", "large"]
    assert not desk.runner.busy


def test_another_device_keeps_prompts_and_masks_and_looks_at_the_plane_again(desk: Desk) -> None:
    desk.click(20, 30)
    desk.runner.finish_all()
    before = desk.mask.data.copy()
    asked = len(desk.predict.asked)
    desk.controller.use_device("cpu")
    desk.controller.refresh()
    desk.runner.finish_all()
    assert (desk.mask.data == before).all()
    assert len(desk.points.data) == 1
    ahead = desk.predict.asked[asked:]
    assert [(request.device, bool(request.prompts)) for request in ahead] == [("cpu", False)]


def test_a_question_that_waits_is_answered_by_the_new_device(desk: Desk) -> None:
    desk.click(20, 30)  # while the plane is embedded
    desk.controller.use_device("cpu")
    desk.controller.refresh()
    desk.runner.finish_all()
    assert desk.predict.asked[-1].device == "cpu"
    assert desk.count(1) == 49


def test_work_on_the_old_device_is_cancelled_and_its_question_asked_on_the_new_one(
    desk: Desk,
) -> None:
    desk.runner.finish_all()
    desk.click(20, 30)
    desk.controller.use_device("cpu")
    desk.controller.refresh()
    assert desk.runner.cancelled == 1
    desk.predict.error = RuntimeError("cancelled")
    desk.runner.finish()
    desk.predict.error = None
    desk.runner.finish_all()
    assert desk.predict.asked[-1].device == "cpu"
    assert desk.count(1) == 49
    desk.failed.assert_not_called()


def test_another_model_answers_though_the_cancelled_one_was_asked_the_same(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.click(20, 30)
    desk.controller.use_model("tiny")
    desk.predict.error = RuntimeError("cancelled")
    desk.runner.finish()
    desk.predict.error = None
    desk.runner.finish_all()
    assert desk.predict.asked[-1].model == "tiny"


def test_where_the_device_is_full_the_cpu_goes_on_with_all_that_waits(desk: Desk) -> None:
    moved = Mock()
    desk.controller.moved.connect(moved)
    desk.controller.device = "cuda"
    desk.controller.refresh()
    desk.runner.finish_all()
    desk.click(20, 30)
    desk.show_plane(3)
    desk.click(10, 10, plane=3)  # waits
    desk.predict.note = "The memory of cuda is full."
    desk.runner.finish()
    assert desk.controller.device == "cpu"
    moved.assert_called_once_with("The memory of cuda is full.")
    assert desk.count(1) == 49
    desk.runner.finish_all()
    assert desk.count(1, plane=3) == 49
    assert desk.predict.asked[-1].device == "cpu"
    moved.assert_called_once()


def test_a_device_chosen_meanwhile_is_kept_when_the_one_before_was_full(desk: Desk) -> None:
    desk.controller.device = "cuda"
    desk.controller.refresh()
    desk.runner.finish_all()
    desk.click(20, 30)
    desk.predict.note = "The memory of cuda is full."
    desk.controller.use_device("mps")
    desk.runner.finish()
    assert desk.controller.device == "mps"


def test_the_device_that_went_on_does_not_look_at_the_plane_again(desk: Desk) -> None:
    desk.predict.note = "The memory of cuda is full."
    desk.runner.finish_all()
    asked = len(desk.predict.asked)
    desk.controller.refresh()
    assert not desk.runner.busy
    assert len(desk.predict.asked) == asked


def test_stages_are_told_and_end(desk: Desk) -> None:
    stages = Mock()
    desk.controller.stage_changed.connect(stages)
    desk.runner.finish_all()
    desk.click(10, 20)
    desk.runner.finish_all()
    assert [call.args[0] for call in stages.call_args_list] == [
        *("embedding", "decoding", ""),
        *("starting", "embedding", "decoding", ""),
    ]


def test_a_failure_is_told_once_and_asking_again_tries_again(desk: Desk) -> None:
    desk.predict.error = WeightsError("No network. Connect, or choose micro.")
    desk.runner.finish()
    desk.failed.assert_called_once_with("No network. Connect, or choose micro.")
    assert not desk.runner.busy
    desk.predict.error = None
    desk.controller.refresh()
    desk.runner.finish()
    assert len(desk.predict.asked) == 2
    assert desk.failed.call_count == 1


def test_an_unexpected_failure_is_named(desk: Desk) -> None:
    desk.predict.error = KeyError("x")
    desk.runner.finish()
    desk.failed.assert_called_once_with("KeyError: 'x'")


def test_a_stale_failure_is_not_told(desk: Desk) -> None:
    desk.click(10, 20)
    desk.predict.error = PromptError("old")
    desk.runner.finish()
    desk.predict.error = None
    desk.failed.assert_not_called()
    desk.runner.finish()
    assert desk.count(1) == 49


def test_what_cannot_be_asked_is_a_sentence_and_the_mask_stays(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.viewer.dims.ndisplay = 3
    desk.controller.refresh()
    assert "2-D view" in desk.failed.call_args.args[0]
    assert desk.count(1) == 49


def test_what_is_left_out_is_noted(desk: Desk) -> None:
    desk.click(10, 999)
    assert desk.noted.call_args.args[0].startswith("1 point beyond")


def test_attaching_again_goes_on_where_it_was(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.cycle()
    document = desk.controller.document
    assert document is not None
    desk.controller.detach()
    assert desk.controller.object_id is None
    desk.controller.attach(desk.prompts, document)
    desk.runner.finish_all()
    assert np.count_nonzero(desk.mask.data) == 81
    assert desk.controller.can_commit


def test_after_detach_prompts_are_not_heard(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.detach()
    desk.click(10, 20)
    assert not desk.runner.busy
    assert desk.controller.object_id is None


def test_an_answer_that_comes_after_close_changes_nothing(desk: Desk) -> None:
    desk.runner.finish()
    desk.click(10, 20)
    heard = Mock()
    desk.controller.answered.connect(heard)
    desk.controller.stage_changed.connect(heard)
    desk.controller.close()
    desk.runner.finish()
    heard.assert_not_called()
    assert not desk.mask.data.any()
    desk.click(12, 20)
    assert not desk.runner.busy


def test_an_answer_tells_what_it_cost(desk: Desk) -> None:
    seen: list[Prediction] = []
    desk.controller.answered.connect(seen.append)
    desk.click(10, 20)
    desk.runner.finish_all()
    assert seen[-1].request == desk.predict.asked[-1]


def test_a_correction_starts_from_the_chosen_candidate(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].prompts.mask_prompt is None
    desk.controller.cycle()
    answer = desk.controller.answer
    assert answer is not None
    desk.click(11, 21)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].prompts.mask_prompt == answer.logits[1]
    desk.points.remove([0])  # no correction of that any more
    desk.runner.finish_all()
    assert desk.predict.asked[-1].prompts.mask_prompt is None


def test_undo_and_redo_run_no_model(desk: Desk) -> None:
    for x in (20, 30):
        desk.click(10, x)
        desk.runner.finish_all()
    desk.controller.commit()
    desk.runner.finish_all()
    runs = desk.runner.started
    desk.controller.undo()
    assert desk.count(1) == 49
    assert not desk.objects.data.any()
    assert [tuple(point) for point in desk.points.data] == [(2, 10, 20), (2, 10, 30)]
    desk.controller.undo()
    assert len(desk.points.data) == 1
    assert desk.count(1) == 49
    desk.controller.undo()
    assert not desk.mask.data.any()
    for _ in range(3):
        desk.controller.redo()
    assert desk.objects.data[2, 7:14, 17:24].all()
    assert desk.controller.object_id == 2
    assert desk.runner.started == runs


def test_undo_shows_where_it_was(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.show_plane(4)
    desk.runner.finish_all()
    desk.controller.undo()
    assert desk.viewer.dims.point[0] == 4  # plane 2, 2 apart
    assert not desk.mask.data.any()
    assert "nothing" not in str(desk.noted.call_args)
    desk.controller.undo()
    assert "nothing to undo" in desk.noted.call_args.args[0]


def test_an_answer_taken_back_while_it_was_made_is_dropped(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.click(10, 20)
    desk.controller.undo()
    desk.runner.finish_all()
    assert not desk.mask.data.any()
    desk.controller.redo()
    desk.runner.finish_all()
    assert desk.count(1) == 49


def test_not_live_asks_when_told(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.live = False
    desk.click(10, 20)
    assert not desk.runner.busy
    assert "Not live" in desk.noted.call_args.args[0]
    desk.controller.predict()
    desk.runner.finish_all()
    assert desk.count(1) == 49


@pytest.mark.parametrize(("rule", "count"), [("best", 49), ("largest", 81), ("smallest", 25)])
def test_the_rule_chooses_the_first_candidate(desk: Desk, rule, count: int) -> None:
    desk.controller.rule = rule
    desk.click(10, 20)
    desk.runner.finish_all()
    assert desk.count(1) == count


def test_the_same_scale_as_the_last_object(desk: Desk) -> None:
    desk.controller.rule = "same"
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.cycle()
    desk.controller.commit()
    desk.click(30, 40)
    desk.runner.finish_all()
    assert desk.count(2) == 81


def test_each_shape_becomes_an_object(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.each_shape = True
    for x in (4, 20, 40):
        desk.shapes.add_rectangles([np.array([[2, 9, x + 5], [2, 9, x], [2, 3, x], [2, 3, x + 5]])])
    desk.runner.finish_all()
    assert [desk.count(label) for label in (1, 2, 3)] == [30, 30, 30]
    assert desk.shapes.nshapes == 0
    assert desk.controller.object_id == 4
    desk.controller.undo()
    assert desk.shapes.nshapes == 1
    desk.runner.finish_all()


def test_a_kept_object_is_opened_again_with_its_prompts(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.cycle()
    desk.controller.commit()
    desk.runner.finish_all()
    desk.show_plane(4)
    desk.runner.finish_all()
    runs = desk.runner.started
    desk.controller.reopen(1)
    assert desk.viewer.dims.point[0] == 4
    assert desk.count(1) == 81
    assert not desk.objects.data.any()
    assert [tuple(point) for point in desk.points.data] == [(2, 10, 20)]
    desk.runner.finish_all()
    assert desk.runner.started <= runs + 1  # the plane is embedded ahead; nothing is predicted
    assert desk.count(1) == 81
    desk.controller.cancel()
    assert desk.count(1) == 81
    assert not desk.mask.data.any()


def test_a_label_of_another_layer_is_refined(desk: Desk) -> None:
    theirs = np.zeros((5, 80, 120), np.uint8)
    theirs[2, 20:40, 40:60] = 7
    layer = desk.viewer.add_labels(theirs, scale=(2, 0.25, 0.25), translate=(0, 9.875, 19.875))
    layer.selected_label = 7
    desk.controller.use_label(layer)
    assert desk.mask.data[2, 10:20, 20:30].all()
    assert np.count_nonzero(desk.mask.data) == 100
    desk.click(12, 22)
    desk.runner.finish_all()
    start = desk.predict.asked[-1].prompts.mask_prompt
    assert start == PackedMask.of(desk_square(10, 20, 10))
    assert (theirs == 7).sum() == 400


def desk_square(y: int, x: int, side: int) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_a_fall_of_the_score_is_said(desk: Desk) -> None:
    """Untuned models get worse with more corrections: the earlier mask must stay at hand."""
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.predict.scores = (0.5, 0.4, 0.3)
    desk.click(12, 20)
    desk.runner.finish_all()
    assert "0.50 after 0.91" in desk.noted.call_args.args[0]


def test_painting_the_objects_by_hand_is_a_step(desk: Desk) -> None:
    desk.runner.finish_all()
    where = (np.array([2, 2]), np.array([5, 5]), np.array([6, 7]))
    desk.objects.data_setitem(where, 1)
    assert desk.controller.can_commit
    desk.controller.commit()
    document = desk.controller.document
    assert document is not None
    assert document.state.objects[1].area == 2
    desk.controller.undo()
    desk.controller.undo()
    assert not desk.objects.data.any()


def test_other_data_in_the_layer_of_objects_are_taken_on(desk: Desk) -> None:
    desk.runner.finish_all()
    data = np.zeros((5, 40, 60), np.int32)
    data[1, 3:5, 3:5] = 9
    desk.objects.data = data
    document = desk.controller.document
    assert document is not None
    assert document.state.objects[9].area == 4
    assert desk.controller.object_id == 10


# Embedding while nobody waits


def embedded_planes(desk: Desk) -> list[tuple[int, ...]]:
    return [request.plane for request in desk.predict.asked if not request.prompts]


def let_embedding_take(desk: Desk, seconds: float) -> None:
    desk.predict.embed_seconds = seconds


def test_planes_beside_the_one_on_screen_are_embedded_when_idle(desk: Desk) -> None:
    let_embedding_take(desk, 0.1)
    desk.show_plane(2)
    desk.runner.finish_all()
    assert embedded_planes(desk)[-3:] == [(3,), (1,), (4,)]


def test_nothing_is_embedded_aside_where_that_is_slow(desk: Desk) -> None:
    """On two cores a large model takes seconds, and a click would have to wait."""
    let_embedding_take(desk, 2.3)
    desk.controller.refresh()
    desk.runner.finish_all()
    assert len(set(embedded_planes(desk))) == 1


def test_a_click_goes_before_what_nobody_waits_for(desk: Desk) -> None:
    let_embedding_take(desk, 0.1)
    desk.controller.refresh()
    desk.runner.finish()  # the plane on screen; now one beside it
    assert desk.runner.busy
    assert not desk.controller.busy
    desk.click(10, 20)
    desk.runner.finish()
    desk.runner.finish()
    assert desk.count(1) == 49


def test_a_whole_stack_is_embedded_once(desk: Desk) -> None:
    told: list[tuple[int, int]] = []
    desk.controller.ahead.progressed.connect(lambda done, total: told.append((done, total)))
    desk.runner.finish_all()
    desk.controller.embed_stack()
    desk.runner.finish_all()
    depth = desk.image.data.shape[0]
    assert {plane for (plane,) in embedded_planes(desk)} == set(range(depth))
    assert len(embedded_planes(desk)) == depth
    assert told[-1] == (depth, depth)
    assert not desk.controller.ahead.embeds_stack


def test_embedding_a_stack_can_be_ended_and_gone_on_with(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.embed_stack()
    desk.runner.finish()
    desk.controller.ahead.stop()
    desk.runner.finish_all()
    done = len(embedded_planes(desk))
    assert done < desk.image.data.shape[0]
    desk.controller.embed_stack()
    desk.runner.finish_all()
    assert len(embedded_planes(desk)) == desk.image.data.shape[0]


def test_a_click_while_progress_is_shown_is_answered(desk: Desk) -> None:
    """napari lets Qt work while it shows progress, and so anything may happen then."""
    desk.runner.finish_all()
    depth = desk.image.data.shape[0]
    waiting = {1: (10, 20), depth - 1: (20, 40)}

    def click(done: int, _total: int) -> None:
        if place := waiting.pop(done, None):
            desk.click(*place)
            desk.controller.look_ahead()

    desk.controller.ahead.progressed.connect(click)
    desk.controller.embed_stack()
    desk.runner.finish_all()
    assert not waiting
    assert len(desk.controller.answer.prompts.points) == 2
    assert len(embedded_planes(desk)) == depth


@pytest.mark.parametrize("done_before", [0, 2, 4])
def test_a_stack_is_stopped_while_progress_is_shown(desk: Desk, done_before: int) -> None:
    desk.runner.finish_all()
    depth = desk.image.data.shape[0]

    def stop(done: int, total: int) -> None:
        if (done, total) == (done_before, depth):
            desk.controller.ahead.stop()

    desk.controller.ahead.progressed.connect(stop)
    desk.controller.embed_stack()
    desk.runner.finish_all()
    assert not desk.controller.ahead.embeds_stack
    assert {plane for (plane,) in embedded_planes(desk)} == {2, *range(done_before)}


def test_a_stack_that_cannot_be_read_is_told_once(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.predict.error = PromptError("The disk is gone.")
    desk.controller.embed_stack()
    desk.runner.finish_all()
    desk.failed.assert_called_once_with("The disk is gone.")
    assert not desk.controller.ahead.embeds_stack


# Where the model looks

REGION = (4, 8, 20, 32)


def look(desk: Desk, y: float, x: float, height: float) -> None:
    """Bring a pixel to the middle of the canvas, so many pixels high, and let the camera rest."""
    desk.viewer.canvas.size = (600, 600)
    camera = desk.viewer.scene.camera
    camera.center, camera.zoom = (0, 10 + 0.5 * y, 20 + 0.5 * x), 600 / (0.5 * height)
    desk.controller.look_ahead()


def test_what_is_on_screen_goes_with_the_question(desk: Desk) -> None:
    look(desk, 20, 30, height=10)
    desk.click(20, 30)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field == FieldOfView(
        "auto", (15, 25, 26, 36), at_hand=((0, 0, 40, 60),)
    )


def test_zooming_in_embeds_what_is_on_screen_ahead(desk: Desk) -> None:
    desk.runner.finish_all()
    noted = desk.noted.call_count
    look(desk, 20, 30, height=10)
    desk.runner.finish_all()
    assert desk.noted.call_count == noted  # what the panel says is not about the camera
    assert desk.runner.started == 2
    assert desk.predict.asked[-1].prompts == Prompts()
    assert desk.predict.asked[-1].field.box == (15, 25, 26, 36)


def test_a_little_zoom_needs_nothing_new(desk: Desk) -> None:
    desk.runner.finish_all()
    look(desk, 25, 25, height=30)
    assert not desk.runner.busy


def test_the_camera_asks_nothing_while_a_mask_is_there(desk: Desk) -> None:
    desk.click(20, 30)
    desk.runner.finish_all()
    runs, noted = desk.runner.started, desk.noted.call_count
    look(desk, 10, 10, height=4)
    assert desk.noted.call_count == noted
    desk.controller.refresh()
    assert not desk.runner.busy
    assert desk.runner.started == runs


def test_the_camera_does_not_try_again_what_has_failed(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.predict.error = WeightsError("The disk is full.")
    desk.click(20, 30)
    desk.runner.finish_all()
    look(desk, 10, 10, height=4)
    assert not desk.runner.busy
    desk.failed.assert_called_once()


def test_the_camera_asks_nothing_while_a_mask_is_made(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.click(20, 30)
    look(desk, 10, 10, height=4)
    desk.runner.finish()
    assert not desk.runner.busy
    assert desk.count(1) == 49


def test_what_is_no_longer_on_screen_need_not_be_embedded(desk: Desk) -> None:
    desk.runner.finish_all()
    look(desk, 20, 30, height=4)
    assert desk.runner.cancelled == 0
    look(desk, 30, 10, height=4)
    assert desk.runner.cancelled == 1
    desk.predict.error = WeightsError("cancelled")
    desk.runner.finish()
    desk.predict.error = None
    desk.failed.assert_not_called()
    desk.runner.finish()
    assert desk.predict.asked[-1].field.box == (28, 8, 33, 13)
    assert not desk.runner.busy


def test_a_click_waits_for_what_is_embedded_and_uses_it(desk: Desk) -> None:
    assert desk.runner.busy
    desk.click(20, 30)
    assert desk.runner.cancelled == 0
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field.at_hand == ((0, 0, 40, 60),)
    assert len(desk.predict.asked) == 2
    assert desk.count(1) == 49


def test_a_mask_is_made_once_though_another_plane_waits(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.click(10, 20)
    desk.click(10, 20, plane=3)
    desk.runner.finish_all()
    assert sorted(request.plane for request in desk.predict.asked) == [(2,), (2,), (3,)]


def test_the_region_of_a_mask_is_told_while_it_is_there(desk: Desk) -> None:
    desk.predict.region = REGION
    desk.click(10, 20)
    assert desk.controller.region is None
    desk.runner.finish_all()
    assert desk.controller.region == REGION
    desk.show_plane(3)
    assert desk.controller.region is None
    desk.show_plane(2)
    assert desk.controller.region == REGION
    desk.controller.commit()
    assert desk.controller.region is None


def test_a_correction_goes_on_in_the_region_of_its_mask(desk: Desk) -> None:
    desk.predict.region = REGION
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.predict.region = None
    desk.click(11, 21)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field.near == REGION
    assert desk.predict.asked[-1].prompts.mask_prompt.region == REGION


def test_another_field_of_view_is_asked_about_the_same_prompts(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.predict.region = REGION
    desk.controller.use_field("visible")
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field.mode == "visible"
    assert desk.predict.asked[-1].prompts == desk.predict.asked[-2].prompts
    assert desk.controller.region == REGION
    desk.controller.undo()
    assert desk.controller.region is None
    desk.controller.use_field("visible")
    assert not desk.runner.busy


def test_the_region_of_the_mask_can_be_fixed(desk: Desk) -> None:
    desk.predict.region = REGION
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.use_field("fixed")
    assert not desk.runner.busy
    desk.controller.commit()
    desk.runner.finish_all()
    assert desk.controller.region == REGION
    desk.click(12, 22)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field == FieldOfView("fixed", REGION)


def test_without_a_mask_the_next_one_fixes_its_region(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.controller.use_field("fixed")
    desk.predict.region = REGION
    desk.click(10, 20)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field.mode == "auto"
    desk.click(12, 22)
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field.box == REGION


def test_other_pixels_are_asked_about_anew_where_the_mask_was(desk: Desk) -> None:
    desk.predict.region = REGION
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.image.data = np.ones((5, 40, 60))
    desk.controller.refresh()
    desk.runner.finish_all()
    (*_, before, ahead) = desk.predict.asked
    assert ahead.image != before.image
    assert ahead.prompts == Prompts()
    assert ahead.field.near == REGION
    assert desk.count(1) == 49


def test_moving_the_camera_in_3d_is_no_mistake(desk: Desk) -> None:
    desk.runner.finish_all()
    desk.viewer.dims.ndisplay = 3
    look(desk, 20, 30, height=10)
    desk.failed.assert_not_called()
