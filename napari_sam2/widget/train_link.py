"""Between the training's panel, what was kept in the viewer, and what trains on it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from napari.components import ViewerModel

from napari_sam2.controller import Controller
from napari_sam2.errors import Sam2Error
from napari_sam2.layers.kept_planes import count_kept, kept_planes
from napari_sam2.training.tuning import Job, Outcome, Recipe
from napari_sam2.weights.registry import find_entry, new_own_path, own_models, state_path
from napari_sam2.widget.model_panel import ModelPanel
from napari_sam2.widget.runner import CancelledError
from napari_sam2.widget.train_panel import TrainPanel
from napari_sam2.widget.training_runner import TrainingRunner

_RUNS = "Training. Go on annotating: answers take longer meanwhile."
_STOPPED = "Training is stopped. What was learnt is kept: press Go on."
_NO_BETTER = (
    "Training did not help on the objects held out, so there is no new model. Keep more objects."
)
_log = logging.getLogger(__name__)


class TrainLink:
    """Starts, stops and shows a training.

    Parameters
    ----------
    viewer : ViewerModel
        Has the images and what was kept on them.
    panel : TrainPanel
    models : ModelPanel
        Lists the new model.
    controller : Controller
        Tells the model to begin with, and when objects were kept.
    runner : TrainingRunner
    say, complain : callable
        Take a sentence for the user.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        panel: TrainPanel,
        models: ModelPanel,
        controller: Controller,
        runner: TrainingRunner,
        say: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._viewer, self._panel, self._models = viewer, panel, models
        self._controller, self._runner = controller, runner
        self._say, self._complain = say, complain
        self._job: Job | None = None  # the one that runs, or was stopped
        self._runs = False
        panel.start_requested.connect(self._on_start_requested)
        panel.resume_requested.connect(self._on_resume_requested)
        panel.stop_requested.connect(runner.stop)
        controller.changed.connect(self.show_kept)
        panel.show_name(_free_name())

    def close(self) -> None:
        """Stop; what was learnt so far is kept."""
        self._controller.changed.disconnect(self.show_kept)
        self._runner.close()

    def show_kept(self, *_: object) -> None:
        """Show what could be learnt from."""
        self._panel.show_kept(count_kept(self._viewer), self._controller.model)

    def _on_start_requested(self, name: str, recipe: Recipe) -> None:
        if self._runs:
            return
        try:
            path = new_own_path(name)
            find_entry(self._controller.model)
            planes = kept_planes(self._viewer)
        except Sam2Error as error:
            self._complain(str(error))
            return
        state_path(path).unlink(missing_ok=True)  # begun anew
        controller = self._controller
        self._begin(Job(planes, controller.model, controller.device, name, recipe), is_new=True)

    def _on_resume_requested(self) -> None:
        if self._job is not None and not self._runs:
            self._begin(self._job, is_new=False)

    def _begin(self, job: Job, *, is_new: bool) -> None:
        self._job, self._runs = job, True
        self._panel.show_begin(job.recipe.steps, is_new)
        self._say(_RUNS)
        self._runner.start(job, self._panel.show_progress, self._on_done, self._on_failed)

    def _on_done(self, outcome: Outcome) -> None:
        job, self._job, self._runs = self._job, None, False
        assert job is not None
        self._panel.show_end(outcome)
        if not outcome.helped:
            self._complain(_NO_BETTER)
            return
        self._models.list_models()
        self._panel.show_name(_free_name())
        self._say(f"The model {job.name!r} is ready: choose it in the list of models.")

    def _on_failed(self, error: Exception) -> None:
        self._runs = False
        is_stopped = isinstance(error, CancelledError)
        self._panel.show_end(None, can_go_on=is_stopped)
        if is_stopped:
            self._say(_STOPPED)
            return
        if not isinstance(error, Sam2Error):
            _log.error("Training failed.", exc_info=error)
        self._complain(str(error))


def _free_name() -> str:
    """Propose a name that no model has."""
    taken, number = own_models(), 1
    while (name := f"mine-{number}" if number > 1 else "mine") in taken:
        number += 1
    return name
