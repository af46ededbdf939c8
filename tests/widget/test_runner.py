from __future__ import annotations

import logging
import warnings
from dataclasses import replace
from functools import partial
from threading import Event, current_thread, main_thread
from unittest.mock import Mock

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThreadPool

from napari_sam2.errors import WeightsError
from napari_sam2.session.cache_folder import CacheOptions
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.postprocess import no_prediction
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction
from napari_sam2.widget.runner import CancelledError, Jobs, LazyPredict, ThreadRunner


def wait_for_workers() -> None:
    assert QThreadPool.globalInstance().waitForDone(10_000)


def test_work_runs_elsewhere_and_calls_back_here(qtbot: QtBot) -> None:
    threads = {}

    def work(report):
        report("embedding")
        threads["work"] = current_thread()
        return "mask"

    def note(name: str):
        return lambda value: threads.update({name: (current_thread(), value)})

    ThreadRunner().run(work, note("done"), note("failed"), note("reported"))
    qtbot.waitUntil(lambda: "done" in threads)
    assert threads["work"] is not main_thread()
    assert threads["done"] == (main_thread(), "mask")
    assert threads["reported"] == (main_thread(), "embedding")
    assert "failed" not in threads


def test_a_warning_while_and_after_work_runs_is_shown_as_ever(qtbot: QtBot) -> None:
    shows, is_at_work, may_end, done = warnings.showwarning, Event(), Event(), Mock()

    def work(report):
        is_at_work.set()
        may_end.wait(10)
        return warnings.showwarning

    ThreadRunner().run(work, done, Mock(), Mock())
    is_at_work.wait(10)
    with warnings.catch_warnings():  # as numpy and pandas do at any moment
        may_end.set()
        qtbot.waitUntil(lambda: done.called)
    assert done.call_args.args == (shows,)
    assert warnings.showwarning is shows


