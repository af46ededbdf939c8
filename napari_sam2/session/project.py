"""Session files: one annotated image in one file, to go on with tomorrow or elsewhere.

The format is described in docs/session-format.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from napari_sam2.errors import ProjectError
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.session.storage.json_values import MalformedError
from napari_sam2.session.storage.label_blocks import pack_blocks
from napari_sam2.session.storage.label_grid import BlockIndex
from napari_sam2.session.storage.members import ZipMembers, put_in_place, write_zip
from napari_sam2.session.storage.session_json import (
    FORMAT_VERSION,
    SESSION,
    NewerFormatError,
    encode_session,
    read_snapshot,
    work_members,
    works_of,
)

EXTENSION = ".sam2.zip"


def save_session(path: str | Path, snapshot: Snapshot) -> None:
    """Write a session file; what was at `path` before stays until the new one is complete.

    Parameters
    ----------
    path : str or Path
        By custom with the extension .sam2.zip.
    snapshot : Snapshot
        What is kept. Its blocks are read one after the other.

    Raises
    ------
    ProjectError
        If it cannot be written.
    ValueError
        If a plane of labels does not fit the label array.
    """
    target = Path(path).expanduser().resolve()  # a link stays, and leads to the new file
    temporary = target.with_name(f".{uuid4().hex[:12]}.incomplete")
    try:
        write_zip(temporary, _members(snapshot))
        put_in_place(temporary, target)
    except OSError as error:
        raise ProjectError(
            f"The session could not be saved as {target} ({error.strerror or error}); what was "
            "there is as it was. Choose another place, or make room there."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def load_session(path: str | Path) -> Snapshot:
    """Read a session file, and check all of it; planes of labels stay compressed until called.

    Raises
    ------
    ProjectError
        If it is not there, damaged, no session, or of a later format.
    """
    source = Path(path).expanduser()
    try:
        with ZipMembers(source) as members:
            return read_snapshot(members)
    except OSError as error:
        raise ProjectError(
            f"The session {source} could not be read ({error.strerror or error}). Check the path, "
            "and that you may read it."
        ) from error
    except NewerFormatError as error:
        raise ProjectError(
            f"The session {source} is in format {error}, this napari-sam2 reads formats up to "
            f"{FORMAT_VERSION}. Update napari-sam2."
        ) from error
    except MalformedError as error:
        raise ProjectError(
            f"{source} is damaged or no session of napari-sam2: {error}. Open another copy."
        ) from error


def _members(snapshot: Snapshot) -> Iterator[tuple[str, bytes]]:
    """Give the members of the file one after the other, session.json last."""
    works: dict[int, str] = {}
    blocks: dict[BlockIndex, str] = {}
    for key, work in works_of(snapshot.state).items():
        works[key] = f"works/{len(works)}"
        yield from work_members(works[key], work)
    for index, block in pack_blocks(snapshot.labels, snapshot.grid, snapshot.label_dtype):
        if block is not None:
            blocks[index] = f"labels/{len(blocks)}.npy.gz"
            yield blocks[index], block.content
    yield SESSION, encode_session(snapshot, works, blocks)
