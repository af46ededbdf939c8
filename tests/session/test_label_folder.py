"""Folders of large labels: there while they are used, gone afterwards."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.errors import Sam2Error
from napari_sam2.session.chunked_array import ChunkedArray
from napari_sam2.session.label_folder import LabelFolder, default_folder, remove_left_behind
from napari_sam2.session.level_labels import create_levels

DIE_WITH_LABELS = """
import os, sys
from pathlib import Path
from napari_sam2.session.label_folder import LabelFolder
from napari_sam2.session.level_labels import create_levels
levels = create_levels((3000, 3000), LabelFolder.temporary(Path(sys.argv[1])))
levels[0][:10, :10] = 1
if sys.argv[2] == "crash":
    os._exit(1)
"""


def entries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_folder_lives_as_long_as_its_arrays(tmp_path: Path) -> None:
    levels = create_levels((3000, 3000), LabelFolder.temporary(tmp_path))
    levels[0][:10, :10] = 1
    second = levels[1]
    del levels
    gc.collect()
    assert len(entries(tmp_path)) == 2  # with its lock
    del second
    gc.collect()
    assert entries(tmp_path) == []


def test_a_folder_in_use_is_not_removed_by_others(tmp_path: Path) -> None:
    folder = LabelFolder.temporary(tmp_path)
    remove_left_behind(tmp_path)
    assert folder.path.exists()
    folder.remove()
    assert entries(tmp_path) == []
    folder.remove()


@pytest.mark.parametrize("end", ["exit", "crash"])
def test_a_process_that_ends_leaves_nothing_for_long(tmp_path: Path, end: str) -> None:
    command = [sys.executable, "-c", DIE_WITH_LABELS, str(tmp_path), end]
    subprocess.run(command, check=end == "exit", cwd=Path(__file__).parents[2])
    assert len(entries(tmp_path)) == (0 if end == "exit" else 2)
    remove_left_behind(tmp_path)
    assert entries(tmp_path) == []


def test_a_chosen_folder_stays_unless_it_is_empty(tmp_path: Path) -> None:
    first = ChunkedArray((1000, 1000), folder=LabelFolder.chosen(tmp_path / "new", "objects"))
    second = ChunkedArray((1000, 1000), folder=LabelFolder.chosen(tmp_path / "new", "objects"))
    first[5, 5] = 1
    assert entries(tmp_path / "new") == ["objects 2.zarr", "objects.zarr"]
    del first, second
    gc.collect()
    assert entries(tmp_path / "new") == ["objects.zarr"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for make in (lambda: LabelFolder.temporary(file), lambda: LabelFolder.chosen(file, "a")):
        with pytest.raises(Sam2Error, match="choose another folder"):
            make()


def test_nothing_is_left_behind_where_nothing_ever_was(tmp_path: Path) -> None:
    remove_left_behind(tmp_path / "never")
    assert default_folder().name == "labels"


def test_empty_chunks_take_no_place(tmp_path: Path) -> None:
    array = ChunkedArray((2000, 2000), folder=LabelFolder.temporary(tmp_path))
    array[600:700, 600:700] = 3
    assert not array.is_empty((0, 0), (600, 601))
    assert array.is_empty((0, 0), (512, 2000))
    array[600:700, 600:700] = 0
    assert array.is_empty((0, 0), (2000, 2000))
    assert np.asarray(array).shape == (2000, 2000)
    assert len(array) == 2000
