"""Labels as COCO instances: one picture for each plane, one annotation for each object on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.export import Export
from napari_sam2.session.exporters.whole_file import write_json
from napari_sam2.session.runs import Runs

UNCLASSIFIED = "object"  # the category of objects without a class


def write_coco(export: Export, path: Path, *, overwrite: bool = False) -> None:
    """Write the labels as instances; masks are run lengths, which hold every pixel as it is.

    Raises
    ------
    PromptError
        If a file is there and may not be overwritten.
    Sam2Error
        If it cannot be written.
    """
    write_json(path, _members(export), overwrite=overwrite)


def _members(export: Export) -> Iterator[tuple[str, Any]]:
    categories = _Categories(export)
    yield "info", {"description": export.image_name}
    yield "licenses", []
    yield "images", _images(export)
    yield "annotations", _annotations(export, categories)
    yield "categories", categories.as_list()  # known when the annotations are written


class _Categories:
    """The classes, numbered from 1; others are added when an object has them."""

    def __init__(self, export: Export) -> None:
        self._ids = {entry.name: number for number, entry in enumerate(export.classes, 1)}

    def id_of(self, class_name: str) -> int:
        return self._ids.setdefault(class_name or UNCLASSIFIED, len(self._ids) + 1)

    def as_list(self) -> list[dict[str, Any]]:
        names = self._ids or {UNCLASSIFIED: 1}
        return [{"id": number, "name": name, "supercategory": ""} for name, number in names.items()]


def _images(export: Export) -> Iterator[dict[str, Any]]:
    height, width = export.shape[-2:]
    for number, index in enumerate(np.ndindex(*export.shape[:-2]), 1):
        yield {
            "id": number,
            "width": width,
            "height": height,
            "file_name": _file_name(export, index),
            "plane": dict(zip(export.letters, index, strict=False)),  # of all axes but y and x
        }


def _file_name(export: Export, index: tuple[int, ...]) -> str:
    """Give a name of its own to each plane: cells.tif, or cells_t0000_z0003.tif."""
    name = PurePath(export.image_name)
    where = "".join(f"_{letter}{at:04}" for letter, at in zip(export.letters, index, strict=False))
    return f"{name.stem}{where}{name.suffix}"


def _annotations(export: Export, categories: _Categories) -> Iterator[dict[str, Any]]:
    number = 0
    for part in export.whole_objects():
        index, (y, x) = part.index, part.corner
        image = 1 + (int(np.ravel_multi_index(index, export.shape[:-2])) if index else 0)
        for object_id, columns in Runs.of(part.pixels.T).moved(x, y).by_value():
            number += 1
            yield {
                "id": number,
                "image_id": image,
                **_instance(export, object_id, columns, categories),
            }


def _instance(
    export: Export, object_id: int, columns: Runs, categories: _Categories
) -> dict[str, Any]:
    """Describe an object on one plane; the runs are those of the turned plane."""
    record = export.record(object_id)
    x, y = int(columns.rows.min()), int(columns.starts.min())
    width, height = int(columns.rows.max()) + 1 - x, int(columns.stops.max()) - y
    known = {
        "object_id": object_id,
        **({"name": record.name} if record.name else {}),
        **({} if math.isnan(record.score) else {"score": record.score}),
    }
    return {
        "category_id": categories.id_of(record.class_name),
        "iscrowd": 0,
        "bbox": [x, y, width, height],
        "area": int((columns.stops - columns.starts).sum()),
        "segmentation": {
            "size": [int(size) for size in export.shape[-2:]],
            "counts": _counts(columns, export.shape[-2], export.shape[-1]).tolist(),
        },
        **known,
        "attributes": known,  # CVAT keeps only what is in here
    }


def _counts(columns: Runs, height: int, width: int) -> NDArray[np.int64]:
    """Give COCO's run lengths: pixels outside, inside, outside, ..., column by column.

    Together they are the whole plane: pycocotools leaves what is not counted to chance.
    """
    starts, stops = (columns.rows * height + edge for edge in (columns.starts, columns.stops))
    goes_on = starts[1:] == stops[:-1]  # from the bottom of one column to the top of the next
    starts, stops = starts[np.append(True, ~goes_on)], stops[np.append(~goes_on, True)]
    edges = np.column_stack([starts, stops]).ravel()
    return np.diff(edges, prepend=0, append=height * width)
