from __future__ import annotations

import io
import json
import os
import tempfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_sam2.errors import ProjectError, Sam2Error
from napari_sam2.session.project import EXTENSION, load_session, save_session
from napari_sam2.session.snapshot import Snapshot, package_versions
from napari_sam2.session.storage.label_blocks import PackedBlock
from napari_sam2.session.storage.session_json import FORMAT_VERSION
from tests.session.snapshots import IMAGE, SHAPE, same_content, snapshot, snapshots

SOME = snapshot(3, 4)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / f"nuclei{EXTENSION}"
    save_session(path, SOME)
    return path


def rewrite(path: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Change the members of a zip file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def rewrite_json(path: Path, change: Callable[[Any], Any], name: str = "session.json") -> None:
    def change_members(members: dict[str, bytes]) -> None:
        document = json.loads(members[name])
        change(document)
        members[name] = json.dumps(document).encode()

    rewrite(path, change_members)


def error_of(path: Path) -> str:
    with pytest.raises(ProjectError) as raised:
        load_session(path)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(written=snapshots())
def test_what_is_loaded_is_what_was_saved(written: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.sam2.zip"
        save_session(path, written)
        assert same_content(load_session(path), written)


def test_comparison_of_snapshots_sees_each_difference() -> None:
    assert same_content(SOME, snapshot(3, 4))
    assert not same_content(SOME, snapshot(3))
    assert not same_content(SOME, snapshot(3, 4, at_work=98))
    assert not same_content(SOME, snapshot(3, 4, settings={}))
    assert not same_content(SOME, replace(SOME, labels={}))


def test_scores_that_are_not_numbers_survive(tmp_path: Path) -> None:
    state = SOME.state
    strange = replace(state, objects={3: replace(state.objects[3], score=float("nan"))})
    save_session(tmp_path / "a.sam2.zip", replace(SOME, state=strange))
    assert np.isnan(load_session(tmp_path / "a.sam2.zip").state.objects[3].score)


def test_blocks_may_be_read_when_they_are_written(tmp_path: Path) -> None:
    path, plane = tmp_path / "a.sam2.zip", np.full(SHAPE[1:], 7, np.int32)
    save_session(path, snapshot(labels={(0,): lambda: plane, (1,): lambda: 0 * plane}))
    loaded = load_session(path)
    assert list(loaded.labels) == [(0,)]  # what is all 0 takes no room
    assert np.array_equal(loaded.read_block((0,)), plane)
    assert not loaded.read_block((1,)).any()


def test_loaded_session_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    loaded = load_session(saved)
    save_session(saved, loaded)
    assert same_content(load_session(saved), SOME)


def test_labels_without_planes_are_one_block(tmp_path: Path) -> None:
    labels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    flat = snapshot(
        labels={(): labels}, label_shape=(2, 3), label_dtype=labels.dtype, state=SOME.state
    )
    flat = replace(flat, state=replace(flat.state, at_work=empty_work(), objects={}, strays={}))
    save_session(tmp_path / "a.sam2.zip", flat)
    assert np.array_equal(load_session(tmp_path / "a.sam2.zip").read_block(()), labels)


def empty_work() -> Any:
    return type(SOME.state.at_work)(1)


def test_session_tells_when_and_by_what_it_was_written(saved: Path) -> None:
    written = load_session(saved).written
    assert written is not None
    assert written.at.tzinfo is not None
    assert written.versions == package_versions()
    assert {"napari-sam2", "numpy"} <= set(written.versions)


def test_labels_open_with_numpy_alone(saved: Path) -> None:
    with zipfile.ZipFile(saved) as archive:
        content = zlib.decompress(archive.read("labels/0.npy.gz"), 31)
    assert np.array_equal(np.load(io.BytesIO(content)), SOME.read_block((0,)))


def test_block_that_does_not_fit_is_refused_and_the_file_stays(saved: Path) -> None:
    before = saved.read_bytes()
    for index, plane in [((0,), np.ones((2, 2), int)), ((9,), np.ones(SHAPE[1:], int))]:
        with pytest.raises(ValueError, match="Block"):
            save_session(saved, snapshot(labels={index: plane}))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_disk_full_leaves_the_earlier_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ProjectError, match="No space left on device"):
        save_session(saved, snapshot(5))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_link_leads_to_the_new_file(saved: Path) -> None:
    link = saved.with_name("link.sam2.zip")
    link.symlink_to(saved)
    save_session(link, snapshot(5))
    assert link.is_symlink()
    assert list(load_session(saved).state.objects) == [5]


def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="could not be saved"):
        save_session(tmp_path / "nowhere" / "a.sam2.zip", SOME)


def test_missing_file_is_told(tmp_path: Path) -> None:
    assert "could not be read (No such file" in error_of(tmp_path / "a.sam2.zip")
    assert issubclass(ProjectError, Sam2Error)


def test_later_format_asks_for_an_update(saved: Path) -> None:
    rewrite_json(saved, lambda session: session.update(format_version=FORMAT_VERSION + 1))
    assert "Update napari-sam2" in error_of(saved)


def test_members_of_later_minor_versions_are_nobodys_business(saved: Path) -> None:
    rewrite_json(saved, lambda session: session.update(weather="rain"))
    rewrite(saved, lambda members: members.update({"weather.txt": b"rain"}))
    assert same_content(load_session(saved), SOME)


