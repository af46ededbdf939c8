"""What the group "Files" does: asks for a file, and works on it in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from napari_sam2.errors import Sam2Error, sentence_of
from napari_sam2.layers.image_source import finest_level
from napari_sam2.layers.label_data import levels_of
from napari_sam2.layers.snapshots import (
    COPIED_BYTES,
    fingerprint_of,
    identity_of,
    placing_of,
    settings_of,
    take_labels,
    take_snapshot,
    take_up,
)
from napari_sam2.session.document import Document
from napari_sam2.session.export import FORMATS, Export, write
from napari_sam2.session.import_labels import read_labels
from napari_sam2.session.methods import methods_text
from napari_sam2.session.objects import AtWork, ObjectRecord, State
from napari_sam2.session.project import EXTENSION, load_session, save_session
from napari_sam2.session.records import records_of
from napari_sam2.session.runs import LabelArray
from napari_sam2.session.snapshot import Snapshot, package_versions
from napari_sam2.widget.runner import Jobs

_SESSIONS = f"SAM 2 session (*{EXTENSION})"
_LABELS = "Labels (*.tif *.tiff *.png *.npy);;All files (*)"


class FileDialogs:
    """Asks the user for a file; gives an empty text when there shall be none.

    Parameters
    ----------
    parent : QWidget
        Over which they are shown.
    """

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent

    def ask_where_to_save(self, title: str, start: str, kinds: str) -> str:
        """Ask for a file to write; the dialog has asked about one that exists."""
        return str(QFileDialog.getSaveFileName(self._parent, title, start, kinds)[0])

    def ask_what_to_open(self, title: str, start: str, kinds: str) -> str:
        """Ask for a file to read."""
        return str(QFileDialog.getOpenFileName(self._parent, title, start, kinds)[0])

    def ask_for_folder(self, title: str, start: str) -> str:
        """Ask for a folder."""
        return str(QFileDialog.getExistingDirectory(self._parent, title, start))


class Files:
    """Saves, opens, exports and imports what was annotated on one image.

    Parameters
    ----------
    document : Document
        What was annotated.
    image : Image
        On what.
    objects : Labels
        Where it is drawn.
    dialogs : FileDialogs
        Ask for files.
    jobs : Jobs
        Do the work.
    said, failed : callable
        Told a sentence when something was done, and when it was not.
    saved : callable
        Told which state is in a file now: when a session was saved or opened.
    see_as : callable
        Told the settings of a session that was opened; gives more to be said, or nothing.

    Attributes
    ----------
    folder : str
        Where the dialogs begin; follows the user.
    """

    def __init__(
        self,
        document: Document,
        image: Image,
        objects: Labels,
        dialogs: FileDialogs,
        jobs: Jobs,
        said: Callable[[str], None],
        failed: Callable[[str], None],
        saved: Callable[[State], None],
        see_as: Callable[[Mapping[str, Any]], str],
    ) -> None:
        self.folder = ""
        self._document, self._image, self._objects = document, image, objects
        self._dialogs, self._jobs = dialogs, jobs
        self._said, self._failed, self._saved, self._see_as = said, failed, saved, see_as

    def save(self) -> None:
        """Save a session file."""
        path = self._ask_where("Save session", EXTENSION, _SESSIONS)
        if path is not None:
            image, snapshot = self._image, take_snapshot(self._document, self._image, "")
            fingerprint = fingerprint_of(image)

            def work() -> None:
                save_session(path, _known_as(snapshot, fingerprint()))

            self._said(f"Saving {path.name} ...")
            self._jobs.start(work, partial(self._on_saved, path, snapshot.state), self._on_failed)

    def open(self) -> None:
        """Take up a session file; what is there now comes back with undo."""
        path = self._ask_what("Open session", _SESSIONS)
        if path is not None:
            self._said(f"Opening {path.name} ...")
            work = partial(_open_for, path, fingerprint_of(self._image))
            self._jobs.start(work, partial(self._on_opened, path), self._on_failed)

    def export(self, name: str) -> None:
        """Write the objects in one of `FORMATS`."""
        entry = FORMATS[name]
        path = self._ask_where("Export objects", entry.suffix, f"{entry.title} (*{entry.suffix})")
        if path is not None:
            try:
                export = self._export()
            except Sam2Error as error:
                self._failed(str(error))
                return
            self._said(f"Exporting {path.name} ...")
            work = partial(write, export, path, name, overwrite=True)
            self._jobs.start(
                work, partial(self._on_exported, path, self._document.state), self._on_failed
            )

    def import_labels(self) -> None:
        """Make objects of a label image; what is there now comes back with undo."""
        path = self._ask_what("Import labels", _LABELS)
        if path is not None:
            self._said(f"Importing {path.name} ...")
            work = partial(_read_objects, path, tuple(self._document.labels.shape))
            self._jobs.start(work, partial(self._on_imported, path), self._on_failed)

    def copy_methods(self) -> None:
        """Put a paragraph for a paper onto the clipboard."""
        text = methods_text(
            self._document.state,
            image=identity_of(self._image),
            versions=package_versions(),
            settings=settings_of(self._image, self._objects),
        )
        clipboard = QApplication.clipboard()
        assert clipboard is not None
        clipboard.setText(text)
        self._said("The paragraph is on the clipboard.")

    def _export(self) -> Export:
        placing, intensity = placing_of(self._objects), finest_level(self._image)
        labels = levels_of(self._objects)[0]
        if isinstance(labels, np.ndarray) and labels.nbytes <= COPIED_BYTES:
            labels = labels.copy()  # the user goes on meanwhile
        return Export(
            labels,
            self._document.state.objects,
            self._document.state.classes,
            tuple(placing["scale"]),
            tuple(placing["units"]),
            tuple(placing["axis_labels"]),
            self._image.name,
            intensity,
        )

    def _ask_where(self, title: str, suffix: str, kinds: str) -> Path | None:
        start = Path(self.folder) / f"{_as_file_name(self._image.name)}{suffix}"
        text = self._dialogs.ask_where_to_save(title, str(start), kinds)
        while text and not text.lower().endswith(suffix):
            text += suffix
            if Path(text).exists():  # of this one the dialog has not asked
                text = self._dialogs.ask_where_to_save(title, text, kinds)
        return self._remembered(text)

    def _ask_what(self, title: str, kinds: str) -> Path | None:
        return self._remembered(self._dialogs.ask_what_to_open(title, self.folder, kinds))

    def _remembered(self, text: str) -> Path | None:
        if not text:
            return None
        self.folder = str(Path(text).parent)
        return Path(text)

    def _on_saved(self, path: Path, state: State, _value: object) -> None:
        self._said(f"Saved as {path.name}.")
        self._saved(state)

    def _on_opened(self, path: Path, opened: tuple[Snapshot, bool]) -> None:
        snapshot, is_of_this_image = opened
        before = self._document.state
        try:
            take_up(self._document, snapshot, f"open {path.name}")
        except Sam2Error as error:
            self._failed(str(error))
            return
        self._saved(self._document.state)
        name = snapshot.image.name
        other = "" if is_of_this_image else f" It was saved for another image, {name!r}."
        rest = f"{other}{self._see_as(snapshot.settings)}{_way_back(before)}"
        self._said(f"{path.name} is open: {_count(snapshot.state)}.{rest}")

    def _on_exported(self, path: Path, state: State, _value: object) -> None:
        has_mask = state.at_work.has_mask
        rest = " The object at work is not kept yet, and not in it." if has_mask else ""
        self._said(f"Exported {_count(state)} to {path.name}.{rest}")

    def _on_imported(self, path: Path, read: tuple[LabelArray, dict[int, ObjectRecord]]) -> None:
        labels, objects = read
        highest = max(objects, default=0)
        state = State(AtWork(highest + 1), objects, self._document.state.classes, highest=highest)
        before = self._document.state
        try:
            take_labels(self._document, labels, state, f"import {path.name}")
        except Sam2Error as error:
            self._failed(str(error))
        else:
            self._said(f"{path.name} is imported: {_count(state)}.{_way_back(before)}")

    def _on_failed(self, error: Exception) -> None:
        self._failed(sentence_of(error))


def _open_for(path: Path, fingerprint: Callable[[], str]) -> tuple[Snapshot, bool]:
    """Give a session, and whether it is one of the image with this fingerprint."""
    snapshot = load_session(path)
    return snapshot, snapshot.image.fingerprint in ("", fingerprint())


def _read_objects(path: Path, shape: tuple[int, ...]) -> tuple[LabelArray, dict[int, ObjectRecord]]:
    labels = read_labels(path, shape)
    return labels, records_of(labels)


def _known_as(snapshot: Snapshot, fingerprint: str) -> Snapshot:
    return replace(snapshot, image=replace(snapshot.image, fingerprint=fingerprint))


def _as_file_name(name: str) -> str:
    return "".join(sign if sign.isalnum() or sign in " -_." else "_" for sign in name).strip()


def _way_back(before: State) -> str:
    """Say how to get back what was replaced, if there was something."""
    work = before.at_work
    is_something = before.objects or work.prompts or work.planes
    return " Undo brings back what was there before." if is_something else ""


def _count(state: State) -> str:
    count = len(state.objects)
    return "1 object" if count == 1 else f"{count} objects"
