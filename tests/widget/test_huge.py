"""A plane of 100 000 x 100 000, of which nobody may ever hold the whole."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

from napari_sam2.layers.snapshots import take_snapshot, take_up
from napari_sam2.session.project import load_session, save_session
from napari_sam2.session.recovery import Recovery
from napari_sam2.widget.files import Files
from tests.benchmarks.memory import in_fresh_process
from tests.session.snapshots import identical
from tests.widget.desk import Desk, desk_on
from tests.widget.dialogs import FakeDialogs
from tests.widget.held_jobs import HeldJobs

SIDE = 100_000
NEAR, FAR = (5_000.0, 6_000.0), (90_000.0, 80_000.0)
MOST = 1_500  # MiB


@pytest.fixture(autouse=True)
def labels_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "labels"
    monkeypatch.setattr("napari_sam2.session.label_folder.default_folder", lambda: folder)
    return folder


def huge_viewer() -> ViewerModel:
    levels = [da.zeros((SIDE >> at, SIDE >> at), np.uint8, chunks=(2048, 2048)) for at in range(8)]
    viewer = ViewerModel()
    viewer.add_image(levels, name="slide", contrast_limits=(0, 255), scale=(0.5, 0.5))
    return viewer


@pytest.fixture
def desk(qapp: Any) -> Iterator[Desk]:
    with desk_on(huge_viewer()) as desk:
        yield desk.annotate()


def kept_at(desk: Desk, y: float, x: float) -> int:
    return int(desk.objects.data[0][int(y), int(x)])


def test_objects_are_kept_and_come_back_as_on_any_image(desk: Desk) -> None:
    assert desk.keep(*NEAR) == 1
    assert desk.keep(*FAR) == 2
    desk.click(*NEAR)
    assert desk.areas() == {1: 49, 2: 49}
    desk.controller.cancel()
    for _ in range(3):
        desk.controller.undo()
    assert (kept_at(desk, *NEAR), kept_at(desk, *FAR)) == (1, 0)
    for _ in range(3):
        desk.controller.redo()
    assert (kept_at(desk, *NEAR), kept_at(desk, *FAR)) == (1, 2)
    desk.controller.reopen(2)
    assert kept_at(desk, *FAR) == 0
    assert desk.mask.data[0][int(FAR[0]), int(FAR[1])] == 2
    desk.controller.cycle()
    desk.controller.commit()
    assert desk.areas() == {1: 49, 2: 81}
    desk.controller.merge([1, 2])
    assert desk.areas() == {1: 130}
    desk.controller.delete([1])
    assert not np.asarray(desk.objects.data[-1]).any()
    desk.controller.undo()
    assert kept_at(desk, *FAR) == 1
    assert not desk.said


def test_a_small_pyramid_is_annotated_at_its_finest_level(qapp: Any) -> None:
    viewer = ViewerModel()
    viewer.add_image([np.zeros((400, 600)), np.zeros((200, 300))], scale=(0.5, 0.5))
    with desk_on(viewer) as desk:
        desk.annotate()
        assert desk.keep(300, 500) == 1
        assert not desk.objects.multiscale
        assert desk.objects.data[300, 500] == 1
        assert desk.areas() == desk.counted() == {1: 49}
        desk.brush(desk.objects, 100, 100, value=1)
        assert desk.areas() == desk.counted()
        assert desk.areas()[1] > 49


def test_a_layer_that_is_deleted_leaves_nothing_on_the_disk(
    desk: Desk, labels_folder: Path, qtbot: QtBot
) -> None:
    desk.keep(*NEAR)
    assert len(list(labels_folder.iterdir())) == 2
    desk.viewer.layers.remove(desk.objects)
    desk.viewer.layers.selection.active = desk.image  # napari remembers what was active last

    def is_gone() -> bool:
        gc.collect()
        return not list(labels_folder.iterdir())

    qtbot.waitUntil(is_gone)  # when the worker has let go of it, too


def test_what_lies_too_far_apart_is_not_opened_again(desk: Desk) -> None:
    desk.keep(*NEAR)
    desk.keep(*FAR)
    desk.controller.merge([1, 2])
    desk.controller.reopen(1)
    assert len(desk.said) == 1
    assert "too many for one mask at work" in desk.said[0]
    assert desk.areas() == {1: 98}


def test_a_session_holds_the_squares_that_have_labels(desk: Desk, tmp_path: Path) -> None:
    desk.keep(*NEAR)
    desk.keep(*FAR)
    snapshot = take_snapshot(desk.document, desk.image, "known")
    assert len(snapshot.labels) == 2
    save_session(tmp_path / "a.sam2.zip", snapshot)
    assert (tmp_path / "a.sam2.zip").stat().st_size < 500_000
    with desk_on(huge_viewer()) as later:
        later.annotate()
        take_up(later.document, load_session(tmp_path / "a.sam2.zip"), "open")
        assert identical(later.state, desk.state)
        assert (kept_at(later, *NEAR), kept_at(later, *FAR)) == (1, 2)
        later.controller.undo()
        assert not np.asarray(later.objects.data[-1]).any()


def test_work_is_kept_safe_square_by_square(desk: Desk, tmp_path: Path) -> None:
    recovery = Recovery(tmp_path / "recovery")
    desk.keep(*NEAR)
    recovery.write(take_snapshot(desk.document, desk.image, "known"), None, "slide")
    touched = []
    desk.document.edited.connect(touched.append)
    desk.keep(*FAR)
    later = take_snapshot(desk.document, desk.image, "known", {(43, 39)})
    assert [edit.start for edit in touched] == [(89_997, 79_997)]
    assert later.labels[43, 39].shape == (2048, 2048)
    recovery.write(later, {(43, 39)}, "slide")
    recovery.close()
    found = recovery.find("known")
    assert found is not None
    assert {*recovery.load(found).labels} == {(2, 2), (43, 39)}


def test_objects_are_exported_one_by_one(desk: Desk, tmp_path: Path) -> None:
    """Of the formats that hold a whole plane, here is one that is written by objects."""
    desk.keep(*NEAR)
    desk.keep(*FAR)
    dialogs, jobs, told = FakeDialogs(tmp_path / "slide.json"), HeldJobs(), list[str]()
    files = Files(
        desk.document,
        desk.image,
        desk.objects,
        dialogs,  # type: ignore[arg-type]
        jobs,  # type: ignore[arg-type]
        told.append,
        told.append,
        told.append,  # type: ignore[arg-type]
        lambda _: "",
    )
    files.export("coco")
    jobs.do_all()
    found = json.loads((tmp_path / "slide.json").read_text())["annotations"]
    assert [one["bbox"] for one in found] == [[5997, 4997, 7, 7], [79997, 89997, 7, 7]]


@pytest.mark.slow
def test_a_click_a_keep_and_an_undo_stay_within_memory() -> None:
    """`python -m tests.benchmarks.memory` measures the same with a model."""
    steps = in_fresh_process("huge", "stub")
    assert list(steps)[-1] == "autosave"
    assert max(steps.values()) < MOST
