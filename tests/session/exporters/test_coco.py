from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam2.session.export import Export
from napari_sam2.session.exporters.coco import write_coco
from tests.session.exporters import cases
from tests.session.exporters.cases import CASES, described


def written(export: Export, folder: Path) -> dict[str, Any]:
    path = folder / "\u00e9.json"
    write_coco(export, path)
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def decoded(segmentation: dict[str, Any]) -> NDArray[np.bool_]:
    """Turn COCO's run lengths into a mask: background first, column by column."""
    height, width = segmentation["size"]
    counts = segmentation["counts"]
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    assert len(flat) == height * width  # or pycocotools decodes what lay in memory before
    return flat.reshape(width, height).T


def painted(told: dict[str, Any], shape: tuple[int, ...]) -> NDArray[Any]:
    planes = {image["id"]: number for number, image in enumerate(told["images"])}
    labels = np.zeros((len(planes), *shape[-2:]), np.int64)
    for annotation in told["annotations"]:
        mask = decoded(annotation["segmentation"])
        plane = labels[planes[annotation["image_id"]]]
        assert not plane[mask].any()
        plane[mask] = annotation["object_id"]
    return labels.reshape(shape)


@pytest.mark.parametrize("name", CASES)
def test_every_pixel_comes_back(tmp_path: Path, name: str) -> None:
    told = written(Export(CASES[name]), tmp_path)
    found = painted(told, CASES[name].shape)
    np.testing.assert_array_equal(found, cases.positive(CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_boxes_and_areas_are_those_of_the_masks(tmp_path: Path, name: str) -> None:
    for annotation in written(Export(CASES[name]), tmp_path)["annotations"]:
        mask = decoded(annotation["segmentation"])
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation["bbox"]
        assert (y, y + height, x, x + width) == (
            *(rows.min(), rows.max() + 1),
            *(columns.min(), columns.max() + 1),
        )
        assert annotation["area"] == mask.sum()
        assert annotation["iscrowd"] == 0


def test_classes_are_categories_and_what_has_none_is_an_object(tmp_path: Path) -> None:
    told = written(described(cases.STACK), tmp_path)
    names = {entry["id"]: entry["name"] for entry in told["categories"]}
    assert names == {1: "Rand", 2: "Kern \u00df", 3: "object"}
    of_object = {a["object_id"]: names[a["category_id"]] for a in told["annotations"]}
    assert of_object == {11: "Kern \u00df", 300: "object"}


def test_scores_and_names_are_told_where_they_are_known(tmp_path: Path) -> None:
    known, unknown = sorted(
        written(described(cases.PARTS), tmp_path)["annotations"], key=lambda a: a["object_id"]
    )
    assert known["score"] == 0.875
    assert known["attributes"] == {"object_id": 4, "name": "Zelle \u00e9\u2460", "score": 0.875}
    assert "score" not in unknown


def test_each_plane_is_an_image_with_a_name_of_its_own(tmp_path: Path) -> None:
    images = written(described(cases.FILM), tmp_path)["images"]
    assert len({image["file_name"] for image in images}) == 9
    assert images[5]["file_name"] == "B\u00e4r_t0001_z0002.tif"
    assert images[5]["plane"] == {"t": 1, "z": 2}
    assert (images[0]["height"], images[0]["width"]) == (6, 8)


def test_a_single_plane_keeps_the_images_name(tmp_path: Path) -> None:
    (image,) = written(described(cases.RING), tmp_path)["images"]
    assert image["file_name"] == "B\u00e4r.tif"


def test_ids_of_annotations_are_unique_and_begin_at_one(tmp_path: Path) -> None:
    told = written(Export(cases.FILM), tmp_path)
    ids = [annotation["id"] for annotation in told["annotations"]]
    assert ids == list(range(1, 7))


def test_without_objects_there_is_still_a_category(tmp_path: Path) -> None:
    told = written(Export(cases.NOTHING), tmp_path)
    assert told["annotations"] == []
    assert [entry["name"] for entry in told["categories"]] == ["object"]
