from __future__ import annotations

from pathlib import Path

import pytest
from napari.layers import Image
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QWidget

from napari_sam2.layers.snapshots import fingerprint_of, take_snapshot
from napari_sam2.session.recovery import Recovery
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.widget.safety import Safety
from tests.widget.annotated import Annotated
from tests.widget.held_jobs import HeldJobs


class Watch:
    """A `Safety` on a folder, with jobs that are held."""

    def __init__(self, folder: Path, parent: QWidget) -> None:
        self.jobs = HeldJobs()
        self.recovery = Recovery(folder)
        self.safety = Safety(self.recovery, self.jobs, parent)  # type: ignore[arg-type]
        self.found: list[Image] = []
        self.failed: list[str] = []
        self.safety.found.connect(self.found.append)
        self.safety.failed.connect(self.failed.append)

    def look_for(self, image: Image) -> None:
        self.safety.look_for(image)
        self.jobs.do_all()


@pytest.fixture
def parent(qtbot: QtBot) -> QWidget:
    parent = QWidget()
    qtbot.addWidget(parent)
    return parent


@pytest.fixture
def watch(tmp_path: Path, parent: QWidget):
    watch = Watch(tmp_path, parent)
    yield watch
    watch.safety.close()


def leave(folder: Path, annotated: Annotated) -> None:
    """Leave the work on an image as a process does that is no more."""
    recovery, known_as = Recovery(folder), fingerprint_of(annotated.image)()
    recovery.write(take_snapshot(annotated.document, annotated.image, known_as))
    recovery.close()


def folders(root: Path) -> list[Path]:
    return list(root.glob("*/*"))


def test_what_was_left_on_an_image_is_found(watch: Watch, tmp_path: Path) -> None:
    annotated = Annotated()
    annotated.keep(0, 0)
    annotated.keep(1, 0)
    leave(tmp_path, annotated)
    other, again = Annotated(seed=1), Annotated("renamed")
    watch.look_for(other.image)
    assert not watch.found
    assert watch.safety.offer is None
    watch.look_for(again.image)
    assert watch.found == [again.image]
    assert watch.safety.offer.objects == 2


def test_what_is_restored_stays_on_disk_until_it_is_written_again(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotated, again = Annotated(), Annotated()
    annotated.keep(0, 0)
    leave(tmp_path, annotated)
    (left,) = folders(tmp_path)
    watch.look_for(again.image)
    watch.safety.follow(again.document, again.image)
    read: list[Snapshot] = []
    watch.safety.restore(read.append)
    watch.jobs.do_all()
    assert set(read[0].state.objects) == {1}

    def be_full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("napari_sam2.session.storage.recovery_folder.write_file", be_full)
        again.keep(0, 0)  # as taking it up would
        watch.safety.restored()
        watch.jobs.do_all()
    assert "No space left on device" in watch.failed[0]
    assert left in folders(tmp_path)
    again.document.rename(1, "a")
    watch.safety.leave()
    assert left not in folders(tmp_path)
    assert len(folders(tmp_path)) == 1


def test_discarding_removes_all_that_was_left(watch: Watch, tmp_path: Path) -> None:
    for objects in (1, 2):
        annotated = Annotated()
        for at in range(objects):
            annotated.keep(0, 5 * at)
        leave(tmp_path, annotated)
    watch.look_for(Annotated().image)
    assert len(folders(tmp_path)) == 2
    watch.safety.discard()
    watch.jobs.do_all()
    assert not folders(tmp_path)
    assert not watch.failed


def test_a_folder_that_cannot_be_removed_is_told(
    watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotated = Annotated()
    annotated.keep(0, 0)
    leave(tmp_path, annotated)
    watch.look_for(annotated.image)
    monkeypatch.setattr("napari_sam2.session.recovery.remove_folder", lambda _folder: None)
    watch.safety.discard()
    watch.jobs.do_all()
    (sentence,) = watch.failed
    assert sentence.startswith("The unsaved work could not be removed")


def test_a_document_is_kept_as_soon_as_its_image_is_known(watch: Watch, tmp_path: Path) -> None:
    annotated = Annotated()
    watch.safety.follow(annotated.document, annotated.image)
    annotated.keep(0, 0)
    assert not watch.safety.is_safe
    watch.jobs.do_all()
    watch.safety.leave()
    assert len(folders(tmp_path)) == 1


def test_each_image_is_kept_by_itself(watch: Watch, tmp_path: Path) -> None:
    first, second = Annotated(), Annotated(seed=1)
    for at, annotated in ((0, first), (0, second), (5, first)):
        watch.safety.follow(annotated.document, annotated.image)
        watch.jobs.do_all()
        annotated.keep(0, at)
        annotated.keep(1, at)
    watch.safety.close()
    counts = []
    for annotated in (first, second):
        watch.look_for(annotated.image)
        counts.append(watch.safety.offer.objects)
    assert counts == [4, 2]


def test_an_image_that_cannot_be_read_is_told(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_image: Image):
        def fingerprint() -> str:
            raise OSError("the server is gone")

        return fingerprint

    monkeypatch.setattr("napari_sam2.widget.safety.fingerprint_of", broken)
    annotated = Annotated()
    watch.safety.follow(annotated.document, annotated.image)
    watch.jobs.do_all()
    (sentence,) = watch.failed
    assert "cannot be kept safe" in sentence
    assert "the server is gone" in sentence
    annotated.keep(0, 0)
    assert not watch.safety.is_safe
