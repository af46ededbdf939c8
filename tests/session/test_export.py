from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.session.axis_names import axis_letters, full_unit, short_unit
from napari_sam2.session.export import FORMATS, Export, find_format, write
from napari_sam2.session.import_labels import read_labels
from tests.session.exporters import cases


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_written_by_its_name_and_by_its_suffix(tmp_path: Path, name: str) -> None:
    suffix = FORMATS[name].suffix
    write(cases.described(cases.STACK), tmp_path / f"a{suffix}")
    write(cases.described(cases.STACK), tmp_path / "b", name)
    assert (tmp_path / f"a{suffix}").exists()
    assert (tmp_path / "b").exists()


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_overwrites_unless_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a{FORMATS[name].suffix}"
    write(Export(cases.STACK), path)
    with pytest.raises(PromptError, match="already"):
        write(Export(cases.STACK), path)
    write(Export(cases.STACK), path, overwrite=True)


@pytest.mark.parametrize("name", ["tiff", "ome-zarr"])
@pytest.mark.parametrize("axes", [(0, 2), (2, 0), (1, 2), (-1, -2)])
def test_planes_along_other_axes_are_written_as_they_are_seen(
    tmp_path: Path, name: str, axes: tuple[int, int]
) -> None:
    path = tmp_path / f"a{FORMATS[name].suffix}"
    write(Export(cases.STACK, axes=axes), path)
    (hidden,) = {0, 1, 2} - {axis % 3 for axis in axes}
    expected = cases.STACK.transpose(hidden, axes[0], axes[1])
    np.testing.assert_array_equal(read_labels(path), expected)


def test_facts_about_axes_turn_with_them() -> None:
    export = Export(
        cases.STACK,
        scale=(4, 2, 1),
        units=("um", "nm", "mm"),
        axis_labels=("z", "y", "x"),
        axes=(0, 2),
        intensity=np.zeros((*cases.STACK.shape, 3)),
    )
    assert export.shape == (6, 3, 8)
    assert export.pixel_sizes == (2, 4, 1)
    assert export.axis_units == ("nm", "um", "mm")
    assert export.turned_intensity is not None
    assert export.turned_intensity.shape == (6, 3, 8, 3)
    assert export.turned_intensity[0, 0].shape == (8, 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"labels": np.zeros(3, int)}, r"2 to 5 axes, got shape \(3,\)"),
        ({"labels": np.zeros((1,) * 6, int)}, "2 to 5 axes"),
        ({"labels": np.zeros((2, 2))}, "integers, got float64"),
        ({"scale": (1.0, 1.0)}, "scale must have one entry for each of the 3 axes"),
        ({"scale": (1.0, 0.0, 1.0)}, "above 0 along every axis"),
        ({"scale": (1.0, float("nan"), 1.0)}, "above 0 along every axis"),
        ({"units": ("um",)}, "units must have one entry"),
        ({"axis_labels": ("y", "x")}, "axis_labels must have one entry"),
        ({"intensity": np.zeros((6, 8))}, r"the shape of the labels, \(3, 6, 8\)"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(more: dict[str, Any], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Export(**({"labels": cases.STACK} | more))


def test_unknown_formats_are_told_with_those_that_there_are() -> None:
    with pytest.raises(PromptError, match=r"no format 'bmp'\. Choose one of tiff, ome-zarr"):
        find_format(Path("a.tif"), "bmp")
    with pytest.raises(PromptError, match=r"a\.bmp does not tell the format\. End it with \.tif"):
        find_format(Path("a.bmp"))


@pytest.mark.parametrize(
    ("names", "letters"),
    [
        (("", ""), "yx"),
        (("axis -3", "axis -2", "axis -1"), "zyx"),
        (("", "", "", ""), "tzyx"),
        (("", "", "", "", ""), "ctzyx"),
        (("z", "", "", ""), "ztyx"),
        (("Time", "y", "x"), "tyx"),
        (("depth", "frame", "row", "column"), "ztyx"),
        (("z", "z", "y", "x"), "ztyx"),
        (("t", "channel", "z", "y", "x"), "tczyx"),
    ],
)
def test_axes_have_letters(names: tuple[str, ...], letters: str) -> None:
    assert "".join(axis_letters(names)) == letters


@pytest.mark.parametrize("unit", ["um", "\u00b5m", "\u03bcm", "micron", "micrometer", " um "])
def test_micrometers_have_many_names(unit: str) -> None:
    assert (full_unit(unit), short_unit(unit)) == ("micrometer", "um")


@pytest.mark.parametrize("unit", ["", "pixel", "furlong"])
def test_what_is_no_unit_is_a_pixel(unit: str) -> None:
    assert (full_unit(unit), short_unit(unit)) == ("", "pixel")


def test_exporting_needs_no_torch_and_importing_it_no_zarr() -> None:
    code = (
        "import sys, napari_sam2.session.export, napari_sam2.session.import_labels\n"
        "import napari_sam2.session.exporters.ome_zarr, napari_sam2.session.exporters.geojson\n"
        "import napari_sam2.session.exporters.region_table\n"
        "print(*{'torch', 'zarr', 'skimage', 'napari'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
