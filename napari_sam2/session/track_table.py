"""What became of objects that were followed, as a table: one row for each object and frame."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from napari_sam2.session.document import Document
from napari_sam2.session.edits import masks_of
from napari_sam2.session.exporters.whole_file import written_whole
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import PlaneWork
from napari_sam2.session.planes import Plane
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
        Logit: above 0 the model believes that there is an object; NaN where it is not known.
    role : str
        "prompted", "tracked", "filled", or "given" for what is the user's or came from elsewhere.
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


def rows_of_document(document: Document, planes: Sequence[Plane]) -> list[TrackRow]:
    """Measure all objects, kept or at work, on planes along an axis, counted from 0."""
    at_work, rows = document.at_work, list[TrackRow]()
    for at, plane in enumerate(planes):
        mask = document.mask_on(plane)
        if mask:
            rows.append(_row(at_work.object_id, at, mask, at_work.planes.get(plane)))
    for record in document.state.objects.values():
        masks = masks_of(document.labels, record, planes[0].axes)
        works = {} if record.work is None else record.work.planes
        rows += [
            _row(record.object_id, at, masks[plane], works.get(plane))
            for at, plane in enumerate(planes)
            if plane in masks
        ]
    return sorted(rows)


def _row(object_id: int, frame: int, mask: PackedMask, work: PlaneWork | None) -> TrackRow:
    answer = None if work is None else work.answer
    score, role = np.nan, "given"
    if answer is not None and answer.candidates:
        score = answer.score
        role = "prompted" if answer.prompts else "tracked" if answer.is_tracked else "given"
    rows, columns = mask.pixels()
    centre = float(rows.mean()), float(columns.mean())
    return TrackRow(object_id, frame, *centre, len(rows), round(score, 4), np.nan, role, "")


def rows_of(masks: Iterable[TrackedMask]) -> list[TrackRow]:
    """Measure masks, in order of objects and frames; of two on one frame the later counts."""
    last = {(one.object_id, one.frame): one for one in masks}
    return [row_of(last[key]) for key in sorted(last)]


def write_track_table(rows: Iterable[TrackRow], path: Path, *, overwrite: bool = False) -> None:
    """Write a CSV file, UTF-8, with a header; what is not known is left empty.

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
    cells = [row.object, row.frame, round(row.centroid_y, 2), round(row.centroid_x, 2), *row[4:]]
    return ["" if cell != cell else cell for cell in cells]  # NaN
