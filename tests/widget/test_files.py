from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_sam2.layers.snapshots import settings_of
from napari_sam2.session.export import FORMATS
from napari_sam2.session.import_labels import read_labels
from napari_sam2.session.objects import State
from napari_sam2.widget.files import FileDialogs, Files
from tests.widget.annotated import SHAPE, Annotated
from tests.widget.dialogs import FakeDialogs
from tests.widget.held_jobs import HeldJobs

pytestmark = pytest.mark.usefixtures("qapp")
Act = Callable[[Files], None]
ACTS: dict[str, Act] = {
    "save": Files.save,
    "open": Files.open,
    "import": Files.import_labels,
    **{name: lambda files, name=name: files.export(name) for name in FORMATS},
}


class Cabinet:
    """The files of an annotated image, with dialogs that are answered and jobs that are held."""

    def __init__(self, annotated: Annotated) -> None:
        self.annotated = annotated
        self.dialogs, self.jobs = FakeDialogs(), HeldJobs()
        self.said: list[str] = []
        self.failed: list[str] = []
        self.saved: list[State] = []
        self.seen_as: list[Mapping[str, Any]] = []
        self.files = Files(
            annotated.document,
            annotated.image,
            annotated.layers.objects,
            self.dialogs,  # type: ignore[arg-type]
            self.jobs,  # type: ignore[arg-type]
            self.said.append,
            self.failed.append,
            self.saved.append,
            self.see_as,
        )

    def see_as(self, settings: Mapping[str, Any]) -> str:
        self.seen_as.append(settings)
        return " The model saw more."

    def do(self, act: Act, *answers: Path | str) -> None:
        self.begin(act, *answers)
        self.jobs.do_all()

    def begin(self, act: Act, *answers: Path | str) -> None:
        self.dialogs.answers = list(answers)
        act(self.files)


@pytest.fixture
def cabinet() -> Cabinet:
    annotated = Annotated("Zellen, 37 °C/µm")
    annotated.keep(0, 2)
    annotated.keep(2, 10, side=5)
    return Cabinet(annotated)


def test_a_session_comes_back_in_another_viewer(cabinet: Cabinet, tmp_path: Path) -> None:
    path = tmp_path / "Größe 1µm.sam2.zip"
    cabinet.annotated.draw(1, 5)
    cabinet.do(Files.save, path)
    assert cabinet.said == ["Saving Größe 1µm.sam2.zip ...", "Saved as Größe 1µm.sam2.zip."]
    other = Cabinet(Annotated("Zellen"))
    other.do(Files.open, path)
    assert other.said[-1] == "Größe 1µm.sam2.zip is open: 2 objects. The model saw more."
    assert other.seen_as == [settings_of(cabinet.annotated.image)]
    np.testing.assert_array_equal(other.annotated.labels, cabinet.annotated.labels)
    np.testing.assert_array_equal(
        other.annotated.layers.mask.data, cabinet.annotated.layers.mask.data
    )
    states = [each.annotated.document.state for each in (other, cabinet)]
    assert repr(states[0]) == repr(states[1])  # a score may be NaN, which is not itself


def test_opening_a_session_is_one_step(cabinet: Cabinet, tmp_path: Path) -> None:
    cabinet.do(Files.save, tmp_path / "a.sam2.zip")
    other = Annotated()
    other.keep(1, 8)
    other.draw(1, 1)
    before, labels, mask = other.document.state, other.labels.copy(), other.layers.mask.data.copy()
    cabinet = Cabinet(other)
    cabinet.do(Files.open, tmp_path / "a.sam2.zip")
    assert cabinet.said[-1].endswith("Undo brings back what was there before.")
    assert other.document.undo_title == "open a.sam2.zip"
    other.document.undo()
    assert other.document.state == before
    np.testing.assert_array_equal(other.labels, labels)
    np.testing.assert_array_equal(other.layers.mask.data, mask)


def test_a_session_of_another_image_is_opened_and_told(cabinet: Cabinet, tmp_path: Path) -> None:
    cabinet.do(Files.save, tmp_path / "a.sam2.zip")
    other = Cabinet(Annotated(seed=1))
    other.do(Files.open, tmp_path / "a.sam2.zip")
    assert "another image, 'Zellen, 37 °C/µm'" in other.said[-1]
    assert set(other.annotated.document.state.objects) == {1, 2}


