"""Training on what was kept, from the panel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThreadPool

from napari_sam2.errors import Sam2Error
from napari_sam2.layers.kept_planes import kept_planes
from napari_sam2.layers.snapshots import take_labels
from napari_sam2.session.objects import AtWork, State
from napari_sam2.session.records import records_of
from napari_sam2.training.tuning import Figures, Job, Outcome, Progress, Recipe
from napari_sam2.weights import registry
from napari_sam2.weights.registry import new_own_path
from napari_sam2.widget import SegmentWidget
from napari_sam2.widget.elsewhere import do_elsewhere
from napari_sam2.widget.learning_curve import LearningCurve
from napari_sam2.widget.runner import CancelledError
from napari_sam2.widget.train_panel import TrainPanel
from napari_sam2.widget.training_runner import TrainingRunner
from tests.fakes import HeldRunner, SquarePredict

BETTER = Outcome(Figures(0.5, 0.6), Figures(0.7, 0.8), best_step=200, objects=8, held_out=2)
NO_BETTER = Outcome(Figures(0.5, 0.6), Figures(0.5, 0.6), best_step=0, objects=8, held_out=2)


class HeldTrainer:
    """Stands in for `TrainingRunner`: a training ends when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.stopped = 0
        self.is_closed = False

    def start(
        self,
        job: Job,
        tell: Callable[[Progress], None],
        done: Callable[[Outcome], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.jobs.append(job)
        self.tell, self.done, self.failed = tell, done, failed

    def stop(self) -> None:
        self.stopped += 1

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry, "own_folder", lambda: tmp_path / "models")
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def trainer() -> HeldTrainer:
    return HeldTrainer()


@pytest.fixture
def widget(
    qtbot: QtBot, viewer: ViewerModel, stack, trainer: HeldTrainer
) -> Iterator[SegmentWidget]:
    """An annotated stack with eight kept objects."""
    widget = SegmentWidget(viewer, SquarePredict(), HeldRunner(), trainer=trainer)
    qtbot.addWidget(widget)
    widget.panel.annotate.click()
    keep(widget, 8)
    return widget


def keep(widget: SegmentWidget, count: int) -> None:
    document = widget.controller.document
    assert document is not None
    labels = np.zeros(document.labels.shape, np.int32)
    for label in range(1, count + 1):
        plane, column = divmod(label - 1, 6)
        labels[2 * plane, 5:15, 10 * column : 10 * column + 8] = label
    records = records_of(labels)
    state = State(AtWork(count + 1), records, highest=count)
    take_labels(document, labels, state, "keep")


def shown(widget: SegmentWidget) -> TrainPanel:
    return widget.panel.train


def titles(widget: SegmentWidget) -> list[str]:
    choice = widget.panel.model._choice
    return [choice.itemText(index) for index in range(choice.count())]


def said(widget: SegmentWidget) -> str:
    return widget.panel.status.text


def save_own(name: str) -> None:
    new_own_path(name).write_bytes(b"weights")


# What is learnt from


def test_kept_objects_of_all_planes_are_learnt_from(
    widget: SegmentWidget, viewer: ViewerModel
) -> None:
    planes = kept_planes(viewer)
    assert [np.unique(plane.labels).tolist() for plane in planes] == [list(range(7)), [0, 7, 8]]
    assert len({plane.name for plane in planes}) == 2
    assert planes[1].image.shape == planes[1].labels.shape == (40, 60)
    assert planes[1].image.pixels().shape == (40, 60)
    objects = next(layer for layer in viewer.layers if layer.name.endswith("objects"))
    objects.data[0] = 0
    assert planes[0].labels.any(), "they are copies"


def test_of_large_planes_only_parts_are_read(
    widget: SegmentWidget, viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_MOST_PIXELS": 100, "_SQUARE": 20, "_MARGIN": 3}.items():
        monkeypatch.setattr(f"napari_sam2.layers.kept_planes.{name}", value)
    planes = kept_planes(viewer)
    assert [plane.region for plane in planes] == [
        (0, 0, 23, 23),
        (0, 17, 23, 43),
        (0, 37, 23, 60),
        (0, 0, 23, 23),
    ]
    assert [np.unique(p.labels).tolist() for p in planes] == [
        [0, 1, 2],
        [0, 3, 4],
        [0, 5, 6],
        [0, 7, 8],
    ]
    assert all(p.labels.shape == (23, p.region[3] - p.region[1]) for p in planes)


def test_what_is_no_object_is_not_learnt_from(widget: SegmentWidget, viewer: ViewerModel) -> None:
    objects = next(layer for layer in viewer.layers if layer.name.endswith("objects"))
    objects.data_setitem((np.array([0, 0]), np.array([30, 31]), np.array([30, 30])), 99)
    assert not any((plane.labels == 99).any() for plane in kept_planes(viewer))


def test_objects_of_every_open_image_count(widget: SegmentWidget, viewer: ViewerModel) -> None:
    other = viewer.add_image(np.zeros((30, 60)), scale=(0.5, 0.5), name="other")
    choice = widget.panel.images
    choice.setCurrentText(other.name)
    choice.activated.emit(choice.currentIndex())
    widget.panel.annotate.click()
    assert "your 8 kept objects" in shown(widget)._hint.text()
    document = widget.controller.document
    assert document is not None
    labels = np.zeros((30, 60), np.int32)
    labels[3:9, 3:9] = 1
    take_labels(document, labels, State(AtWork(2), records_of(labels), highest=1), "keep")
    assert "your 9 kept objects" in shown(widget)._hint.text()
    assert len(kept_planes(viewer)) == 3


def test_a_handful_is_needed(widget: SegmentWidget) -> None:
    assert shown(widget)._start.isEnabled()
    keep(widget, 4)
    assert not shown(widget)._start.isEnabled()
    assert shown(widget)._hint.text().startswith("Keep at least 5 objects to train on, 4 so far.")


# Training


def test_a_training_is_asked_for_and_shown(widget: SegmentWidget, trainer: HeldTrainer) -> None:
    panel = shown(widget)
    panel._steps.setValue(50)
    panel._mode.setCurrentIndex(1)
    panel._start.click()
    (job,) = trainer.jobs
    assert (job.name, job.base, job.device) == ("mine", "micro", "auto")
    assert job.recipe == Recipe("full", 50)
    assert len(job.planes) == 2
    assert "Go on annotating: answers take longer" in said(widget)
    assert panel._hint.text().startswith("Go on annotating")
    assert panel._start.isHidden()
    assert not panel._stop.isHidden()
    trainer.tell(Progress("looking", 3, 48))
    assert panel._stage.text() == "looking at the pictures, 3 of 48"
    trainer.tell(Progress("checking", 2, 2, figures=Figures(0.5, 0.7)))
    for step in (1, 2):
        trainer.tell(Progress("training", step, 50, loss=4.0 - step))
    assert (panel._bar.value(), panel._bar.maximum()) == (2, 50)
    assert panel._stage.text() == "step 2 of 50"
    assert panel._curve._losses == [(1, 3.0), (2, pytest.approx(2.9))]
    assert panel._curve._ious == [(0, pytest.approx(0.6))]


def test_the_new_model_is_in_the_list_at_once_and_after_a_restart(
    qtbot: QtBot, widget: SegmentWidget, trainer: HeldTrainer, viewer: ViewerModel
) -> None:
    shown(widget)._start.click()
    save_own("mine")
    trainer.done(BETTER)
    assert titles(widget)[:2] == ["micro (included)", "mine (yours)"]
    assert widget.panel.model.entry.name == "micro"
    assert "'mine' is ready" in said(widget)
    assert "one click 0.50 → 0.70, box 0.60 → 0.80" in shown(widget)._figures.text()
    assert shown(widget)._name.text() == "mine-2"
    other = SegmentWidget(viewer, SquarePredict(), HeldRunner(), trainer=HeldTrainer())
    qtbot.addWidget(other)
    assert titles(other) == titles(widget)
    other.panel.model._choice.setCurrentIndex(1)
    other.panel.model._on_activated()
    assert other.controller.model == "mine"


def test_no_model_is_promised_if_it_is_no_better(
    widget: SegmentWidget, trainer: HeldTrainer
) -> None:
    shown(widget)._start.click()
    trainer.done(NO_BETTER)
    assert "Training did not help" in said(widget)
    assert not any("yours" in title for title in titles(widget))
    assert not shown(widget)._start.isHidden()


def test_stopping_and_going_on(widget: SegmentWidget, trainer: HeldTrainer) -> None:
    panel = shown(widget)
    panel._start.click()
    trainer.tell(Progress("training", 1, 200, loss=4.0))
    panel._stop.click()
    assert trainer.stopped == 1
    trainer.failed(CancelledError("Training was stopped."))
    assert "press Go on" in said(widget)
    assert not panel._go_on.isHidden()
    keep(widget, 7)
    panel._go_on.click()
    assert trainer.jobs[1] is trainer.jobs[0], "what was learnt from before"
    assert len(panel._curve._losses) == 1
    assert panel._go_on.isHidden()


def test_a_failure_is_a_sentence(widget: SegmentWidget, trainer: HeldTrainer) -> None:
    shown(widget)._start.click()
    trainer.failed(Sam2Error("The memory is full."))
    assert said(widget) == "The memory is full."
    assert not shown(widget)._start.isHidden()
    assert shown(widget)._go_on.isHidden()


@pytest.mark.parametrize("name", ["micro", "old", "a/b", ""])
def test_a_name_that_cannot_be_used_is_told(
    widget: SegmentWidget, trainer: HeldTrainer, name: str
) -> None:
    save_own("old")
    shown(widget)._name.setText(name)
    shown(widget)._start.click()
    assert trainer.jobs == []
    assert "name" in said(widget)


def test_beginning_anew_forgets_a_stopped_training(
    widget: SegmentWidget, trainer: HeldTrainer, folder: Path
) -> None:
    (folder / "mine.training.pt").write_bytes(b"old")
    shown(widget)._start.click()
    assert trainer.jobs
    assert not (folder / "mine.training.pt").exists()


def test_closing_the_panel_stops_the_training(widget: SegmentWidget, trainer: HeldTrainer) -> None:
    shown(widget)._start.click()
    widget.close()
    assert trainer.is_closed


# The worker


def test_the_runner_tells_on_the_gui_thread_and_stops(qtbot: QtBot) -> None:
    job = Job((), "micro", "cpu", "mine", Recipe())
    told: list[object] = []

    def train(_job: Job, tell: Callable[[Progress], None]) -> Outcome:
        tell(Progress("training", 1, 2))
        return BETTER

    runner = TrainingRunner(train)
    runner.start(job, told.append, told.append, told.append)
    qtbot.waitUntil(lambda: len(told) == 2)
    assert told == [Progress("training", 1, 2), BETTER]

    def train_long(_job: Job, tell: Callable[[Progress], None]) -> Outcome:
        runner.stop()
        tell(Progress("training", 1, 2))
        return BETTER

    runner = TrainingRunner(train_long)
    runner.start(job, told.append, told.append, told.append)
    qtbot.waitUntil(lambda: len(told) == 3)
    assert isinstance(told[2], CancelledError)


def test_annotating_goes_on_where_there_is_one_thread(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = QThreadPool.globalInstance()
    assert pool is not None
    threads = pool.maxThreadCount()
    answered = Event()

    def train(_job: Job, _tell: Callable[[Progress], None]) -> Outcome:
        assert answered.wait(20)
        return BETTER

    told: list[object] = []
    pool.setMaxThreadCount(1)
    try:
        runner = TrainingRunner(train)
        runner.start(Job((), "", "", "", Recipe()), told.append, told.append, told.append)
        do_elsewhere(answered.set, lambda _: None, told.append)
        qtbot.waitUntil(lambda: told == [BETTER])
    finally:
        pool.setMaxThreadCount(threads)


def test_the_curve_can_be_drawn_with_anything_in_it(qtbot: QtBot) -> None:
    curve = LearningCurve()
    qtbot.addWidget(curve)
    curve.resize(200, 96)
    curve.begin(10)
    before = curve.grab().toImage()
    curve.add_iou(0, 0.5)
    curve.add_loss(1, 4.0)
    curve.add_loss(2, 4.0)
    curve.add_iou(10, 0.9)
    assert curve.grab().toImage() != before
