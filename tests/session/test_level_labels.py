"""Labels in chunks and coarser levels: always those of a plain array."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import PromptError
from napari_sam2.session import chunked_array, level_labels, parts
from napari_sam2.session.document import Document
from napari_sam2.session.history import PixelEdit
from napari_sam2.session.import_labels import read_labels
from napari_sam2.session.label_folder import LabelFolder
from napari_sam2.session.level_labels import (
    LevelLabels,
    copy_levels,
    create_levels,
    describe_levels,
)
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts
from tests.session.chunk_counts import counted_chunks

SIDE = 100_000


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tiny arrays have many chunks, parts and levels."""
    monkeypatch.setattr(chunked_array, "CHUNK", 8)
    monkeypatch.setattr(level_labels, "_COARSEST", 4)
    monkeypatch.setattr(level_labels, "SIDE", 8)
    monkeypatch.setattr(parts, "SIDE", 8)
    monkeypatch.setattr(parts, "MOST", 64)


def halved(labels: np.ndarray) -> np.ndarray:
    """Give the highest of each 2 x 2 values, the slow way."""
    height, width = (-(-size // 2) for size in labels.shape[-2:])
    result = np.zeros((*labels.shape[:-2], height, width), labels.dtype)
    for y, x in np.ndindex(height, width):
        block = labels[..., 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        result[..., y, x] = block.max(axis=(-2, -1))
    return result


def assert_equal(labels: LevelLabels, wanted: np.ndarray) -> None:
    for level in labels.levels:
        np.testing.assert_array_equal(np.asarray(level), wanted)
        wanted = halved(wanted)


boxes = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30))
changes = st.tuples(st.sampled_from(["write", "set", "put", "undo"]), boxes, st.integers(0, 5))


@pytest.mark.usefixtures("small_chunks")
@settings(max_examples=10, deadline=None)
@given(
    shape=st.sampled_from([(33, 40), (41, 29), (3, 20, 33)]),
    changes=st.lists(changes, max_size=12),
    seed=st.integers(0, 2**16),
    with_coarser=st.booleans(),
)
def test_levels_equal_a_plain_array(
    shape: tuple[int, ...], changes: list[Any], seed: int, with_coarser: bool
) -> None:
    labels = LevelLabels(create_levels(shape, with_coarser=with_coarser))
    assert (len(labels.levels) > 2) == with_coarser
    wanted, done = np.zeros(shape, np.int32), list[PixelEdit]()
    random = np.random.default_rng(seed)
    for what, (y, x, height, width), value in changes:
        plane = tuple(int(random.integers(size)) for size in shape[:-2])
        y, x = min(y, shape[-2] - 1), min(x, shape[-1] - 1)
        key = (*(slice(at, at + 1) for at in plane), slice(y, y + height), slice(x, x + width))
        start, before = (*plane, y, x), wanted[key].copy()
        after = np.where(random.random(before.shape) < 0.5, value, before).astype(np.int32)
        edit = PixelEdit.between(start, before, after)
        if what == "undo" and done:
            edit = done.pop().reversed()
            labels.write(edit)
            at = edit.indices()
            wanted[at] = np.where(wanted[at] == edit.before, edit.after, wanted[at])
            continue
        if edit is None:
            continue
        if what == "set":
            indices = edit.indices()
            labels.set_at(indices, np.full(len(indices[0]), value))
        elif what == "put":
            labels.put(start, after)
            after = after if after.any() else before
        else:
            labels.write(edit)
            done.append(edit)
        wanted[key] = after
    assert_equal(labels, wanted)
    stop = tuple(int(size) for size in shape)
    assert labels.read((0,) * len(shape), stop).dtype == np.int32
    found = np.zeros_like(wanted)
    for first, last in labels.occupied((0,) * len(shape), stop):
        box = tuple(map(slice, first, last))
        found[box] = labels.read(first, last)
    np.testing.assert_array_equal(found, wanted)


def test_an_edit_leaves_what_others_have_painted_since() -> None:
    labels = LevelLabels(create_levels((50, 60)))
    edit = PixelEdit.between((10, 20), np.zeros((2, 2), int), np.array([[1, 1], [0, 1]]))
    assert edit is not None
    labels.set_at((np.array([10]), np.array([21])), np.array([9]))
    labels.write(edit)
    assert labels.read((10, 20), (12, 22)).tolist() == [[1, 9], [0, 1]]
    labels.write(edit.reversed())
    assert labels.read((10, 20), (12, 22)).tolist() == [[0, 9], [0, 0]]


def test_an_object_of_one_pixel_is_seen_from_afar() -> None:
    labels = LevelLabels(create_levels((SIDE, SIDE)))
    assert [level.shape[0] for level in labels.levels][::7] == [SIDE, 782]
    labels.set_at((np.array([SIDE - 1]), np.array([77_777])), np.array([5]))
    assert [int(np.count_nonzero(level)) for level in labels.levels[4:]] == [1] * 4
    assert labels.levels[-1][781, 77_777 // 128] == 5
    labels.set_at((np.array([SIDE - 1]), np.array([77_777])), np.array([0]))
    assert all(level.is_empty((0, 0), level.shape) for level in labels.levels[:-1])
    assert not np.asarray(labels.levels[-1]).any()


def test_pixels_far_apart_are_set_one_part_after_the_other() -> None:
    labels = LevelLabels(create_levels((SIDE, SIDE)))
    at = np.array([3, 99_000, 4]), np.array([7, 99_000, 8])
    labels.set_at(at, np.array([1, 2, 3]))
    assert labels.read_at(at).tolist() == [1, 2, 3]
    occupied = list(labels.occupied((0, 0), (SIDE, SIDE)))
    assert [start for start, _ in occupied] == [(0, 0), (98_304, 98_304)]


def test_a_value_that_does_not_fit_is_refused() -> None:
    labels = LevelLabels(create_levels((50, 60)))
    labels.hold(2**31 - 1)
    with pytest.raises(PromptError, match="up to 2147483647, got 2147483648"):
        labels.hold(2**31)


def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = LevelLabels(create_levels((50, 60), LabelFolder.temporary(tmp_path)))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(chunked_array.ChunkedArray, "__setitem__", full)
    with pytest.raises(PromptError, match="could not be written to the disk"):
        labels.set_at((np.array([1]), np.array([1])), np.array([1]))


class Counted:
    """A document on a plane of 100 000 x 100 000, and the chunks that each action touches."""

    def __init__(self, folder: Path) -> None:
        self.labels = LevelLabels(create_levels((SIDE, SIDE), LabelFolder.temporary(folder)))
        self.document = Document(self.labels)
        self.plane = Plane((0, 1))

    def answer(self, y: int, x: int, *sides: int) -> None:
        masks = [PackedMask.of(np.ones((n, n), bool), (y, x), (SIDE, SIDE)) for n in sides]
        answer = Answer(Prompts(((y, x),), (1,)), tuple(masks), (0.9,) * len(masks))
        self.document.set_answer(self.plane, (SIDE, SIDE), answer)

    def counts(self, act: Any, *args: Any) -> tuple[int, int]:
        with counted_chunks() as counts:
            act(*args)
        return counts.read, counts.written


def test_only_the_chunks_of_the_object_are_read_and_written(tmp_path: Path) -> None:
    """Seven of the eight levels are on the disk, and the object is in one chunk of each."""
    on = Counted(tmp_path)
    assert on.counts(on.answer, 51_300, 51_300, 100, 150) == (0, 0)
    assert on.counts(on.document.choose, on.plane, 1) == (0, 0)
    levels = len(on.labels.levels) - 1
    assert on.counts(on.document.commit) == (0, levels)  # nothing was there
    # To delete: the object is read, then each chunk before a part of it is changed.
    read, written = on.counts(on.document.delete, [1])
    assert written == levels
    assert read <= levels + 2
    assert on.counts(on.document.undo) == (0, levels)  # the chunks were empty, and not there
    assert on.counts(on.document.redo)[1] == levels
    on.document.undo()
    read, written = on.counts(on.document.reopen, 1, (0, 1))
    assert (read <= levels + 3, written) == (True, levels)


def test_at_a_corner_of_chunks_there_are_four_of_a_level(tmp_path: Path) -> None:
    on = Counted(tmp_path)
    corner = 2**16  # of chunks in every level
    on.answer(corner - 50, corner - 50, 100)
    assert on.counts(on.document.commit) == (0, 4 * (len(on.labels.levels) - 1))


def test_a_copy_has_chunks_of_its_own(tmp_path: Path) -> None:
    """napari duplicates a layer by `copy.deepcopy`; Zarr's own arrays would share them."""
    for folder in (None, LabelFolder.temporary(tmp_path)):
        labels = LevelLabels(create_levels((1500, 60), folder))
        labels.set_at((np.array([1400]), np.array([7])), np.array([3]))
        twin = LevelLabels(copy.deepcopy(labels.levels))
        labels.set_at((np.array([1400]), np.array([7])), np.array([4]))
        assert twin.read((1400, 7), (1401, 8)) == 3
        assert_equal(twin, np.asarray(twin.levels[0]))


@pytest.mark.usefixtures("small_chunks")
def test_labels_of_any_kind_are_copied_into_chunks() -> None:
    source = np.random.default_rng(0).integers(0, 5, (3, 20, 33)).astype(np.uint8)
    assert_equal(LevelLabels(copy_levels(source, with_coarser=True)), source.astype(np.int32))


def test_a_chosen_folder_is_an_ome_zarr(tmp_path: Path) -> None:
    folder = LabelFolder.chosen(tmp_path, "nuclei objects")
    levels = create_levels((1500, 60), folder)
    describe_levels(folder, levels)
    LevelLabels(levels).set_at((np.array([1400]), np.array([7])), np.array([3]))
    read = np.asarray(read_labels(folder.path))
    assert read.shape == (1500, 60)
    assert read[1400, 7] == 3
    assert read.sum() == 3


def test_after_a_full_disk_undo_takes_back_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on, told = Counted(tmp_path), Mock()
    on.answer(2**16 - 50, 2**16 - 50, 100)
    on.document.changed.connect(told)
    with monkeypatch.context() as patch:
        patch.setattr(level_labels, "_halved", Mock(side_effect=OSError(28, "No space left")))
        with pytest.raises(PromptError, match="undo and do it again"):
            on.document.commit()
    told.assert_called_once()
    on.document.undo()
    assert all(level.is_empty((0, 0), level.shape) for level in on.labels.levels[:-1])
    on.document.redo()
    assert on.labels.levels[-1].any()
