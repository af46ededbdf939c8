"""Files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_sam2.errors import PromptError, Sam2Error


@contextmanager
def written_whole(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Give the name of an unfinished file beside `path`; at the end it takes the place of `path`.

    Raises
    ------
    PromptError
        If there is a file at `path`, which may not be overwritten.
    Sam2Error
        If it cannot be written; what was at `path` is still there.
    """
    refuse_existing(path, overwrite=overwrite)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise Sam2Error(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise if a file is in the way, or if its folder is not there."""
    if not path.parent.is_dir():
        raise Sam2Error(f"Cannot write {path}: there is no folder {path.parent}. Make it first.")
    if path.is_dir():
        raise PromptError(f"{path} is a folder. Name a file.")
    if path.exists() and not overwrite:
        raise PromptError(f"{path} is there already. Choose another name, or allow overwriting.")


def write_json(path: Path, members: Iterable[tuple[str, Any]], *, overwrite: bool) -> None:
    """Write a JSON object; a member whose value is an iterator is a list, written as it comes.

    Parameters
    ----------
    path : Path
        Where.
    members : iterable of (str, value)
        In this order; each is asked for when those before it are written.
    overwrite : bool
        Whether a file that is there may be replaced.
    """
    with (
        written_whole(path, overwrite=overwrite) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="\n") as file,
    ):
        before = "{\n"
        for name, value in members:
            file.write(f"{before}{_dumped(name)}: ")
            if isinstance(value, Iterator):
                file.writelines(_list_parts(value))
            else:
                file.write(_dumped(value))
            before = ",\n"
        file.write("\n}\n")


def _list_parts(items: Iterator[Any]) -> Iterator[str]:
    before = "[\n"
    for item in items:
        yield before + _dumped(item)
        before = ",\n"
    yield "[]" if before == "[\n" else "\n]"


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