def test_what_is_in_a_file_is_told_as_saved(cabinet: Cabinet, tmp_path: Path) -> None:
    """And not what was done while it was written."""
    state = cabinet.annotated.document.state
    cabinet.begin(Files.save, tmp_path / "a.sam2.zip")
    cabinet.annotated.keep(1, 5)
    cabinet.jobs.do_all()
    assert [saved is state for saved in cabinet.saved] == [True]
    cabinet.do(Files.open, tmp_path / "a.sam2.zip")
    assert cabinet.saved[1] is cabinet.annotated.document.state


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_cancelled_dialog_does_nothing(cabinet: Cabinet, act: Act) -> None:
    state = cabinet.annotated.document.state
    cabinet.begin(act)
    assert len(cabinet.dialogs.asked) == 1
    assert not cabinet.jobs.waiting
    assert not cabinet.said
    assert not cabinet.failed
    assert cabinet.annotated.document.state is state


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_path_that_leads_nowhere_is_one_sentence(
    cabinet: Cabinet, act: Act, tmp_path: Path
) -> None:
    state, labels = cabinet.annotated.document.state, cabinet.annotated.labels.copy()
    cabinet.do(act, tmp_path / "no folder" / "file.zip")
    (sentence,) = cabinet.failed
    assert "no folder" in sentence
    assert "Error" not in sentence
    assert not cabinet.saved
    assert cabinet.annotated.document.state is state
    np.testing.assert_array_equal(cabinet.annotated.labels, labels)


def _write_text(path: Path) -> None:
    path.write_text("no session, and no picture", "utf-8")


def _write_other_shape(path: Path) -> None:
    if path.suffix == ".zip":
        Cabinet(Annotated(shape=(2, 8, 9))).do(Files.save, path)
    else:
        tifffile.imwrite(path, np.ones((2, 8, 9), np.uint8))


def _write_fractions(path: Path) -> None:
    tifffile.imwrite(path, np.ones(SHAPE, np.float32), photometric="minisblack")


