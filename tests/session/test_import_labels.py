from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam2.errors import PromptError
from napari_sam2.session.export import Export, write
from napari_sam2.session.exporters.ome_zarr import write_ome_zarr
from napari_sam2.session.import_labels import read_labels
from tests.session.exporters import cases


@pytest.mark.parametrize("name", ["\u00e9.tif", "\u00e9.zarr"])
@pytest.mark.parametrize("labels", [cases.RING, cases.LARGE_IDS, cases.STACK, cases.FILM])
def test_what_was_exported_is_read(tmp_path: Path, name: str, labels: np.ndarray) -> None:
    write(Export(labels), tmp_path / name)
    np.testing.assert_array_equal(read_labels(tmp_path / name, labels.shape), labels)


def test_arrays_are_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", cases.FILM)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.npy"), cases.FILM)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pngs_are_read(tmp_path: Path, dtype: type) -> None:
    labels = np.array([[0, np.iinfo(dtype).max]], dtype)
    Image.fromarray(labels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)


def test_indices_of_a_palette_are_labels(tmp_path: Path) -> None:
    image = Image.fromarray(cases.RING.astype(np.uint8))
    image.putpalette([value % 256 for value in range(768, 0, -1)])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), cases.RING)


def test_masks_become_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(3, dtype=bool))
    assert read_labels(tmp_path / "a.npy").dtype == np.uint8


def test_labels_may_be_chosen_within_a_zarr(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for name, labels in (("first", cases.STACK), ("second", cases.STACK * 2)):
        write_ome_zarr(Export(labels), path, name=name)
    with pytest.raises(PromptError, match=r"one set of labels, got first, second\. Choose one"):
        read_labels(path)
    second = read_labels(path / "labels" / "second")
    np.testing.assert_array_equal(second, cases.STACK * 2)
    np.testing.assert_array_equal(read_labels(path / "labels" / "first" / "0"), cases.STACK)


def test_a_zarr_without_description_is_told(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(PromptError, match="without OME-Zarr's description"):
        read_labels(tmp_path / "a.zarr")


def test_axes_of_length_one_do_not_matter(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", cases.RING.astype(np.uint8))
    assert read_labels(tmp_path / "a.tif", (1, 6, 5)).shape == (1, 6, 5)


def test_another_shape_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", cases.RING)
    with pytest.raises(PromptError, match=r"image's shape \(5, 6\), got \(6, 5\)"):
        read_labels(tmp_path / "a.npy", (5, 6))


def test_what_is_no_label_image_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "float.npy", np.zeros((2, 2)))
    np.save(tmp_path / "negative.npy", np.full((2, 2), -3))
    np.save(tmp_path / "row.npy", np.zeros(4, int))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "colour.png")
    (tmp_path / "broken.npy").write_text("nothing")
    (tmp_path / "broken.png").write_text("nothing")
    (tmp_path / "broken.tif").write_bytes(b"II*\0nothing")
    (tmp_path / "folder").mkdir()
    for name, message in {
        "float.npy": "must be integers, got float64",
        "negative.npy": "must be 0 or above, got -3",
        "row.npy": r"two axes or more, got \(4,\)",
        "objects.npy": "Cannot read",
        "colour.png": "is a colour picture",
        "broken.npy": "Cannot read",
        "broken.png": "Cannot read",
        "broken.tif": "Cannot read",
        "folder": "is a folder, and no OME-Zarr",
        "missing.tif": "There are no labels at",
    }.items():
        with pytest.raises(PromptError, match=message):
            read_labels(tmp_path / name)


def test_large_labels_stay_on_the_disk_until_a_part_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_sam2.session.import_labels.LARGE_BOX", 0)
    labels = np.arange(3 * 40 * 60, dtype=np.int32).reshape(3, 40, 60)
    array = zarr.open_array(str(tmp_path / "a"), mode="w", shape=(3, 1, 40, 60, 1), dtype="i4")
    array[:, 0, :, :, 0] = labels
    read = read_labels(tmp_path / "a", (1, 3, 40, 60))
    assert not isinstance(read, np.ndarray)
    assert read.shape == (1, 3, 40, 60)
    keys = [(0, 2), (0, 1, slice(3, 9), slice(5, 6)), (slice(0, 1), slice(1, 3), 4), ()]
    for key in keys:
        np.testing.assert_array_equal(read[key], labels[None][key])
    with pytest.raises(PromptError, match="must have the image's shape"):
        read_labels(tmp_path / "a", (40, 60, 3))
