from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QWidget

from napari_sam2.errors import ProjectError
from napari_sam2.session.objects import State
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.widget.autosave import Autosave
from tests.widget.annotated import Annotated
from tests.widget.held_jobs import HeldJobs


class Disk:
    """Stands in for `Recovery`: remembers what it was told to write, unless it is full."""

    def __init__(self) -> None:
        self.is_full = False
        self.written: list[tuple[Snapshot, set | None]] = []
        self.forgotten: list[str] = []

    def write(self, snapshot: Snapshot, dirty: Collection | None, _name: str) -> None:
        if self.is_full:
            raise ProjectError("The disk is full. Make room.")
        self.written.append((snapshot, None if dirty is None else set(dirty)))

    def forget(self, fingerprint: str, _name: str) -> None:
        self.forgotten.append(fingerprint)

    @property
    def blocks(self) -> list[set | None]:
        return [dirty for _, dirty in self.written]


class Setting:
    def __init__(self, parent: QWidget) -> None:
        self.annotated, self.jobs, self.disk = Annotated(), HeldJobs(), Disk()
        self.document = self.annotated.document
        self.told: list[str] = []
        self._parent = parent
        self.begin(self.document.state)

    def begin(self, saved: State) -> None:
        self.autosave = Autosave(
            self.document,
            saved,
            self.annotated.image,
            "abc",
            self.disk,  # type: ignore[arg-type]
            self.jobs,  # type: ignore[arg-type]
            self.told.append,
            self._parent,
        )

    def save(self) -> None:
        self.autosave.write_now()
        self.jobs.do_all()


@pytest.fixture
def setting(qtbot: QtBot) -> Setting:
    parent = QWidget()
    qtbot.addWidget(parent)
    return Setting(parent)


def test_many_changes_are_one_write(
    qtbot: QtBot, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sam2.widget.autosave._DELAY_MS", 0)
    setting.autosave.close()
    setting.begin(setting.document.state)
    for at in (0, 5, 10):
        setting.annotated.keep(0, at)
    assert not setting.jobs.waiting  # not at once: the user is at it
    qtbot.waitUntil(lambda: bool(setting.jobs.waiting))
    setting.jobs.do_next()
    qtbot.wait(1)
    assert not setting.jobs.waiting
    (snapshot, _), *others = setting.disk.written
    assert not others
    assert set(snapshot.state.objects) == {1, 2, 3}


def test_nothing_is_written_before_anything_is_done(setting: Setting) -> None:
    setting.autosave.write_now()
    setting.autosave.close()
    assert not setting.jobs.waiting
    assert not setting.disk.written


def test_only_planes_that_have_changed_are_written(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    setting.save()
    setting.annotated.keep(2, 0)
    setting.save()
    setting.document.rename(1, "the first")
    setting.save()
    assert setting.disk.blocks == [None, {(2,)}, set()]
    assert list(setting.disk.written[1][0].labels) == [(2,)]


def test_what_is_painted_by_hand_is_written(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    setting.save()
    setting.annotated.layers.objects.data_setitem(tuple(np.array([[1], [2], [3]])), 1)
    setting.save()
    assert setting.disk.blocks[1:] == [{(1,)}]


def test_what_is_done_during_a_write_is_written_after_it(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    setting.autosave.write_now()
    setting.annotated.keep(1, 0)
    setting.autosave.write_now()  # one at a time
    assert len(setting.jobs.waiting) == 1
    setting.jobs.do_next()
    assert not setting.autosave.is_up_to_date
    setting.save()
    assert setting.disk.blocks == [None, {(1,)}]
    assert setting.autosave.is_up_to_date


def test_a_full_disk_is_told_once_and_made_up_for(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    setting.save()
    setting.disk.is_full = True
    for plane in (1, 2):
        setting.annotated.keep(plane, 0)
        setting.save()
    assert setting.told == ["The disk is full. Make room."]
    assert not setting.autosave.is_up_to_date
    setting.disk.is_full = False
    setting.save()
    assert setting.disk.blocks == [None, {(1,), (2,)}]
    setting.disk.is_full = True
    setting.annotated.keep(0, 8)
    setting.save()
    assert len(setting.told) == 2


def test_closing_writes_the_rest_at_once(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    setting.save()
    setting.annotated.keep(1, 0)
    setting.autosave.close()
    assert setting.disk.blocks == [None, {(1,)}]
    setting.annotated.keep(2, 0)
    assert len(setting.disk.written) == 2


def test_closing_writes_what_a_job_has_not_come_to(setting: Setting) -> None:
    """A panel that closes drops the jobs that wait, and one of them may be this."""
    setting.annotated.keep(0, 0)
    setting.save()
    setting.annotated.keep(1, 0)
    setting.autosave.write_now()
    setting.annotated.keep(2, 0)
    setting.autosave.close()
    assert setting.disk.blocks == [None, {(1,), (2,)}]
    setting.jobs.do_all()  # too late: it would bring back what was before
    assert len(setting.disk.written) == 2


def test_closing_on_a_full_disk_is_logged(
    setting: Setting, caplog: pytest.LogCaptureFixture
) -> None:
    setting.disk.is_full = True
    setting.annotated.keep(0, 0)
    setting.autosave.close()
    assert "The disk is full" in caplog.text


def test_what_was_saved_elsewhere_is_forgotten(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    setting.save()
    setting.autosave.forget(setting.document.state)
    setting.jobs.do_all()
    assert setting.disk.forgotten == ["abc"]
    setting.autosave.close()
    assert len(setting.disk.written) == 1


def test_after_forgetting_the_next_change_writes_all(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    setting.save()
    setting.autosave.forget(setting.document.state)
    setting.annotated.keep(1, 0)
    setting.save()
    assert setting.disk.blocks == [None, None]
    assert set(setting.disk.written[1][0].labels) == {(0,), (1,)}


def test_what_was_done_while_the_session_was_saved_is_not_forgotten(setting: Setting) -> None:
    setting.annotated.keep(0, 0)
    saved = setting.document.state
    setting.annotated.keep(1, 0)
    setting.autosave.forget(saved)
    setting.jobs.do_all()
    assert not setting.disk.forgotten
    setting.autosave.close()
    assert len(setting.disk.written) == 1


def test_what_waits_for_a_write_is_done_after_one_that_succeeds(setting: Setting) -> None:
    acts: list[int] = []
    setting.disk.is_full = True
    setting.annotated.keep(0, 0)
    setting.autosave.write_then(lambda: acts.append(len(setting.disk.written)))
    setting.jobs.do_all()
    assert acts == []
    setting.disk.is_full = False
    setting.save()
    setting.annotated.keep(1, 0)
    setting.save()
    assert acts == [1]


def test_what_was_done_before_it_began_is_written(
    qtbot: QtBot, setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image's fingerprint takes a while, and the user does not wait for it."""
    monkeypatch.setattr("napari_sam2.widget.autosave._DELAY_MS", 0)
    setting.autosave.close()
    state = setting.document.state
    setting.annotated.keep(0, 0)
    setting.begin(state)
    qtbot.waitUntil(lambda: bool(setting.jobs.waiting))
