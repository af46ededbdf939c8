"""Between the cache's panel and what keeps, counts and clears it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from napari.utils import progress

from napari_sam2.controller import Controller
from napari_sam2.session.cache_folder import CacheFolder
from napari_sam2.widget.cache_panel import CachePanel
from napari_sam2.widget.preferences import Preferences
from napari_sam2.widget.runner import Jobs, LazyPredict, ignore

_FILLED = "The whole stack is ready."
_MEMORY_ONLY = "Keeping on disk is off: of a large stack, only the last planes stay ready."
_FULL = (
    "Stopped at plane {done} of {total}: more do not fit into {size} GB on disk. "
    "Allow more there, and go on."
)


class CacheLink:
    """Lets the predictor follow the settings, and the panel show what there is.

    Parameters
    ----------
    panel : CachePanel
    preferences : Preferences
    controller : Controller
    predict : LazyPredict
    jobs : Jobs
        Counts and removes files.
    say, complain : callable
        Take a sentence for the user.
    """

    def __init__(
        self,
        panel: CachePanel,
        preferences: Preferences,
        controller: Controller,
        predict: LazyPredict,
        jobs: Jobs,
        say: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._panel, self._preferences = panel, preferences
        self._controller, self._predict, self._jobs = controller, predict, jobs
        self._say, self._complain = say, complain
        self._activity: progress | None = None
        self._progress = (0, 0)  # the last that was told
        self._began = 0.0  # getting a stack ready, as `time.time` tells it
        self._told = ""  # trouble with the disk
        panel.changed.connect(self._follow)
        panel.clear_requested.connect(self._on_clear_requested)
        panel.stack_requested.connect(self._on_stack_requested)
        panel.stop_requested.connect(controller.ahead.stop)
        controller.ahead.progressed.connect(self._on_progressed)
        controller.changed.connect(self._on_changed)
        controller.answered.connect(self._on_answered)
        self._follow()

    def close(self) -> None:
        """End what is shown in napari's activity dock."""
        self._controller.ahead.progressed.disconnect(self._on_progressed)
        self._end_activity()

    def show_use(self) -> None:
        """Count what is kept, on a worker thread."""
        folder = CacheFolder(self._preferences.settings.cache.path)
        show = partial(self._panel.show_use, str(folder.path), trouble=self._predict.trouble)
        self._jobs.start(lambda: folder.nbytes, show, ignore)

    def _follow(self, *_: object) -> None:
        self._predict.cache = self._preferences.settings.cache
        self.show_use()

    def _on_changed(self) -> None:
        document = self._controller.document
        self._panel.allow_stack(document is not None and len(document.labels.shape) > 2)

    def _on_answered(self, *_: object) -> None:
        trouble = self._predict.trouble
        if trouble != self._told:
            self._told = trouble
            self.show_use()  # where it stays, whatever is said next
            if trouble:
                self._complain(trouble)

    def _on_clear_requested(self) -> None:
        self._jobs.start(self._predict.clear_cache, lambda _: self.show_use(), ignore)

    def _on_stack_requested(self) -> None:
        if not self._preferences.settings.cache_on_disk:
            self._say(_MEMORY_ONLY)
        self._began = time.time()
        self._controller.embed_stack()

    def _on_progressed(self, done: int, total: int) -> None:
        if 0 < self._began <= self._predict.displaced and done < total:
            self._stop_full(done, total)
            return
        self._progress = (done, total)
        self._panel.show_progress(done, total)
        if done < total:
            self._show_activity(done, total)
            return
        self._end_activity()
        self.show_use()
        if total:
            self._say(_FILLED)

    def _stop_full(self, done: int, total: int) -> None:
        """Stop where planes that were made ready have to go again for the next ones."""
        self._began = 0.0
        self._controller.ahead.stop()
        size = self._preferences.settings.cache_gigabytes
        self._complain(_FULL.format(done=done, total=total, size=size))

    def _show_activity(self, done: int, total: int) -> None:
        if self._activity is None:
            activity = progress(total=total, desc="Getting the stack ready")
            # napari has let Qt work meanwhile, so more planes may have been shown already.
            if self._progress != (done, total):
                activity.close()
                return
            self._activity = activity
        self._activity.update(done - self._activity.n)

    def _end_activity(self) -> None:
        activity, self._activity = self._activity, None
        if activity is not None:
            activity.close()
