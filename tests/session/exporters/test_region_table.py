from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.measure import regionprops

from napari_sam2.session.export import Export
from napari_sam2.session.exporters.region_table import write_region_table
from tests.session.exporters import cases
from tests.session.exporters.cases import CASES, described


def rows_of(export: Export, folder: Path) -> list[dict[str, str]]:
    path = folder / "\u00e9.csv"
    write_region_table(export, path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(row: dict[str, str], *names: str) -> list[float]:
    return [float(row[name]) for name in names]


@pytest.mark.parametrize("name", ["nothing", "one pixel", "full", "ring", "parts", "stack"])
def test_measures_are_those_that_numpy_finds(tmp_path: Path, name: str) -> None:
    labels = CASES[name]
    rows = rows_of(described(labels), tmp_path)
    assert [int(row["label"]) for row in rows] == [int(v) for v in np.unique(labels) if v]
    letters, sizes = "zyx"[-labels.ndim :], np.array([2.0, 0.5, 0.25][-labels.ndim :])
    for row in rows:
        where = np.argwhere(labels == int(row["label"]))
        assert int(row["pixels"]) == len(where)
        assert float(row["size"]) == len(where) * sizes.prod()
        assert row["size_unit"] == f"um^{labels.ndim}"
        mean = where.mean(axis=0)
        assert numbers(row, *(f"centroid_{x}_pixels" for x in letters)) == pytest.approx(mean)
        assert numbers(row, *(f"centroid_{x}" for x in letters)) == pytest.approx(mean * sizes)
        assert numbers(row, *(f"bbox_{x}_start" for x in letters)) == where.min(axis=0).tolist()
        assert numbers(row, *(f"bbox_{x}_stop" for x in letters)) == (
            (where.max(axis=0) + 1).tolist()
        )
        if labels.ndim == 3:
            assert int(row["planes"]) == len(np.unique(where[:, 0]))


def test_lengths_are_in_units(tmp_path: Path) -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[3:37, 5:9] = 1  # 34 x 4 pixels of 0.5 x 0.25: as long as an ellipse of equal moments
    (row,) = rows_of(described(labels), tmp_path)
    major, minor = 34 * 0.5, 4 * 0.25
    expected = [4 * np.sqrt((n**2 - s**2) / 12) for n, s in ((major, 0.5), (minor, 0.25))]
    found = numbers(row, "axis_major_length", "axis_minor_length")
    assert found == pytest.approx(expected)
    assert float(row["solidity"]) == 1
    assert float(row["eccentricity"]) == pytest.approx(
        np.sqrt(1 - (expected[1] / expected[0]) ** 2)
    )
    assert row["unit"] == "um"


@pytest.mark.parametrize(
    "labels", [cases.RING, cases.PARTS, np.kron(cases.STACK, np.ones((3, 1, 1)))]
)
def test_shapes_are_those_of_scikit_image(tmp_path: Path, labels: Any) -> None:
    labels = labels.astype(int)
    spacing = (2.0, 0.5, 0.25)[-labels.ndim :]
    rows = {row["label"]: row for row in rows_of(described(labels), tmp_path)}
    flat = ("eccentricity", "solidity") if labels.ndim == 2 else ()
    for region in regionprops(labels, spacing=spacing):
        for name in ("axis_major_length", "axis_minor_length", *flat):
            assert float(rows[str(region.label)][name]) == pytest.approx(region[name])


def test_a_notch_lowers_the_solidity(tmp_path: Path) -> None:
    labels = np.ones((8, 8), np.uint8)
    labels[2:6, :6] = 0
    (row,) = rows_of(Export(labels), tmp_path)
    assert float(row["solidity"]) < 0.8


def test_names_classes_and_scores_are_told(tmp_path: Path) -> None:
    known, unknown = rows_of(described(cases.STACK), tmp_path)
    assert (known["name"], known["class"], known["score"]) == (
        "Zelle \u00e9\u2460",
        "Kern \u00df",
        "0.875",
    )
    assert (unknown["name"], unknown["class"], unknown["score"]) == ("", "", "")


def test_a_film_has_a_row_for_each_time(tmp_path: Path) -> None:
    rows = rows_of(described(cases.FILM), tmp_path)
    assert [(row["label"], row["t"]) for row in rows] == [
        *(("11", "0"), ("22", "2"), ("300", "0"), ("600", "2"))
    ]
    assert float(rows[0]["size"]) == 12 * 2 * 0.5 * 0.25  # micrometers, not seconds


def test_an_object_on_one_plane_of_a_stack_has_a_planes_shape(tmp_path: Path) -> None:
    two_planes, one_plane = rows_of(Export(cases.STACK), tmp_path)
    assert (two_planes["eccentricity"], two_planes["solidity"]) == ("", "")
    assert 0 < float(one_plane["solidity"]) < 1.01
    assert float(two_planes["axis_major_length"]) > 0


def test_intensities_are_of_the_object_only(tmp_path: Path) -> None:
    image = np.arange(cases.STACK.size, dtype=np.float32).reshape(cases.STACK.shape)
    for row in rows_of(Export(cases.STACK, intensity=image), tmp_path):
        inside = image[int(row["label"]) == cases.STACK]
        assert float(row["intensity_mean"]) == pytest.approx(inside.mean())
        assert float(row["intensity_max"]) == inside.max()


def test_colours_are_measured_one_by_one(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*cases.RING.shape, 3), dtype=np.uint8)
    for row in rows_of(Export(cases.RING, intensity=image), tmp_path):
        inside = image[int(row["label"]) == cases.RING]
        means = numbers(row, *(f"intensity_mean_{channel}" for channel in range(3)))
        assert means == pytest.approx(inside.mean(axis=0))
        assert float(row["intensity_max_2"]) == inside[:, 2].max()


@pytest.mark.parametrize(
    "labels",
    [
        np.ones((3, 1, 1), int),
        np.ones((2, 1, 5), int),
        np.eye(3, dtype=int)[:, None] * np.ones((3, 1, 3), int),
    ],
)
def test_thin_volumes_are_measured_without_complaint(tmp_path: Path, labels: Any) -> None:
    (row,) = rows_of(Export(labels), tmp_path)
    assert int(row["pixels"]) == labels.sum()
    assert float(row["axis_minor_length"]) >= 0


def test_pixels_of_no_known_unit_are_pixels(tmp_path: Path) -> None:
    (row,) = rows_of(Export(cases.FULL, units=("furlong", "furlong")), tmp_path)
    assert (row["unit"], row["size_unit"]) == ("pixel", "pixel^2")
