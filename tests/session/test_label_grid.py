"""Labels that are saved in squares of planes: all of them, each once, and only what changed."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import ProjectError
from napari_sam2.session.export_source import open_export
from napari_sam2.session.project import load_session, save_session
from napari_sam2.session.recovery import Recovery
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.session.storage.label_grid import BlockIndex, LabelGrid
from tests.session.snapshots import same_content, snapshot

SIDE = 3
SHAPE = (2, 5, 7)


def split(one: Snapshot) -> Snapshot:
    """Give the same snapshot in squares."""
    grid = LabelGrid(one.label_shape, SIDE)
    stop = tuple(one.label_shape)
    labels = {}
    for index in grid.touched((0,) * len(stop), stop):
        first, last = grid.box(index)
        square = one.read_block(index[:1])[first[1] : last[1], first[2] : last[2]]
        if square.any():
            labels[index] = square
    return replace(one, labels=labels, block_side=SIDE)


@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    side=st.integers(0, 4),
    data=st.data(),
)
def test_blocks_hold_each_pixel_once(shape: list[int], side: int, data: st.DataObject) -> None:
    grid = LabelGrid(tuple(shape), side)
    count = np.zeros(shape, int)
    for index in grid.touched((0,) * len(shape), shape):
        start, stop = grid.box(index)
        part = count[tuple(map(slice, start, stop))]
        assert part.size == np.prod(grid.sides(index)) > 0
        part += 1
    assert (count == 1).all()
    at = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    (index,) = grid.touched(at, tuple(one + 1 for one in at))
    start, stop = grid.box(index)
    assert all(a <= one < b for a, one, b in zip(start, at, stop, strict=True))


@pytest.mark.parametrize(
    "index", [(), (0,), (0, 0), (0, 0, 0, 0), (2, 0, 0), (0, 2, 0), (0, 0, -1)]
)
def test_a_block_that_is_not_there_is_refused(index: BlockIndex) -> None:
    with pytest.raises(ValueError, match="must be one of labels of shape"):
        LabelGrid(SHAPE, SIDE).box(index)


def test_only_large_planes_are_split() -> None:
    assert LabelGrid.of((50, 4096, 4096)).side == 0
    grid = LabelGrid.of((100_000, 100_000))
    assert len(list(grid.touched((2000, 70_000), (2100, 70_010)))) == 2


def test_a_session_in_squares_comes_back(tmp_path: Path) -> None:
    some = split(snapshot(3, 4))
    save_session(tmp_path / "a.sam2.zip", some)
    loaded = load_session(tmp_path / "a.sam2.zip")
    assert same_content(loaded, some)
    assert loaded.block_side == SIDE
    with zipfile.ZipFile(tmp_path / "a.sam2.zip") as archive:
        session = json.loads(archive.read("session.json"))
    assert session["format_version"] == 2  # an earlier napari-sam2 asks for an update
    assert session["labels"]["block_side"] == SIDE


def test_a_session_in_planes_can_still_be_read_by_earlier_versions(tmp_path: Path) -> None:
    save_session(tmp_path / "a.sam2.zip", snapshot(3))
    with zipfile.ZipFile(tmp_path / "a.sam2.zip") as archive:
        session = json.loads(archive.read("session.json"))
    assert session["format_version"] == 1
    assert "block_side" not in session["labels"]


def test_a_square_that_is_not_there_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.sam2.zip"
    save_session(path, split(snapshot(3)))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    session = json.loads(members["session.json"])
    session["labels"]["blocks"][0]["index"] = [0, 0, 9]
    members["session.json"] = json.dumps(session).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ProjectError, match="index must lie in labels"):
        load_session(path)


def test_only_squares_that_changed_are_written(tmp_path: Path) -> None:
    recovery, first = Recovery(tmp_path), split(snapshot(3))
    recovery.write(first, None, "one")
    folder = next(tmp_path.glob("*/*"))
    before = {file.name for file in folder.glob("part-*")}
    square = np.full((3, 3), 5, np.int32)
    recovery.write(replace(first, labels={(0, 0, 1): square}), {(0, 0, 1)}, "one")
    recovery.close()
    after = {file.name for file in folder.glob("part-*")}
    assert before < after
    assert len(after - before) == 1
    found = Recovery(tmp_path).find(snapshot(3).image.fingerprint)
    assert found is not None
    loaded = Recovery(tmp_path).load(found)
    assert (loaded.read_block((0, 0, 1)) == 5).all()
    np.testing.assert_array_equal(loaded.read_block((1, 1, 0)), first.read_block((1, 1, 0)))


def test_a_session_in_squares_is_exported_from_the_command_line(tmp_path: Path) -> None:
    some = snapshot(3, 4, 5)
    save_session(tmp_path / "a.sam2.zip", split(some))
    labels = open_export(tmp_path / "a.sam2.zip").labels
    wanted = np.stack([some.read_block((index,)) for index in range(SHAPE[0])])
    keys = [(1,), (), (slice(0, 2), slice(1, 4), slice(2, 7)), (0, slice(2, 5), 6), (1, 4, 6)]
    for key in keys:
        np.testing.assert_array_equal(labels[key], wanted[key])
