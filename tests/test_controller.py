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
from napari_sam2.layers.mask_writer import MaskWriter
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.prompts import Prompts
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
        return int(np.count_nonzero(self.objects.data[plane] == label))


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
    controller.attach(prompts, MaskWriter(layers.objects))
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
    assert desk.objects.data[2, 7:14, 17:24].all()
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
    assert not desk.objects.data.any()
    desk.runner.finish()
    assert desk.objects.data[2, 30, 40] == 1
    assert desk.objects.data[2, 10, 20] == 0


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
    assert not desk.objects.data.any()


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


def test_commit_keeps_the_mask_and_begins_the_next_object(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.commit()
    assert desk.controller.object_id == 2
    assert len(desk.points.data) == 0
    assert desk.controller.prediction is None
    desk.committed.assert_called_once_with(1)
    desk.runner.finish_all()
    assert desk.count(1) == 49
    desk.click(14, 20)
    desk.runner.finish_all()
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


def test_clear_takes_back_a_waiting_commit(desk: Desk) -> None:
    desk.click(10, 20)
    desk.controller.commit()
    desk.controller.clear()
    desk.runner.finish_all()
    desk.committed.assert_not_called()
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


def test_clear_removes_prompts_and_mask_at_once(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.clear()
    assert len(desk.points.data) == 0
    assert not desk.objects.data.any()
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
    assert desk.controller.prediction is not None
    assert desk.controller.prediction.chosen == 1


def test_the_brush_of_the_user_survives_a_look_at_another_plane(desk: Desk) -> None:
    """micro-sam issue 995: edits were lost."""
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.objects.data[2, 10, 20] = 0
    desk.show_plane(3)
    desk.runner.finish_all()
    desk.show_plane(2)
    desk.runner.finish_all()
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
    assert desk.controller.prediction is not None


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
    assert desk.controller.prediction is not None
    assert not desk.runner.busy


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


def test_attaching_again_draws_again(desk: Desk) -> None:
    desk.click(10, 20)
    desk.runner.finish_all()
    fresh = desk.viewer.add_labels(np.zeros((5, 40, 60), np.int32))
    desk.controller.attach(desk.prompts, MaskWriter(fresh))
    desk.runner.finish_all()
    assert np.count_nonzero(fresh.data) == 49


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
    desk.controller.prediction_changed.connect(heard)
    desk.controller.stage_changed.connect(heard)
    desk.controller.close()
    desk.runner.finish()
    heard.assert_not_called()
    assert not desk.objects.data.any()
    desk.click(12, 20)
    assert not desk.runner.busy


def test_the_shown_prediction_carries_its_question(desk: Desk) -> None:
    seen: list[Prediction | None] = []
    desk.controller.prediction_changed.connect(seen.append)
    desk.click(10, 20)
    desk.runner.finish_all()
    desk.controller.cycle()
    first, second = seen[-2:]
    assert first is not None
    assert second is not None
    assert (first.chosen, second.chosen) == (0, 1)
    assert first.request == second.request == desk.predict.asked[-1]
