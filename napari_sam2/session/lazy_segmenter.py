"""Any model on any device, loaded when a request names it; only the latest is kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from napari_sam2.errors import MemoryFullError
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.cache_folder import CacheOptions
from napari_sam2.session.device import free_memory, load_model
from napari_sam2.session.feature_store import FeatureStore
from napari_sam2.session.followers import given_mask
from napari_sam2.session.image_segmenter import ImageSegmenter, Report
from napari_sam2.session.prompts import Request
from napari_sam2.session.propagation import propagate
from napari_sam2.session.results import Prediction
from napari_sam2.session.track_job import Tell, TrackJob, TrackStarted
from napari_sam2.session.track_regions import region_around
from napari_sam2.session.tracks import Method, TrackedObject
from napari_sam2.session.view import Look

_IN_MEMORY = CacheOptions()
_CPU = "cpu"
_log = logging.getLogger(__name__)

Load = Callable[[str, str, Callable[[int, int], None]], Sam2]
"""Gives a model for a name and a device."""


class LazySegmenter:
    """Answers requests for any model: loads what a request names, and keeps only the latest.

    Safe to call from several threads; they take turns. Where the memory of a device is full, all
    that is kept there is let go of; if that does not help, the CPU answers from then on, until
    another model or device is asked for.

    Parameters
    ----------
    load : callable
        Gives the model for a name and a device; told where to report bytes done and in all.
    cache : CacheOptions
        Where features are kept; those in memory go with their model.
    """

    def __init__(self, load: Load = load_model, cache: CacheOptions = _IN_MEMORY) -> None:
        self._load = load
        self._cache, self._store = cache, FeatureStore.of(cache)
        self._lock = Lock()
        self._loaded: tuple[str, str] | None = None  # name and device of the segmenter's model
        self._segmenter: ImageSegmenter | None = None

    def predict(self, request: Request, report: Report | None = None) -> Prediction:
        """Answer a request with the model that it names, on the device that it names.

        Parameters
        ----------
        request : Request
            The question.
        report : callable, optional
            Told "loading", "embedding" and "decoding" as each begins, and each percent of a
            download; what it raises ends the work, and a download is resumed the next time.

        Raises
        ------
        ValueError
            If there is no such device.
        WeightsError
            If the model cannot be had.
        PromptError
            If the plane or a prompt cannot be used.
        DeviceError
            If the CPU's memory is full as well, or the device is lost.
        """
        with self._lock:
            outcome = self._try(request, report)
            if isinstance(outcome, MemoryFullError):
                self._free_features()
                outcome = self._try(request, report)
            if isinstance(outcome, MemoryFullError) and outcome.device:
                outcome = self._answer_on_cpu(request, report, outcome.device)
        if isinstance(outcome, MemoryFullError):
            raise outcome
        return outcome

    def track(self, job: TrackJob, tell: Tell, report: Report | None = None) -> None:
        """Follow objects, and tell first how, then each mask as it is found.

        Parameters
        ----------
        job : TrackJob
        tell : callable
            What it raises ends the work.
        report : callable, optional
            As in `predict`.

        Raises
        ------
        PromptError
            If an object has no prompt, or a prompt or a frame cannot be used.
        ValueError
            If there is no such device, or the memory is asked for and the model has none.
        Sam2Error
            If the model cannot be had, or the device has too little memory.
        """
        with self._lock:
            follow(self._segmenter_for(job, report), job, tell)

    def use_cache(self, cache: CacheOptions) -> str:
        """Keep features elsewhere from now on; gives why they are not, empty while all is well."""
        with self._lock:
            if cache != self._cache:
                self._cache, self._store = cache, FeatureStore.of(cache)
                if self._segmenter is not None:
                    self._segmenter = ImageSegmenter(self._segmenter.model, self._store)
            disk = self._store.disk
            return "" if disk is None else disk.folder.trouble

    @property
    def displaced(self) -> float:
        """See `CacheFolder.displaced`."""
        disk = self._store.disk
        return 0.0 if disk is None else disk.folder.displaced

    def clear_cache(self) -> None:
        """Let go of all features, those on disk too."""
        with self._lock:
            self._store.clear()

    def look(self, request: Request) -> Look:
        """Give what the model that a request names sees; see `ImageSegmenter.look`.

        Does not wait for an answer that the same model is at work on.
        """
        segmenter = self._segmenter  # what it sees depends on no device
        if segmenter is None or segmenter.model.name != request.model:
            with self._lock:
                segmenter = self._segmenter_for(request, None)
        return segmenter.look(request)

    def release(self) -> None:
        """Free the model and its features; the next request loads again."""
        with self._lock:
            self._release()

    def _try(self, request: Request, report: Report | None) -> Prediction | MemoryFullError:
        """Answer, or give the error: raised, it would hold what was computed so far."""
        try:
            return self._segmenter_for(request, report).predict(request, report)
        except MemoryFullError as error:
            _log.warning("Too little memory.", exc_info=error)
            return MemoryFullError(str(error), error.device)

    def _answer_on_cpu(
        self, request: Request, report: Report | None, instead_of: str
    ) -> Prediction | MemoryFullError:
        """Let the CPU answer; the request is still the one that was asked."""
        outcome = self._try(replace(request, device=_CPU), report)
        if isinstance(outcome, MemoryFullError):
            return outcome
        note = (
            f"The memory of {instead_of} is full, so the CPU goes on, more slowly; choose the "
            "device again when it has room."
        )
        return replace(outcome, request=request, note=note)

    def _segmenter_for(self, request: Request | TrackJob, report: Report | None) -> ImageSegmenter:
        wanted = (request.model, request.device)
        if self._segmenter is None or self._loaded != wanted:
            self._release()  # first: two large models may not fit
            if report is not None:
                report("loading")
            self._segmenter = ImageSegmenter(
                self._load(*wanted, _percent_teller(report)), self._store
            )
            self._loaded = wanted
        return self._segmenter

    def _release(self) -> None:
        if self._segmenter is None:
            return
        device = self._segmenter.model.device
        self._segmenter = self._loaded = None
        self._store.memory.clear()
        free_memory(device)

    def _free_features(self) -> None:
        self._store.memory.clear()
        if self._segmenter is not None:
            free_memory(self._segmenter.model.device)


def follow(segmenter: ImageSegmenter, job: TrackJob, tell: Tell) -> None:
    """Follow the objects of a job, each where it is not small."""
    model, asked = segmenter.model, job.options.method
    carries = asked == "carry" or (asked == "auto" and not model.has_memory)
    method: Method = "carry" if carries else "memory"
    tell(TrackStarted(method, job.model, model.weights_hash, model.has_memory))
    objects = [one if job.whole else _with_region(segmenter, one, job) for one in job.objects]
    for found in propagate(segmenter, job.frames, objects, job.options):
        tell(found)


def _with_region(segmenter: ImageSegmenter, one: TrackedObject, job: TrackJob) -> TrackedObject:
    given = (given_mask(prompts) for prompts in one.prompts.values())
    masks = [*(mask for mask in given if mask is not None), *one.accepted.values()]
    return replace(one, region=region_around(segmenter, job.frames[0], masks))


def _percent_teller(report: Report | None) -> Callable[[int, int], None]:
    told = -1

    def tell(done: int, total: int) -> None:
        nonlocal told
        percent = 100 * done // max(total, 1)
        if percent != told:
            told = percent
            if report is not None:
                report(f"downloading {percent} %")

    return tell
