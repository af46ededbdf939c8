"""A snapshot as session.json and the members that it names (docs/session-format.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import numpy as np

from napari_sam2.session.identity import ImageIdentity
from napari_sam2.session.objects import AtWork, ObjectClass, ObjectRecord, State
from napari_sam2.session.snapshot import Snapshot, Written, package_versions
from napari_sam2.session.storage.json_values import (
    JSON,
    Fields,
    MalformedError,
    as_integer,
    as_mapping,
    as_size,
    as_text,
    dump,
    optional,
    parse,
    plain,
    tuple_of,
)
from napari_sam2.session.storage.label_blocks import DTYPES, PackedBlock
from napari_sam2.session.storage.label_grid import BlockIndex, LabelGrid
from napari_sam2.session.storage.members import Members
from napari_sam2.session.storage.work_reader import decode_record, decode_work
from napari_sam2.session.storage.work_writer import encode_record, encode_work

SESSION = "session.json"
FORMAT = "napari-sam2 session"
FORMAT_VERSION = 2
_OF_WHOLE_PLANES = 1  # which earlier readers know
_MAX_JSON_BYTES = 2**28  # text takes up to twenty times its size once it is read


class NewerFormatError(ValueError):
    """A session is of a later format than we know: its version."""


def works_of(state: State) -> dict[int, AtWork]:
    """Give each work in a state once, by its identity, the one on the object at work first."""
    records = (*state.objects.values(), *state.strays.values())
    works = [state.at_work, *(record.work for record in records if record.work is not None)]
    return {id(work): work for work in works}


def work_members(name: str, work: AtWork) -> Iterator[tuple[str, bytes]]:
    """Give the two members of the work on one object."""
    document, content = encode_work(work)
    yield f"{name}.json", dump(document)
    yield f"{name}.bin", content


def encode_session(
    snapshot: Snapshot, works: Mapping[int, str], blocks: Mapping[BlockIndex, str]
) -> bytes:
    """Give the text of session.json.

    Parameters
    ----------
    snapshot : Snapshot
        What is described.
    works : mapping of int to str
        The name of each of `works_of(snapshot.state)`, without .json and .bin.
    blocks : mapping of index to str
        The name of each block of labels.
    """
    state, side = snapshot.state, int(snapshot.block_side)
    return dump(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION if side else _OF_WHOLE_PLANES,
            "written": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "versions": package_versions(),
            "image": _encode_image(snapshot.image),
            "settings": plain(snapshot.settings),
            "labels": {
                "shape": [int(size) for size in snapshot.label_shape],
                "dtype": snapshot.label_dtype.name,
                **({"block_side": side} if side else {}),
                "blocks": [
                    {"index": [int(i) for i in index], "member": blocks[index]} for index in blocks
                ],
            },
            "at_work": works[id(state.at_work)],
            "objects": _encode_records(state.objects, works),
            "strays": _encode_records(state.strays, works),
            "classes": [{"name": one.name, "color": one.color} for one in state.classes],
            "highest": int(state.highest),
        }
    )


def read_written(members: Members) -> tuple[Written, ImageIdentity, int]:
    """Give when it was written, of which image, and the number of objects: no work is read."""
    fields = _open(members)
    objects: tuple[object, ...] = fields.get("objects", tuple_of(lambda value, _: value))
    return _written(fields), fields.get("image", _as_image), len(objects)


def read_snapshot(members: Members) -> Snapshot:
    """Give a snapshot back, and check all of it.

    Raises
    ------
    MalformedError
        If anything is missing, damaged, or not what it should be.
    NewerFormatError
        If a later napari-sam2 has written it in a way that we cannot know.
    """
    fields = _open(members)
    labels = fields.get("labels", Fields)
    shape = labels.get("shape", tuple_of(as_size))
    if len(shape) < 2:
        raise MalformedError(f"labels.shape must have two axes or more, got {shape}")
    dtype = labels.get("dtype", _as_dtype)
    grid = LabelGrid(shape, labels.get_or("block_side", 0, as_size))
    return Snapshot(
        state=_StateReader(members, shape).read(fields),
        labels=_read_blocks(members, labels, grid, dtype),
        label_shape=shape,
        label_dtype=dtype,
        image=fields.get("image", _as_image),
        settings=fields.get_or("settings", {}, as_mapping),
        written=_written(fields),
        block_side=grid.side,
    )


class _StateReader:
    """Reads the state, and each work once."""

    def __init__(self, members: Members, label_shape: tuple[int, ...]) -> None:
        self._members, self._label_shape = members, label_shape
        self._works: dict[str, AtWork] = {}

    def read(self, fields: Fields) -> State:
        objects = fields.get("objects", self._records)
        strays = fields.get_or("strays", {}, self._records)
        return State(
            at_work=fields.get("at_work", self._work),
            objects=objects,
            classes=fields.get_or("classes", (), tuple_of(_as_class)),
            strays=strays,
            # Never below a value that is in use: the next object would overwrite it.
            highest=max(fields.get("highest", as_integer), *objects, *strays, 0),
        )

    def _records(self, value: object, where: str) -> dict[int, ObjectRecord]:
        records = tuple_of(self._record)(value, where)
        return {record.object_id: record for record in records}

    def _record(self, value: object, where: str) -> ObjectRecord:
        work = Fields(value, where).get_or("work", None, optional(self._work))
        return decode_record(value, where, self._label_shape, work)

    def _work(self, value: object, where: str) -> AtWork:
        name = as_text(value, where)
        if name not in self._works:
            document = parse(self._members.read(f"{name}.json", _MAX_JSON_BYTES))
            content = self._members.read(f"{name}.bin")
            self._works[name] = decode_work(document, content, self._label_shape)
        return self._works[name]


def _open(members: Members) -> Fields:
    """Read session.json, if it is one that we know."""
    fields = Fields(parse(members.read(SESSION, _MAX_JSON_BYTES)), "")
    if fields.get("format", as_text) != FORMAT:
        raise MalformedError(f"format must be {FORMAT!r}")
    version = fields.get("format_version", as_size)
    if version > FORMAT_VERSION:
        raise NewerFormatError(version)
    return fields


def _read_blocks(
    members: Members, labels: Fields, grid: LabelGrid, dtype: np.dtype[Any]
) -> dict[BlockIndex, PackedBlock]:
    def read_block(value: object, where: str) -> tuple[BlockIndex, PackedBlock]:
        fields = Fields(value, where)
        index = fields.get("index", tuple_of(as_size))
        try:
            sides = grid.sides(index)
        except ValueError as error:
            raise MalformedError(
                f"{where}.index must lie in labels of {grid.shape}, got {index}"
            ) from error
        block = PackedBlock(members.read(fields.get("member", as_text)), sides, dtype)
        block.check()
        return index, block

    return dict(labels.get("blocks", tuple_of(read_block)))


def _encode_records(records: Mapping[int, ObjectRecord], works: Mapping[int, str]) -> list[JSON]:
    return [
        encode_record(record, None if record.work is None else works[id(record.work)])
        for record in records.values()
    ]


def _encode_image(image: ImageIdentity) -> JSON:
    return {
        "name": image.name,
        "shape": [int(size) for size in image.shape],
        "dtype": image.dtype,
        "path": image.path,
        "fingerprint": image.fingerprint,
    }


def _as_image(value: object, where: str) -> ImageIdentity:
    fields = Fields(value, where)
    return ImageIdentity(
        name=fields.get("name", as_text),
        shape=fields.get("shape", tuple_of(as_size)),
        dtype=fields.get("dtype", as_text),
        path=fields.get_or("path", None, optional(as_text)),
        fingerprint=fields.get_or("fingerprint", "", as_text),
    )


def _as_class(value: object, where: str) -> ObjectClass:
    fields = Fields(value, where)
    return ObjectClass(fields.get("name", as_text), fields.get("color", as_text))


def _as_dtype(value: object, where: str) -> np.dtype[Any]:
    name = as_text(value, where)
    if name not in DTYPES:
        raise MalformedError(f"{where} must be an integer type, got {name[:40]!r}")
    return np.dtype(name)


def _written(fields: Fields) -> Written:
    return Written(
        at=fields.get("written", _as_time),
        versions=fields.get_or("versions", {}, _as_versions),
    )


def _as_versions(value: object, where: str) -> dict[str, str]:
    return {name: as_text(version, where) for name, version in as_mapping(value, where).items()}


def _as_time(value: object, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(as_text(value, where))
    except ValueError as error:
        raise MalformedError(f"{where} must be a time, got {str(value)[:40]!r}") from error
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
