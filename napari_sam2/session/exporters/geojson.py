"""Labels as GeoJSON that QuPath opens: outlines along pixel edges, so that areas are exact."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from napari_sam2.errors import PromptError
from napari_sam2.session.axis_names import short_unit
from napari_sam2.session.export import Export
from napari_sam2.session.exporters.outlines import Polygon, outlines_of
from napari_sam2.session.exporters.whole_file import write_json

OBJECT_TYPES = ("annotation", "detection")
_UNCLASSED_COLOR = "#808080"


def write_geojson(
    export: Export, path: Path, *, overwrite: bool = False, object_type: str = "annotation"
) -> None:
    """Write a feature for each object on each plane.

    Parameters
    ----------
    export, path, overwrite
        As for `napari_sam2.session.export.write`.
    object_type : str
        "annotation", which can be edited in QuPath, or "detection", which is quick for thousands.

    Raises
    ------
    PromptError
        If a file is there and may not be overwritten, or there is no such type.
    Sam2Error
        If it cannot be written.
    """
    if object_type not in OBJECT_TYPES:
        raise PromptError(f"QuPath's objects are {' or '.join(OBJECT_TYPES)}, got {object_type!r}.")
    members = [("type", "FeatureCollection"), ("features", _features(export, object_type))]
    write_json(path, members, overwrite=overwrite)


def _features(export: Export, object_type: str) -> Iterator[dict[str, Any]]:
    for part in export.whole_objects():
        for object_id, polygons in outlines_of(part.pixels, part.corner):
            yield {
                "type": "Feature",
                "id": _identity(export, object_id, part.index),
                "geometry": _geometry(polygons, _qupath_plane(export, part.index)),
                "properties": {
                    "objectType": object_type,
                    **_properties(export, object_id, _area(polygons)),
                },
            }


def _identity(export: Export, object_id: int, index: tuple[int, ...]) -> str:
    """Give a UUID: the same one when the same object is exported again."""
    where = ",".join(str(at) for at in index)
    name = f"napari-sam2/{export.image_name}/{where}/{object_id}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def _geometry(polygons: list[Polygon], plane: dict[str, int] | None) -> dict[str, Any]:
    is_one = len(polygons) == 1
    geometry: dict[str, Any] = {
        "type": "Polygon" if is_one else "MultiPolygon",
        "coordinates": polygons[0] if is_one else polygons,
    }
    return geometry if plane is None else geometry | {"plane": plane}


def _qupath_plane(export: Export, index: tuple[int, ...]) -> dict[str, int] | None:
    """Give channel (-1 for all), z and t as QuPath's reader finds them; None for a single plane."""
    if not index:
        return None
    at = dict(zip(export.letters, index, strict=False))  # of all axes but y and x
    return {"c": at.get("c", -1), "z": at.get("z", 0), "t": at.get("t", 0)}


def _properties(export: Export, object_id: int, area: int) -> dict[str, Any]:
    record = export.record(object_id)
    properties: dict[str, Any] = {"name": record.name or str(object_id)}
    if record.class_name:
        color = export.class_color(record.class_name) or _UNCLASSED_COLOR
        rgb = list(bytes.fromhex(color.removeprefix("#")))
        properties["classification"] = {"name": record.class_name, "color": rgb}
    measurements = {"Label": object_id, "Area px^2": area, **_physical_area(export, area)}
    if not math.isnan(record.score):
        measurements["Predicted IoU"] = record.score
    return properties | {"measurements": measurements}


def _physical_area(export: Export, area: int) -> dict[str, float]:
    """Give the area in squared units, where rows and columns have the same unit."""
    row_unit, column_unit = (short_unit(unit) for unit in export.axis_units[-2:])
    if row_unit != column_unit or row_unit == "pixel":
        return {}
    return {f"Area {row_unit}^2": area * math.prod(export.pixel_sizes[-2:])}


def _area(polygons: list[Polygon]) -> int:
    """Count the pixels within polygons: holes have a negative area."""
    doubled = 0
    for ring in (ring for polygon in polygons for ring in polygon):
        for (x, y), (next_x, next_y) in pairwise(ring):
            doubled += x * next_y - next_x * y
    return doubled // 2