def test_an_error_is_handed_over_and_not_raised(
    qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    done, failed, error = Mock(), Mock(), WeightsError("no network")
    runner = ThreadRunner()
    runner.run(Mock(side_effect=error), done, failed, Mock())
    qtbot.waitUntil(lambda: failed.called)
    failed.assert_called_once_with(error)
    done.assert_not_called()
    assert not caplog.records


def test_an_unexpected_error_is_logged_with_its_traceback(
    qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    failed = Mock()
    runner = ThreadRunner()
    with caplog.at_level(logging.ERROR):
        runner.run(Mock(side_effect=KeyError("x")), Mock(), failed, Mock())
        qtbot.waitUntil(lambda: failed.called)
    assert caplog.records[0].exc_info is not None


def test_a_device_that_was_remembered_and_is_gone_is_as_automatic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from napari_sam2.session import lazy_segmenter

    asked = []

    class Segmenter:
        displaced = 0.0

        def use_cache(self, _cache: object) -> str:
            return ""

        def predict(self, request: Request, report: object) -> Prediction:
            asked.append(request.device)
            return replace(no_prediction(request, 4), device="cpu")

    monkeypatch.setattr(lazy_segmenter, "LazySegmenter", Segmenter)
    predict = LazyPredict()
    request = Request(PlaneImage.of("a", np.zeros((4, 6))), device="cuda:77")
    prediction = predict(request, Mock())
    assert asked == ["auto"]
    assert prediction.request is request
    assert predict.device.startswith("cpu")
    assert predict.devices["cpu"] == "CPU"


def test_the_worker_leaves_torch_its_own_number_of_threads(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cap costs the embedding more than it gives the viewer; scripts share the number."""
    import torch

    from napari_sam2.session import lazy_segmenter
    from tests.session.conftest import make_tiny_model

    set_number, done, failed = Mock(), Mock(), Mock()
    monkeypatch.setattr(torch, "set_num_threads", set_number)
    monkeypatch.setattr(
        lazy_segmenter.LazySegmenter.__init__,
        "__defaults__",
        (lambda *_: make_tiny_model(), CacheOptions()),
    )
    request = Request(PlaneImage.of("a", np.zeros((40, 60))), device="cpu")
    ThreadRunner().run(partial(LazyPredict(), request), done, failed, Mock())
    qtbot.waitUntil(lambda: done.called or failed.called)
    failed.assert_not_called()
    set_number.assert_not_called()


def test_after_close_nothing_is_called(qtbot: QtBot) -> None:
    may_end, calls = Event(), Mock()

    def work(report):
        may_end.wait(10)
        report("decoding")
        return "mask"

    runner = ThreadRunner()
    runner.run(work, calls, calls, calls)
    runner.close()
    may_end.set()
    wait_for_workers()
    qtbot.wait(1)  # deliver what was queued
    calls.assert_not_called()


def test_a_runner_that_is_forgotten_lives_until_its_work_ends(qtbot: QtBot) -> None:
    may_end, done = Event(), Mock()

    def work(report):
        may_end.wait(10)
        report("decoding")
        return "mask"

    ThreadRunner().run(work, done, Mock(), Mock())
    may_end.set()
    qtbot.waitUntil(lambda: done.called)
    done.assert_called_once_with("mask")


def test_cancelled_work_ends_at_its_next_stage_and_the_next_work_is_not_cancelled(
    qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    may_report, done, failed = Event(), Mock(), Mock()

    def work(report):
        may_report.wait(10)
        report("downloading 2 %")
        return "mask"

    runner = ThreadRunner()
    runner.run(work, done, failed, Mock())
    runner.cancel()
    may_report.set()
    qtbot.waitUntil(lambda: failed.called)
    assert isinstance(failed.call_args.args[0], CancelledError)
    assert not caplog.records
    runner.run(work, done, failed, Mock())
    qtbot.waitUntil(lambda: done.called)
    assert failed.call_count == 1


def test_jobs_are_done_one_after_the_other_and_call_back_here(qtbot: QtBot) -> None:
    jobs, done, threads = Jobs(), [], set()

    def work(name: str) -> str:
        threads.add(current_thread())
        return name

    def note(name: str) -> None:
        assert current_thread() is main_thread()
        done.append(name)

    for name in "abc":
        jobs.start(partial(work, name), note, note)
    assert jobs.busy
    qtbot.waitUntil(lambda: not jobs.busy)
    assert done == ["a", "b", "c"]
    assert main_thread() not in threads


def test_a_job_that_fails_does_not_keep_the_next_from_being_done(
    qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    jobs, done, failed, error = Jobs(), Mock(), Mock(), KeyError("x")
    jobs.start(Mock(side_effect=error), done, failed)
    jobs.start(lambda: "b", done, failed)
    qtbot.waitUntil(lambda: not jobs.busy)
    failed.assert_called_once_with(error)
    done.assert_called_once_with("b")
    assert caplog.records[0].exc_info is not None


def test_a_caller_that_fails_does_not_keep_the_next_from_being_done(qtbot: QtBot) -> None:
    jobs, done = Jobs(), Mock()
    with qtbot.capture_exceptions() as raised:
        jobs.start(lambda: "a", Mock(side_effect=KeyError("x")), Mock())
        jobs.start(lambda: "b", done, Mock())
        qtbot.waitUntil(lambda: done.called)
    assert len(raised) == 1


def test_after_close_no_job_is_begun_and_nobody_is_called(qtbot: QtBot) -> None:
    may_end, calls, second = Event(), Mock(), Mock()
    jobs = Jobs()
    jobs.start(lambda: may_end.wait(10), calls, calls)
    jobs.start(second, calls, calls)
    jobs.close()
    jobs.start(second, calls, calls)
    may_end.set()
    wait_for_workers()
    qtbot.wait(1)  # deliver what was queued
    calls.assert_not_called()
    second.assert_not_called()
