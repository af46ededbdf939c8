"""What became of objects that were followed, as a table: one row for each object and frame."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_sam2.session.exporters.whole_file import written_whole
from napari_sam2.session.tracks import TrackedMask


class TrackRow(NamedTuple):
    """One object on one frame.

    Attributes
    ----------
    object, frame : int
        Its label value, and the index along the axis.
    centroid_y, centroid_x : float
        In pixels of the frame; NaN where there is no mask.
    area : int
        In pixels.
    score : float
        The decoder's estimate of the IoU, in [0, 1]; 0 where there is no mask.
    object_score : float
        Logit: above 0 the model believes that there is an object.
    role : str
        "prompted", "tracked" or "filled".
    stop : str
        Why the track ends here; empty where it goes on.
    """

    object: int
    frame: int
    centroid_y: float
    centroid_x: float
    area: int
    score: float
    object_score: float
    role: str
    stop: str


def row_of(tracked: TrackedMask) -> TrackRow:
    """Measure a mask."""
    mask = tracked.mask
    rows, columns = mask.pixels()
    return TrackRow(
        tracked.object_id,
        tracked.frame,
        float(rows.mean()) if mask else np.nan,
        float(columns.mean()) if mask else np.nan,
        len(rows),
        round(tracked.score, 4),
        round(tracked.object_score, 3),
        tracked.role,
        tracked.stop,
    )


def rows_of(masks: Iterable[TrackedMask]) -> list[TrackRow]:
    """Measure masks, in order of objects and frames; of two on one frame the later counts."""
    last = {(one.object_id, one.frame): one for one in masks}
    return [row_of(last[key]) for key in sorted(last)]


def write_track_table(rows: Iterable[TrackRow], path: Path, *, overwrite: bool = False) -> None:
    """Write a CSV file, UTF-8, with a header; where there is no centroid the cell is empty.

    Raises
    ------
    PromptError
        If a file is there and may not be overwritten.
    Sam2Error
        If it cannot be written.
    """
    with (
        written_whole(path, overwrite=overwrite) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(TrackRow._fields)
        writer.writerows(_cells(row) for row in rows)


def _cells(row: TrackRow) -> list[object]:
    return [
        *(row.object, row.frame),
        *("" if np.isnan(value) else round(value, 2) for value in row[2:4]),
        *row[4:],
    ]
