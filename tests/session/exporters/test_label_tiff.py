from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.session.export import Export
from napari_sam2.session.exporters import label_tiff
from napari_sam2.session.exporters.label_tiff import write_label_tiff
from tests.session.exporters import cases
from tests.session.exporters.cases import CASES, described


def read(path: Path) -> tuple[tifffile.TiffFile, Any]:
    with tifffile.TiffFile(path) as tiff:
        return tiff, tiff.series[0].asarray()


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_is_what_was_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / "\u00e9t\u00e9 \u2460.tif"
    write_label_tiff(Export(CASES[name]), path)
    _, found = read(path)
    np.testing.assert_array_equal(found.reshape(CASES[name].shape), cases.positive(CASES[name]))


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [
        (255, "uint8"),
        (256, "uint16"),
        (65_535, "uint16"),
        (65_536, "uint32"),
        (2**32 - 1, "uint32"),
    ],
)
def test_type_is_as_small_as_fits(tmp_path: Path, largest: int, dtype: str) -> None:
    labels = np.array([[0, largest]], np.int64)
    write_label_tiff(Export(labels), tmp_path / "a.tif")
    assert read(tmp_path / "a.tif")[1].dtype == dtype


def test_imagej_finds_axes_pixel_size_and_unit(tmp_path: Path) -> None:
    write_label_tiff(described(cases.FILM), tmp_path / "a.tif")
    tiff, _ = read(tmp_path / "a.tif")
    told = tiff.imagej_metadata
    assert told is not None
    assert (told["frames"], told["slices"]) == (3, 3)
    assert (told["unit"], told["spacing"], told["finterval"]) == ("um", 2.0, 60.0)
    tags = tiff.pages[0].tags
    assert tags["XResolution"].value == (4, 1)  # pixels in each micrometer
    assert tags["YResolution"].value == (2, 1)
    assert tiff.series[0].axes == "TZYX"


def test_labels_beyond_imagejs_types_are_ome_tiff(tmp_path: Path) -> None:
    write_label_tiff(described(cases.LARGE_IDS), tmp_path / "a.tif")
    tiff, _ = read(tmp_path / "a.tif")
    assert tiff.is_ome
    assert 'PhysicalSizeX="0.25" PhysicalSizeXUnit="\u00b5m"' in tiff.ome_metadata
    assert 'Name="B\u00e4r.tif"' in tiff.ome_metadata


def test_axes_out_of_imagejs_order_keep_their_order(tmp_path: Path) -> None:
    labels = np.zeros((2, 3, 4, 5), np.uint8)
    labels[1, 2] = 7
    names = ("z", "time", "y", "x")
    write_label_tiff(Export(labels, axis_labels=names), tmp_path / "a.tif")
    tiff, found = read(tmp_path / "a.tif")
    assert tiff.series[0].axes == "ZTYX"
    np.testing.assert_array_equal(found, labels)


def test_huge_labels_become_a_bigtiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_tiff, "MAX_CLASSIC_BYTES", 100)
    write_label_tiff(Export(cases.STACK), tmp_path / "a.tif")
    tiff, found = read(tmp_path / "a.tif")
    assert tiff.is_bigtiff
    np.testing.assert_array_equal(found, cases.STACK)


def test_lazy_labels_are_written_plane_by_plane(tmp_path: Path) -> None:
    write_label_tiff(Export(cases.Lazy(cases.FILM)), tmp_path / "a.tif")
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[1], cases.FILM)


def test_ids_beyond_32_bits_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match="up to 4294967295, got 4294967296"):
        write_label_tiff(Export(np.array([[2**32]])), tmp_path / "a.tif")


def test_an_older_file_stays_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_text("dear")
    with pytest.raises(PromptError, match="is there already"):
        write_label_tiff(Export(cases.RING), path)
    assert path.read_text() == "dear"
    write_label_tiff(Export(cases.RING), path, overwrite=True)
    np.testing.assert_array_equal(read(path)[1], cases.RING)


def test_failing_halfway_leaves_the_older_file(tmp_path: Path) -> None:
    class Torn(cases.Lazy):
        reads = 0

        def __getitem__(self, key: Any) -> Any:
            self.reads += 1
            if self.reads > 4:  # all three planes were seen, and one is written
                raise OSError(28, "No space left on device")
            return super().__getitem__(key)

    path = tmp_path / "a.tif"
    path.write_text("dear")
    with pytest.raises(Sam2Error, match=r"Cannot write .*a.tif: No space left on device\."):
        write_label_tiff(Export(Torn(cases.STACK)), path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"]
    assert path.read_text() == "dear"


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Sam2Error, match=r"there is no folder .*nowhere\. Make it first"):
        write_label_tiff(Export(cases.RING), tmp_path / "nowhere" / "a.tif")