@pytest.mark.parametrize(
    ("act", "name", "write"),
    [
        (Files.open, "text.sam2.zip", _write_text),
        (Files.open, "other.sam2.zip", _write_other_shape),
        (Files.import_labels, "text.tif", _write_text),
        (Files.import_labels, "other.tif", _write_other_shape),
        (Files.import_labels, "fractions.tif", _write_fractions),
    ],
)
def test_a_file_that_does_not_fit_changes_nothing(
    cabinet: Cabinet, tmp_path: Path, act: Act, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    state, labels = cabinet.annotated.document.state, cabinet.annotated.labels.copy()
    cabinet.do(act, tmp_path / name)
    (sentence,) = cabinet.failed
    assert "\n" not in sentence
    assert "Error" not in sentence
    assert cabinet.annotated.document.state is state
    np.testing.assert_array_equal(cabinet.annotated.labels, labels)


def test_a_label_that_no_layer_holds_changes_nothing(cabinet: Cabinet, tmp_path: Path) -> None:
    np.save(tmp_path / "huge.npy", np.full(SHAPE, 2**63 + 1, np.uint64))
    state = cabinet.annotated.document.state
    cabinet.do(Files.import_labels, tmp_path / "huge.npy")
    assert "64 bits" in cabinet.failed[0]
    assert cabinet.annotated.document.state is state


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_written_where_the_user_says(
    cabinet: Cabinet, tmp_path: Path, name: str
) -> None:
    suffix = FORMATS[name].suffix
    cabinet.do(ACTS[name], tmp_path / f"Ausgabe µ{suffix}")
    assert cabinet.said[-1] == f"Exported 2 objects to Ausgabe µ{suffix}."
    assert (tmp_path / f"Ausgabe µ{suffix}").exists()


def test_labels_are_exported_and_imported_unchanged(cabinet: Cabinet, tmp_path: Path) -> None:
    cabinet.do(ACTS["tiff"], tmp_path / "a.tif")
    other = Annotated()
    other.draw(1, 1)
    before = other.document.state
    Cabinet(other).do(Files.import_labels, tmp_path / "a.tif")
    np.testing.assert_array_equal(other.labels, cabinet.annotated.labels)
    areas = {key: record.area for key, record in other.document.state.objects.items()}
    assert areas == {1: 16, 2: 25}
    assert other.keep(1, 1) == 3
    other.document.undo()
    other.document.undo()
    other.document.undo()
    assert other.document.state == before
    assert not other.labels.any()


def test_an_export_is_of_the_moment_when_it_was_asked_for(cabinet: Cabinet, tmp_path: Path) -> None:
    labels = cabinet.annotated.labels.copy()
    cabinet.begin(ACTS["tiff"], tmp_path / "a.tif")
    cabinet.annotated.keep(1, 5)
    cabinet.jobs.do_all()
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif", SHAPE), labels)
    assert cabinet.said[-1] == "Exported 2 objects to a.tif."


def test_an_object_at_work_is_not_exported_without_a_word(cabinet: Cabinet, tmp_path: Path) -> None:
    cabinet.annotated.draw(1, 5)
    cabinet.do(ACTS["csv"], tmp_path / "a.csv")
    assert cabinet.said[-1].endswith("The object at work is not kept yet, and not in it.")


def test_what_no_format_holds_is_one_sentence(tmp_path: Path) -> None:
    annotated = Annotated(shape=(2, 1, 1, 1, 20, 30))
    annotated.keep(0, 0)
    cabinet = Cabinet(annotated)
    cabinet.do(ACTS["tiff"], tmp_path / "a.tif")
    assert "2 to 5 axes" in cabinet.failed[0]


def test_the_dialogs_begin_with_a_usable_name_in_the_last_folder(
    cabinet: Cabinet, tmp_path: Path
) -> None:
    cabinet.do(Files.save, tmp_path / "a.sam2.zip")
    assert Path(cabinet.dialogs.asked[0][1]).name == "Zellen_ 37 _C_µm.sam2.zip"
    cabinet.do(ACTS["csv"])
    assert cabinet.dialogs.asked[1][1] == str(tmp_path / "Zellen_ 37 _C_µm.csv")
    cabinet.do(Files.open)
    assert cabinet.dialogs.asked[2][1] == str(tmp_path)
    assert cabinet.files.folder == str(tmp_path)  # a cancelled dialog leaves it


def test_a_missing_extension_is_added(cabinet: Cabinet, tmp_path: Path) -> None:
    cabinet.do(Files.save, tmp_path / "day 1.5")
    assert (tmp_path / "day 1.5.sam2.zip").exists()


def test_a_file_that_the_dialog_did_not_ask_about_is_not_overwritten(
    cabinet: Cabinet, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("last year's", "utf-8")
    cabinet.do(ACTS["csv"], tmp_path / "a")
    assert cabinet.dialogs.asked[1][1] == str(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text("utf-8") == "last year's"
    cabinet.do(ACTS["csv"], tmp_path / "a", tmp_path / "a.csv")  # yes, overwrite it
    assert (tmp_path / "a.csv").read_text("utf-8").startswith("label,")


def test_a_methods_text_is_on_the_clipboard(cabinet: Cabinet) -> None:
    Files.copy_methods(cabinet.files)
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    assert "2 objects" in clipboard.text()
    assert cabinet.said == ["The paragraph is on the clipboard."]


@pytest.mark.parametrize("chosen", ["/somewhere/a.tif", ""])
def test_the_dialogs_are_those_of_qt(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, chosen: str
) -> None:
    asked: list[tuple[object, ...]] = []

    def ask(*question: object) -> tuple[str, str]:
        asked.append(question)
        return chosen, "*.tif"

    for name in ("getSaveFileName", "getOpenFileName"):
        monkeypatch.setattr(QFileDialog, name, ask)
    parent = QWidget()
    qtbot.addWidget(parent)
    dialogs = FileDialogs(parent)
    assert dialogs.ask_where_to_save("Export", "start", "kinds") == chosen
    assert dialogs.ask_what_to_open("Open", "start", "kinds") == chosen
    assert asked == [(parent, "Export", "start", "kinds"), (parent, "Open", "start", "kinds")]
