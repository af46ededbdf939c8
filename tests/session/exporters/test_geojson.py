from __future__ import annotations

import json
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.export import Export
from napari_sam2.session.exporters.geojson import write_geojson
from napari_sam2.session.exporters.outlines import Polygon, Ring, outlines_of
from tests.session.exporters import cases
from tests.session.exporters.cases import CASES, described


def written(export: Export, folder: Path, **more: Any) -> list[dict[str, Any]]:
    path = folder / "\u00e9.geojson"
    write_geojson(export, path, **more)
    told = json.loads(path.read_text(encoding="utf-8"))
    assert told["type"] == "FeatureCollection"
    features: list[dict[str, Any]] = told["features"]
    return features


def signed_area(ring: Ring) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2


def filled(polygon: Polygon, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill a polygon by the even-odd rule, asking at the pixels' centres."""
    crossings = np.zeros((shape[0], shape[1] + 1), int)
    for ring in polygon:
        for (x0, y0), (x1, y1) in pairwise(ring):
            if x0 == x1:
                crossings[min(y0, y1) : max(y0, y1), x0] += 1
    return np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


def polygons_in(geometry: dict[str, Any]) -> list[Polygon]:
    coordinates: list[Any] = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "Polygon" else coordinates


def painted(features: list[dict[str, Any]], export: Export) -> NDArray[Any]:
    labels = np.zeros(export.shape, np.int64)
    for feature in features:
        at = feature["geometry"].get("plane", {})
        plane = labels[tuple(at[letter] for letter in export.letters[:-2])]
        for polygon in polygons_in(feature["geometry"]):
            mask = filled(polygon, export.shape[-2:])
            assert not plane[mask].any()
            plane[mask] = feature["properties"]["measurements"]["Label"]
    return labels


@pytest.mark.parametrize("name", CASES)
def test_every_pixel_comes_back(tmp_path: Path, name: str) -> None:
    export = Export(CASES[name])
    found = painted(written(export, tmp_path), export)
    np.testing.assert_array_equal(found, cases.positive(CASES[name]))


@settings(max_examples=200, deadline=None)
@given(
    height=st.integers(1, 8),
    width=st.integers(1, 8),
    values=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_outlines_are_exact_and_valid(height: int, width: int, values: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, values + 1, (height, width))
    found = dict(outlines_of(labels))
    assert list(found) == [int(value) for value in np.unique(labels) if value]
    for value, polygons in found.items():
        masks = [filled(polygon, (height, width)) for polygon in polygons]
        np.testing.assert_array_equal(sum(mask.astype(int) for mask in masks), labels == value)
        rings = [ring for polygon in polygons for ring in polygon]
        assert sum(signed_area(ring) for ring in rings) == (labels == value).sum()
        for outer, *holes in polygons:
            assert signed_area(outer) > 0
            assert all(signed_area(hole) < 0 for hole in holes)
        for ring in rings:
            assert ring[0] == ring[-1]
            corners = [tuple(corner) for corner in ring[:-1]]
            assert len(set(corners)) == len(corners)  # does not touch itself


def test_outlines_of_a_pixel_are_its_corners() -> None:
    (found,) = outlines_of(cases.ONE_PIXEL)
    assert found == (5, [[[[4, 2], [5, 2], [5, 3], [4, 3], [4, 2]]]])


def test_straight_edges_have_no_points_between_the_corners() -> None:
    ((_, [[ring]]),) = outlines_of(cases.FULL)
    assert len(ring) == 5


def test_holes_that_meet_at_a_corner_are_two() -> None:
    ring_of_1 = dict(outlines_of(cases.RING))[1]
    assert [len(polygon) - 1 for polygon in ring_of_1] == [3]


def test_parts_that_meet_at_a_corner_are_a_multipolygon(tmp_path: Path) -> None:
    first = written(Export(cases.PARTS), tmp_path)[0]
    assert first["geometry"]["type"] == "MultiPolygon"
    assert len(first["geometry"]["coordinates"]) == 5


def test_properties_are_those_that_qupath_reads(tmp_path: Path) -> None:
    known, unknown = written(described(cases.PARTS), tmp_path)
    assert known["properties"] == {
        "objectType": "annotation",
        "name": "Zelle \u00e9\u2460",
        "classification": {"name": "Kern \u00df", "color": [255, 128, 0]},
        "measurements": {"Label": 4, "Area px^2": 6, "Area um^2": 0.75, "Predicted IoU": 0.875},
    }
    assert unknown["properties"] == {
        "objectType": "annotation",
        "name": "7",
        "measurements": {"Label": 7, "Area px^2": 2, "Area um^2": 0.25},
    }
    assert "plane" not in known["geometry"]


def test_objects_may_be_detections(tmp_path: Path) -> None:
    (feature,) = written(Export(cases.FULL), tmp_path, object_type="detection")
    assert feature["properties"]["objectType"] == "detection"


def test_another_type_of_objects_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="annotation or detection, got 'cell'"):
        write_geojson(Export(cases.FULL), tmp_path / "a.geojson", object_type="cell")


def test_planes_of_a_film_are_told_by_z_and_t(tmp_path: Path) -> None:
    features = written(described(cases.FILM), tmp_path)
    planes = [feature["geometry"]["plane"] for feature in features]
    assert planes[-1] == {"c": -1, "z": 2, "t": 2}


def test_ids_are_uuids_and_the_same_next_time(tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = (written(Export(cases.FILM), path) for path in (tmp_path, tmp_path / "again"))
    ids = [uuid.UUID(feature["id"]) for feature in first]
    assert len(set(ids)) == len(ids) == 6
    assert [feature["id"] for feature in again] == [str(entry) for entry in ids]
