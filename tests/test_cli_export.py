from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner, Result

from napari_sam2.cli import app
from napari_sam2.session.export import FORMATS, Export, write
from napari_sam2.session.import_labels import read_labels
from napari_sam2.session.project import save_session
from tests.session.exporters import cases
from tests.session.snapshots import snapshot


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["export", *(str(argument) for argument in arguments)])


def refused(result: Result, code: int, message: str) -> None:
    assert result.exit_code == code, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert result.stdout == ""


def table(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "B\u00e4r labels.npy"
    np.save(path, cases.STACK)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_labels_become_what_the_name_ends_with(tmp_path: Path, labels: Path, name: str) -> None:
    output = tmp_path / f"out{FORMATS[name].suffix}"
    result = run(labels, "--output", output)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{output}\n"
    assert output.exists()


def test_format_may_be_named(tmp_path: Path, labels: Path) -> None:
    run(labels, "--output", tmp_path / "out.txt", "--format", "geojson")
    told = json.loads((tmp_path / "out.txt").read_text(encoding="utf-8"))
    assert told["type"] == "FeatureCollection"


def test_scale_and_unit_reach_the_file(tmp_path: Path, labels: Path) -> None:
    run(labels, "--output", tmp_path / "out.tif", "--scale", "2,0.5,0.25", "--unit", "um")
    with tifffile.TiffFile(tmp_path / "out.tif") as tiff:
        told = tiff.imagej_metadata
    assert told is not None
    assert (told["spacing"], told["unit"]) == (2.0, "um")


def test_one_scale_is_that_of_all_axes(tmp_path: Path, labels: Path) -> None:
    run(labels, "--output", tmp_path / "out.csv", "--scale", "0.5")
    assert float(table(tmp_path / "out.csv")[0]["size"]) == 12 * 0.125


def test_image_gives_intensities(tmp_path: Path, labels: Path) -> None:
    tifffile.imwrite(
        tmp_path / "image.tif", (cases.STACK * 2).astype(np.uint16), photometric="minisblack"
    )
    run(labels, "--output", tmp_path / "out.csv", "--image", tmp_path / "image.tif")
    means = [float(row["intensity_mean"]) for row in table(tmp_path / "out.csv")]
    assert means == [22, 600]


def test_zarr_is_turned_into_another_format(tmp_path: Path) -> None:
    write(Export(cases.FILM), tmp_path / "in.zarr")
    run(tmp_path / "in.zarr", "--output", tmp_path / "out.tif")
    np.testing.assert_array_equal(read_labels(tmp_path / "out.tif"), cases.FILM)


@pytest.mark.parametrize("name", FORMATS)
def test_session_is_exported_in_every_format(tmp_path: Path, name: str) -> None:
    save_session(tmp_path / "a.sam2.zip", snapshot(3, 4))
    result = run(tmp_path / "a.sam2.zip", "--output", tmp_path / "out", "--format", name)
    assert result.exit_code == 0, result.output


def test_labels_of_a_session_are_exported_to_the_pixel(tmp_path: Path) -> None:
    some = snapshot(3, 4)
    save_session(tmp_path / "a.sam2.zip", some)
    run(tmp_path / "a.sam2.zip", "--output", tmp_path / "out.tif")
    expected = np.stack(
        [some.read_block(index) for index in np.ndindex(*some.label_shape[:-2])]
    ).reshape(some.label_shape)
    np.testing.assert_array_equal(read_labels(tmp_path / "out.tif", some.label_shape), expected)
    run(tmp_path / "a.sam2.zip", "--output", tmp_path / "out.csv")
    pixels = sum(int(row["pixels"]) for row in table(tmp_path / "out.csv"))
    assert pixels == (expected > 0).sum()


def test_what_is_there_stays_unless_told(tmp_path: Path, labels: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("dear")
    refused(run(labels, "--output", output), 2, "is there already")
    assert output.read_text() == "dear"
    assert run(labels, "--output", output, "--overwrite").exit_code == 0


def test_mistakes_end_in_a_sentence(tmp_path: Path, labels: Path) -> None:
    output = tmp_path / "out.csv"
    refused(run(tmp_path / "none.tif", "--output", output), 2, "There are no labels at")
    refused(run(labels, "--output", tmp_path / "out.bmp"), 2, "does not tell the format")
    refused(run(labels, "--output", output, "--format", "bmp"), 2, "There is no format 'bmp'")
    refused(run(labels, "--output", output, "--scale", "a"), 2, "wanted S, numbers")
    refused(run(labels, "--output", output, "--scale", "1,2"), 2, "for each of the 3 axes")
    refused(run(tmp_path / "none.sam2.zip", "--output", output), 1, "could not be read")
    refused(run(labels, "--output", tmp_path / "no" / "out.csv"), 1, "there is no folder")
