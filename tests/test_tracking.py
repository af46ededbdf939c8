"""An object is followed on a held worker: what is done meanwhile can be stated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import Mock

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels, Points

from napari_sam2.controller import Controller
from napari_sam2.layers.create import ensure_layers
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.kept_document import open_document
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.document import Document
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.planes import Plane
from napari_sam2.session.track_plan import Reach
from napari_sam2.session.tracks import PropagationOptions
from tests.fakes import HeldRunner, SquarePredict

COUNT, SHAPE = 7, (40, 60)
OPTIONS = PropagationOptions()


@dataclass
class Desk:
    """A stack of seven planes, of which the middle one is on screen."""

    viewer: ViewerModel
    objects: Labels
    mask: Labels
    points: Points
    predict: SquarePredict
    runner: HeldRunner
    controller: Controller
    document: Document
    ended: Mock
    failed: Mock
    noted: Mock

    def click(self, y: float, x: float, plane: int = 3) -> None:
        self.show(plane)
        self.points.add((plane, y, x))
        self.runner.finish_all()

    def show(self, plane: int) -> None:
        self.viewer.dims.set_point(0, 2 * plane)
        self.controller.refresh()
        self.runner.finish_all()

    def begin(self, **reach: object) -> None:
        self.controller.propagate(0, Reach(**reach), OPTIONS)  # type: ignore[arg-type]

    def follow(self, **reach: object) -> None:
        self.begin(**reach)
        self.runner.finish_all()

    def areas(self, label: int = 1) -> list[int]:
        layer = self.mask if label == self.document.at_work.object_id else self.objects
        return [int(np.count_nonzero(plane == label)) for plane in layer.data]

    def column(self, plane: int) -> int:
        """Where the mask begins."""
        return int(np.flatnonzero(self.mask.data[plane].any(axis=0))[0])


@pytest.fixture
def desk() -> Iterator[Desk]:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((COUNT, *SHAPE)), scale=(2, 0.5, 0.5), translate=(0, 10, 20))
    viewer.dims.set_point(0, 6)
    layers = ensure_layers(viewer, image)
    source = ImageSource(viewer)
    source.select(image)
    prompts = PromptLayers(layers.points, layers.shapes)
    runner, predict = HeldRunner(), SquarePredict()
    controller = Controller(source, runner, predict, predict.track)
    ended, failed, noted = Mock(), Mock(), Mock()
    controller.tracking.ended.connect(ended)
    controller.tracking.failed.connect(failed)
    controller.failed.connect(failed)
    controller.noted.connect(noted)
    document = open_document(layers, lambda: (1, 2))
    controller.attach(prompts, document)
    runner.finish_all()
    yield Desk(
        viewer,
        layers.objects,
        layers.mask,
        layers.points,
        predict,
        runner,
        controller,
        document,
        ended,
        failed,
        noted,
    )
    controller.close()
    prompts.close()
    source.close()


def test_masks_come_plane_by_plane_and_go_in_one_step(desk: Desk) -> None:
    desk.click(20, 20)
    desk.begin()
    desk.runner.step(2)  # how, and the first plane
    assert desk.areas() == [49, 0, 0, 49, 0, 0, 0]
    desk.runner.finish_all()
    assert desk.areas() == [49] * COUNT
    assert [desk.column(at) for at in range(COUNT)] == [14, 15, 16, 17, 18, 19, 20]
    assert desk.document.undo_title == "follow object 1"
    desk.ended.assert_called_once_with("7 planes followed; one undo takes them back.")
    desk.controller.undo()
    assert desk.areas() == [0, 0, 0, 49, 0, 0, 0]
    desk.controller.redo()
    assert desk.areas() == [49] * COUNT


def test_range_and_direction(desk: Desk) -> None:
    desk.click(20, 20)
    desk.follow(direction="forward", last=5)
    assert desk.areas() == [0, 0, 0, 49, 49, 49, 0]
    desk.controller.undo()
    desk.follow(direction="backward", first=1)
    assert desk.areas() == [0, 49, 49, 49, 0, 0, 0]


def test_nothing_marked_is_nothing_to_follow(desk: Desk) -> None:
    desk.follow()
    assert "There is nothing to follow yet" in desk.failed.call_args.args[0]


def test_a_click_is_answered_when_the_run_has_stopped_for_it(desk: Desk) -> None:
    desk.click(20, 20)
    desk.begin(direction="forward")
    desk.runner.step(3)
    asked = len(desk.predict.asked)
    desk.points.add((3, 20, 22))
    assert "something else was changed" in desk.ended.call_args.args[0]
    assert len(desk.predict.asked) == asked, "the worker is not free yet"
    desk.runner.finish_all()
    assert len(desk.predict.asked[-1].prompts.points) == 2
    assert desk.areas() == [0, 0, 0, 49, 49, 0, 0]
    assert not desk.controller.tracking.running


def test_stopping_keeps_what_is_done_or_takes_it_back(desk: Desk) -> None:
    desk.click(20, 20)
    for revert, wanted in ((False, [0, 0, 0, 49, 49, 0, 0]), (True, [0, 0, 0, 49, 0, 0, 0])):
        desk.begin(direction="forward")
        desk.runner.step(3)
        desk.controller.tracking.stop(revert=revert)
        desk.runner.finish_all()
        assert desk.areas() == wanted
        if not revert:
            desk.controller.undo()
        desk.runner.finish_all()


def test_undo_during_a_run_takes_it_back_and_stops_it(desk: Desk) -> None:
    desk.click(20, 20)
    desk.begin(direction="forward")
    desk.runner.step(3)
    desk.controller.undo()
    desk.runner.finish_all()
    assert desk.areas() == [0, 0, 0, 49, 0, 0, 0]
    assert not desk.controller.tracking.running


def test_keeping_the_object_during_a_run_keeps_what_is_done(desk: Desk) -> None:
    desk.click(20, 20)
    desk.begin(direction="forward")
    desk.runner.step(3)
    desk.controller.commit()
    desk.runner.finish_all()
    assert desk.areas(1) == [0, 0, 0, 49, 49, 0, 0]
    assert desk.document.at_work.object_id == 2


def test_another_image_during_a_run(desk: Desk) -> None:
    desk.click(20, 20)
    desk.begin(direction="forward")
    desk.runner.step(3)
    desk.controller.detach()
    desk.runner.finish_all()
    assert desk.areas() == [0, 0, 0, 49, 49, 0, 0]
    assert not desk.controller.tracking.running


def test_closing_during_a_run(desk: Desk) -> None:
    desk.click(20, 20)
    desk.begin()
    desk.controller.close()
    desk.runner.finish_all()
    assert desk.areas() == [0, 0, 0, 49, 0, 0, 0]


def test_another_model_stops_the_run_and_is_asked(desk: Desk) -> None:
    desk.click(20, 20)
    desk.begin(direction="forward")
    desk.runner.step(3)
    desk.controller.use_model("tiny")
    desk.runner.finish_all()
    assert "another model was chosen" in desk.ended.call_args.args[0]
    assert desk.predict.asked[-1].model == "tiny"


def test_a_correction_changes_only_what_it_must(desk: Desk) -> None:
    desk.click(20, 20)
    desk.follow()
    desk.click(30, 40, plane=5)
    before = desk.mask.data[:4].copy()
    desk.follow(direction="forward")
    np.testing.assert_array_equal(desk.mask.data[:4], before)
    assert [desk.column(at) for at in (4, 5, 6)] == [18, 37, 38]
    asked = desk.predict.jobs[-1].objects[0]
    assert set(asked.prompts) == {3, 5}
    assert (desk.predict.jobs[-1].options.first, desk.predict.jobs[-1].options.last) == (5, 6)


def test_between_two_marked_planes_both_count(desk: Desk) -> None:
    desk.click(20, 20)
    desk.follow()
    desk.click(30, 40, plane=6)
    desk.follow()
    options = desk.predict.jobs[-1].options
    assert (options.first, options.last) == (4, 6)
    desk.follow(everything=True)
    options = desk.predict.jobs[-1].options
    assert (options.first, options.last) == (0, 6)


def test_what_is_painted_or_accepted_is_never_overwritten(desk: Desk) -> None:
    desk.click(20, 20)
    desk.follow()
    stroke = PackedMask.of(np.pad(np.ones((2, 2), bool), ((0, 38), (0, 58))))
    painted = Plane((1, 2), (4,))
    desk.document.paint_over({painted: (stroke, PackedMask(SHAPE))})
    desk.controller.accept([Plane((1, 2), (5,))])
    before = desk.mask.data[4:6].copy()
    desk.show(3)
    desk.follow(everything=True)
    np.testing.assert_array_equal(desk.mask.data[4:6], before)
    asked = desk.predict.jobs[-1].objects[0]
    assert (set(asked.prompts), set(asked.accepted)) == ({3}, {4, 5})
    assert asked.accepted[4].area == 53


def test_where_the_object_has_gone_the_older_mask_goes_too(desk: Desk) -> None:
    desk.click(20, 20)
    desk.follow()
    desk.predict.gone = {5}
    desk.follow(direction="forward")
    assert desk.areas() == [49, 49, 49, 49, 49, 0, 0]
    assert desk.controller.tracking.ends == {(1, 5): "the object is gone"}
    assert "Object 1 ends at plane 5: the object is gone." in desk.ended.call_args.args[0]


def test_kept_objects_on_the_plane_are_followed_where_they_are_not_yet(desk: Desk) -> None:
    desk.click(20, 20)
    desk.controller.commit()
    desk.click(20, 40)
    desk.controller.commit()
    desk.runner.finish_all()
    desk.show(3)
    desk.follow(kept=True, direction="forward")
    assert desk.areas(1) == [0, 0, 0, 49, 49, 49, 49]
    assert desk.areas(2) == [0, 0, 0, 49, 49, 49, 49]
    assert {k: v.area for k, v in desk.document.state.objects.items()} == {1: 196, 2: 196}
    assert desk.document.undo_title == "follow 2 objects"
    desk.controller.undo()
    assert desk.areas(1) == desk.areas(2) == [0, 0, 0, 49, 0, 0, 0]


def test_pixels_of_kept_objects_stay_theirs(desk: Desk) -> None:
    desk.click(20, 24, plane=5)
    desk.controller.commit()
    desk.click(20, 20)
    desk.follow()
    desk.controller.commit()
    assert desk.areas(1) == [0, 0, 0, 0, 0, 49, 0]
    assert desk.areas(2)[5] < 49


def test_a_failure_is_one_sentence_and_the_worker_is_free(desk: Desk) -> None:
    desk.click(20, 20)
    desk.predict.error = ValueError("The memory was not trained.")
    desk.begin()
    desk.runner.finish()
    desk.failed.assert_called_once_with("The memory was not trained.")
    desk.predict.error = None
    desk.click(21, 21)
    assert len(desk.predict.asked[-1].prompts.points) == 2


def test_a_mask_that_is_being_made_is_waited_for(desk: Desk) -> None:
    desk.points.add((3, 20, 20))
    desk.begin()
    assert not desk.controller.tracking.running
    assert "still being made" in desk.noted.call_args.args[0]


def test_what_was_found_is_cleaned_up_as_answers_are(desk: Desk) -> None:
    smooth = Cleanup(smooth=3)
    desk.click(20, 20)
    desk.controller.commit()
    desk.click(20, 40)
    desk.document.cleanup = smooth
    desk.follow(kept=True, direction="forward")
    square = PackedMask.of(np.pad(np.ones((7, 7), bool), 5))
    tidy = smooth.apply(square)
    assert 0 < tidy.area < square.area
    assert desk.areas(1)[4:] == [tidy.area] * 3
    # The object at work is followed from the mask that is shown, which is tidy already.
    twice = smooth.apply(tidy).area
    assert desk.areas(2)[3:] == [tidy.area, twice, twice, twice]
    desk.controller.accept([Plane((1, 2), (5,))])
    desk.document.cleanup = Cleanup()
    assert desk.areas(2)[4:] == [tidy.area, twice, tidy.area]
