"""Prompts of several objects, read from a table: one prompt a row."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from napari_sam2.errors import PromptError
from napari_sam2.session.prompts import NEGATIVE, POSITIVE, Prompts

PromptTable = dict[int, dict[int, Prompts]]
"""Prompts by object and frame."""

_POLARITIES = {
    **dict.fromkeys(("", "1", "+", "positive"), POSITIVE),
    **dict.fromkeys(("0", "-", "-1", "negative"), NEGATIVE),
}


def read_prompt_table(path: Path) -> PromptTable:
    """Read a CSV file with a header, in UTF-8.

    Columns: `object` (a label value above 0), `frame` (or `plane`, counted from 0), `kind` ("point"
    or "box"); for a point `y`, `x` and, if it is on the background, `polarity` 0; for a box `y0`,
    `x0`, `y1`, `x1`. Positions are pixels of the frame, rows first. Other columns are passed over.

    Raises
    ------
    PromptError
        If the file cannot be read, or a row says something else.
    """
    found: PromptTable = defaultdict(dict)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                _take(found, {k: (v or "").strip() for k, v in row.items() if k}, number)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PromptError(
            f"Prompts must be a CSV file, but {path} cannot be read: {error}"
        ) from error
    except _RowError as error:
        raise PromptError(f"{path}, {error}") from error
    if not found:
        raise PromptError(f"{path} holds no prompts. Write one a row, below a header.")
    return dict(found)


class _RowError(ValueError):
    """What is wrong with a row."""


def _take(found: PromptTable, row: Mapping[str, str], number: int) -> None:
    object_id = _whole(row, "object", number)
    frame = _whole(row, "plane" if "frame" not in row and "plane" in row else "frame", number)
    if object_id < 1:
        raise _RowError(f"row {number}: an object must be a label above 0, got {object_id}.")
    before = found[object_id].get(frame, Prompts())
    kind = row.get("kind", "") or ("box" if row.get("y0") else "point")
    if kind == "point":
        polarity = _POLARITIES.get(row.get("polarity", ""))
        if polarity is None:
            raise _RowError(
                f"row {number}: polarity must be 1 (object) or 0 (background), got "
                f"{row['polarity']!r}."
            )
        found[object_id][frame] = replace(
            before,
            points=(*before.points, (_number(row, "y", number), _number(row, "x", number))),
            polarity=(*before.polarity, polarity),
        )
    elif kind == "box" and before.box is None:
        y0, x0 = _number(row, "y0", number), _number(row, "x0", number)
        y1, x1 = _number(row, "y1", number), _number(row, "x1", number)
        found[object_id][frame] = replace(before, box=(y0, x0, y1, x1))
    elif kind == "box":
        raise _RowError(
            f"row {number}: an object takes one box on a frame, object {object_id} has one on "
            f"frame {frame} already."
        )
    else:
        raise _RowError(f"row {number}: kind must be point or box, got {kind!r}.")


def _whole(row: Mapping[str, str], name: str, number: int) -> int:
    value = _number(row, name, number)
    if value != int(value):
        raise _RowError(f"row {number}: {name} must be a whole number, got {row[name]!r}.")
    return int(value)


def _number(row: Mapping[str, str], name: str, number: int) -> float:
    text = row.get(name)
    if text is None:
        raise _RowError(
            f"row {number}: there is no column {name}; the header has {', '.join(row)}."
        )
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise _RowError(f"row {number}: {name} must be a number, got {text!r}.")
    return value
