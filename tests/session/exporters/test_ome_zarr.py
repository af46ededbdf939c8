from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.session import zarr_store
from napari_sam2.session.export import Export
from napari_sam2.session.exporters import ome_zarr
from napari_sam2.session.exporters.ome_zarr import write_ome_zarr
from napari_sam2.session.zarr_store import create_array, open_group
from tests.session.exporters import cases
from tests.session.exporters.cases import CASES, described


def pixels(path: Path, level: int = 0) -> NDArray[Any]:
    return np.asarray(zarr.open(str(path / "labels" / "objects" / str(level)), mode="r")[...])


def metadata(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((path / "labels" / "objects" / ".zattrs").read_text("utf-8"))
    return read


def make_image(path: Path, levels: int = 1) -> None:
    group = open_group(path)
    for level in range(levels):
        create_array(path / str(level), cases.STACK.shape, np.dtype("uint8"))[...] = 3
    group.attrs["multiscales"] = [{"datasets": [{"path": str(n)} for n in range(levels)]}]


@pytest.mark.parametrize("name", CASES)
def test_what_is_read_is_what_was_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / "\u00e9t\u00e9 \u2460.zarr"
    write_ome_zarr(Export(CASES[name]), path)
    np.testing.assert_array_equal(pixels(path), cases.positive(CASES[name]))
    assert pixels(path).dtype == "uint32"


def test_metadata_is_that_of_ngff(tmp_path: Path) -> None:
    write_ome_zarr(described(cases.FILM), tmp_path / "a.zarr", levels=2)
    (multiscale,) = metadata(tmp_path / "a.zarr")["multiscales"]
    assert multiscale == {
        "version": "0.4",
        "name": "B\u00e4r.tif",
        "type": "nearest",
        "axes": [
            {"name": "t", "type": "time", "unit": "second"},
            *({"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"),
        ],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
            for level, scale in enumerate([[60.0, 2.0, 0.5, 0.25], [60.0, 2.0, 1.0, 0.5]])
        ],
    }
    group = zarr.open_group(str(tmp_path / "a.zarr" / "labels"), mode="r")
    assert group.attrs["labels"] == ["objects"]


def test_labels_have_the_colors_of_their_classes_and_say_what_is_known(tmp_path: Path) -> None:
    write_ome_zarr(described(cases.STACK), tmp_path / "a.zarr")
    told = metadata(tmp_path / "a.zarr")["image-label"]
    assert told["version"] == "0.4"
    assert "source" not in told  # there is no image in this store
    colors = {entry["label-value"]: entry["rgba"] for entry in told["colors"]}
    assert list(colors) == [11, 300]
    assert colors[11] == [255, 128, 0, 255]
    assert colors[300] not in ([255, 128, 0, 255], [0, 0, 0, 255])
    assert told["properties"] == [
        {
            "label-value": 11,
            "name": "Zelle \u00e9\u2460",
            "class": "Kern \u00df",
            "score": 0.875,
        },
        {"label-value": 300},
    ]


def test_pyramid_takes_every_second_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ome_zarr, "_SMALLEST_LEVEL", 2)
    write_ome_zarr(Export(cases.STACK), tmp_path / "a.zarr")
    for level in range(3):
        step = 2**level
        expected = cases.STACK[:, ::step, ::step]
        np.testing.assert_array_equal(pixels(tmp_path / "a.zarr", level), expected)
    assert len(metadata(tmp_path / "a.zarr")["multiscales"][0]["datasets"]) == 3


def test_time_comes_first_whatever_the_order_of_the_axes(tmp_path: Path) -> None:
    export = Export(cases.FILM[:2], axis_labels=("z", "t", "y", "x"), scale=(3, 7, 1, 1))
    write_ome_zarr(export, tmp_path / "a.zarr")
    np.testing.assert_array_equal(pixels(tmp_path / "a.zarr"), cases.FILM[:2].swapaxes(0, 1))
    (multiscale,) = metadata(tmp_path / "a.zarr")["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["t", "z", "y", "x"]
    (scale,) = multiscale["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [7, 3, 1, 1]


def test_chunks_are_parts_of_a_plane_and_empty_ones_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarr_store, "_CHUNK", 4)
    write_ome_zarr(Export(cases.Lazy(cases.STACK)), tmp_path / "a.zarr")
    level = tmp_path / "a.zarr" / "labels" / "objects" / "0"
    written = sorted(
        str(file.relative_to(level))
        for file in level.rglob("*")
        if file.name.isdigit() and file.is_file()
    )
    assert written == ["0/0/0", "1/0/0", "1/0/1", "1/1/0", "1/1/1", "2/0/1"]
    np.testing.assert_array_equal(pixels(tmp_path / "a.zarr"), cases.STACK)


def test_an_image_gets_labels_and_keeps_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "image.zarr"
    make_image(path, levels=2)
    write_ome_zarr(Export(cases.STACK), path)
    np.testing.assert_array_equal(pixels(path), cases.STACK)
    told = metadata(path)
    assert told["image-label"]["source"] == {"image": "../../"}
    assert len(told["multiscales"][0]["datasets"]) == 2  # as many as the image has
    assert (np.asarray(zarr.open(str(path / "0"), mode="r")[...]) == 3).all()


def test_labels_of_another_name_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(Export(cases.STACK), path, name="first")
    write_ome_zarr(Export(cases.STACK), path)
    assert zarr.open_group(str(path / "labels"), mode="r").attrs["labels"] == ["first", "objects"]


def test_labels_are_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    write_ome_zarr(Export(cases.STACK), path)
    with pytest.raises(PromptError, match="has labels named objects already"):
        write_ome_zarr(Export(cases.STACK * 2), path)
    np.testing.assert_array_equal(pixels(path), cases.STACK)
    write_ome_zarr(Export(cases.STACK * 2), path, overwrite=True)
    np.testing.assert_array_equal(pixels(path), cases.STACK * 2)
    assert zarr.open_group(str(path / "labels"), mode="r").attrs["labels"] == ["objects"]


def test_what_is_no_zarr_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "holiday"
    path.mkdir()
    (path / "beach.jpg").write_text("dear")
    with pytest.raises(PromptError, match="is no OME-Zarr"):
        write_ome_zarr(Export(cases.STACK), path, overwrite=True)
    assert [entry.name for entry in path.iterdir()] == ["beach.jpg"]


def test_zarr_of_format_3_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / "zarr.json").write_text("{}")
    with pytest.raises(PromptError, match="Zarr's format 3"):
        write_ome_zarr(Export(cases.STACK), path)


def test_failing_halfway_leaves_the_older_labels(tmp_path: Path) -> None:
    class Torn(cases.Lazy):
        def __getitem__(self, key: Any) -> Any:
            if key[0] == 2:
                raise OSError(28, "No space left on device")
            return super().__getitem__(key)

    path = tmp_path / "a.zarr"
    write_ome_zarr(Export(cases.STACK), path)
    with pytest.raises(Sam2Error, match=r"Cannot write .*: No space left on device\."):
        write_ome_zarr(Export(Torn(cases.STACK * 2)), path, overwrite=True)
    np.testing.assert_array_equal(pixels(path), cases.STACK)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.zarr"]
