"""Planes too large to be held: the files are the same, and no plane is read as a whole."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session import export as export_module
from napari_sam2.session import parts, runs
from napari_sam2.session.export import Export, write
from napari_sam2.session.exporters import label_tiff
from tests.session.exporters.cases import CASES, described

TILE = 16  # TIFF knows no smaller ones


class InParts:
    """Labels that refuse to be read as whole planes, unless those are smaller than a tile."""

    def __init__(self, data: NDArray[Any]) -> None:
        self._data = data
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

    def __getitem__(self, key: Any) -> NDArray[Any]:
        part: NDArray[Any] = self._data[key]
        assert part.size <= TILE * TILE
        return part


@pytest.fixture
def shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all planes be large ones."""
    monkeypatch.setattr(parts, "SIDE", 4)
    monkeypatch.setattr(parts, "MOST", 16)
    monkeypatch.setattr(label_tiff, "_TILE", TILE)
    for module in (runs, export_module, label_tiff):
        monkeypatch.setattr(module, "LARGE_PLANE", 0)


def features(path: Path) -> list[Any]:
    return sorted(json.loads(path.read_text())["features"], key=lambda feature: feature["id"])


def annotations(path: Path) -> list[Any]:
    found = json.loads(path.read_text())["annotations"]
    for one in found:
        del one["id"]
    return sorted(found, key=lambda one: (one["image_id"], one["object_id"]))


def rows(path: Path) -> list[Any]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def levels(path: Path) -> list[Any]:
    group = zarr.open_group(str(path / "labels" / "objects"), mode="r")
    told = group.attrs["multiscales"][0]["datasets"]
    return [np.asarray(group[one["path"]]).tolist() for one in told]


READERS: dict[str, Callable[[Path], Any]] = {
    "coco": annotations,
    "csv": rows,
    "geojson": features,
    "ome-zarr": levels,
    "tiff": lambda path: tifffile.imread(path).tolist(),
}
SUFFIXES = {"coco": ".json", "csv": ".csv", "geojson": ".geojson", "ome-zarr": ".zarr"}
SCATTERED = np.kron(np.random.default_rng(3).integers(0, 6, (2, 9, 11)), np.ones((1, 3, 3), int))


@pytest.mark.parametrize("name", list(READERS))
@pytest.mark.parametrize("case", ["nothing", "ring", "parts", "stack", "scattered"])
def test_a_large_plane_makes_the_same_file(
    name: str, case: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    labels = SCATTERED if case == "scattered" else CASES[case]
    paths = [tmp_path / f"{size}{SUFFIXES.get(name, '.tif')}" for size in ("small", "large")]
    write(described(labels), paths[0], name)
    request.getfixturevalue("shrunk")
    write(described(InParts(labels) if name in ("ome-zarr", "tiff") else labels), paths[1], name)
    small, large = (READERS[name](path) for path in paths)
    assert small == large


@pytest.mark.usefixtures("shrunk")
def test_an_object_too_large_to_be_held_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "LARGE_BOX", 50)
    labels = np.zeros((20, 30), np.int32)
    labels[3, 4] = labels[12, 14] = 7
    for name in ("coco", "csv", "geojson"):
        with pytest.raises(PromptError, match="object 7 reaches over 10 x 11 pixels"):
            write(Export(labels), tmp_path / "file", name)
    assert not list(tmp_path.iterdir())