def test_members_of_later_versions_that_are_missing_take_their_defaults(saved: Path) -> None:
    rewrite_json(saved, lambda session: [session.pop(key) for key in ("strays", "classes")])
    rewrite_json(saved, lambda work: work.pop("original"), "works/0.json")
    loaded = load_session(saved)
    assert loaded.state.classes == ()
    assert loaded.state.strays == {}


def test_next_object_never_takes_a_value_in_use(saved: Path) -> None:
    rewrite_json(saved, lambda session: session.update(highest=1))
    assert load_session(saved).state.highest == 200


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x05\x06" + bytes(18)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.sam2.zip"
    path.write_bytes(content)
    assert "damaged or no session" in error_of(path)


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), is_cut=st.booleans())
def test_damage_anywhere_is_one_sentence_or_harmless(place: float, flip: int, is_cut: bool) -> None:
    content = bytearray(saved_bytes())
    at = int(place * len(content))
    if is_cut:
        del content[at:]
    else:
        content[at] ^= flip
    loaded = load_or_sentence(bytes(content))
    assert loaded is None or same_content(loaded, SOME)  # such as a flipped date


WRONG = [None, True, -1, 2**70, 1.5, "text", [], {}, [[1, 2]], "nan"]


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["session.json", "works/0.json"]),
    place=st.floats(0, 1, exclude_max=True),
    wrong=st.sampled_from(WRONG),
)
def test_wrong_types_anywhere_are_one_sentence_or_harmless(
    name: str, place: float, wrong: Any
) -> None:
    with zipfile.ZipFile(io.BytesIO(saved_bytes())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    document = json.loads(members[name])
    ways = list(ways_through(document))[1:]
    *way, last = ways[int(place * len(ways))]
    reduce(lambda value, key: value[key], way, document)[last] = wrong
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for member, content in {**members, name: json.dumps(document)}.items():
            archive.writestr(member, content)
    loaded = load_or_sentence(file.getvalue())
    if loaded is not None:
        assert [loaded.read_block(index).shape for index in loaded.labels] == [SHAPE[1:]] * len(
            loaded.labels
        )


@cache
def saved_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.sam2.zip"
        save_session(path, SOME)
        return path.read_bytes()


def load_or_sentence(content: bytes) -> Snapshot | None:
    """Load a file; None if it is refused in one sentence. Any other error fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.sam2.zip"
        path.write_bytes(content)
        try:
            return load_session(path)
        except ProjectError as error:
            return None if "\n" not in str(error) else pytest.fail(str(error))


def ways_through(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the way to each value in a JSON document."""
    yield way
    items = value.items() if isinstance(value, dict) else ()
    for key, item in enumerate(value) if isinstance(value, list) else items:
        yield from ways_through(item, (*way, key))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.update(format="other"), "format must be"),
        (lambda s: s.pop("at_work"), "at_work is missing"),
        (lambda s: s["objects"][0].update(area="big"), r"objects[0].area must be a whole number"),
        (lambda s: s["objects"][0].update(work="../../etc/passwd"), "is missing"),
        (lambda s: s["labels"].update(dtype="O"), "labels.dtype must be an integer type"),
        (lambda s: s["labels"].update(shape=[2**40, 2**40, 2**40]), "must be of"),
        (lambda s: s["labels"]["blocks"][0].update(index=[7]), "must lie in labels"),
        (lambda s: s["labels"]["blocks"][0].update(member="works/0.bin"), "block of labels"),
        (lambda s: s.update(written="yesterday"), "written must be a time"),
    ],
)
def test_what_is_wrong_is_named(saved: Path, change: Callable[[Any], Any], told: str) -> None:
    rewrite_json(saved, change)
    assert told in error_of(saved)


def test_json_that_nests_without_end_is_refused(saved: Path) -> None:
    rewrite(saved, lambda members: members.update({"session.json": b"[" * 200_000}))
    assert "JSON cannot be read" in error_of(saved)


def test_bombs_are_refused_with_little_memory(saved: Path) -> None:
    zeros = bytes(2**20)
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(zeros) for _ in range(60)) + packer.flush()
    tracemalloc.start()
    try:
        rewrite(saved, lambda members: members.update({"labels/0.npy.gz": bomb}))
        tracemalloc.reset_peak()
        assert "block of labels" in error_of(saved)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * 2**20


def test_file_that_claims_to_unpack_to_everything_is_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    entry = content.index(b"PK\x01\x02")  # the first entry of the central directory
    content[entry + 24 : entry + 28] = (2**32 - 2).to_bytes(4, "little")
    saved.write_bytes(bytes(content))
    assert "would unpack to" in error_of(saved)


def test_block_of_a_narrower_type_is_widened() -> None:
    """The label array's type has grown since the plane was written."""
    block = PackedBlock.of(np.array([[1, 255]], np.uint8), np.dtype(np.uint8))
    wider = replace(block, dtype=np.dtype(np.int32))
    assert wider().dtype == np.int32
    assert wider().tolist() == [[1, 255]]


def test_identity_of_the_image_is_kept(saved: Path) -> None:
    assert load_session(saved).image == IMAGE
