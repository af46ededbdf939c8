from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sam2.errors import PromptError
from napari_sam2.training.pairs import read_pairs

LABELS = np.zeros((20, 30), np.uint16)
LABELS[4:9, 5:12] = 700


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    images, labels = tmp_path / "raw", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    return images, labels


def save(path: Path, array: np.ndarray) -> None:
    if path.suffix == ".tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    else:
        Image.fromarray(array).save(path)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("cell.png", "cell.tif"),
        ("cell.jpg", "cell_label.png"),
        ("cell_image.tif", "cell_labels.tif"),
        ("cell.v2.tif", "cell.v2_masks.tif"),
        ("cell.tif", "Cell_Mask.tif".replace("Cell", "cell")),
    ],
)
def test_files_are_paired_by_name(folders: tuple[Path, Path], image: str, label: str) -> None:
    images, labels = folders
    save(images / image, np.full((20, 30), 90, np.uint8))
    save(labels / label, LABELS)
    save(images / "unlabelled.png", np.zeros((9, 9), np.uint8))
    (images / ".hidden").write_text("")
    (picture,) = read_pairs(images, labels)
    assert picture.name == image.split("_")[0].removesuffix(Path(image).suffix)
    assert picture.image.shape == (20, 30, 3)
    assert np.array_equal(picture.labels, LABELS)


def test_both_may_be_in_one_folder(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((20, 30), np.uint8))
    save(tmp_path / "a_label.png", LABELS)
    save(tmp_path / "b_image.png", np.zeros((20, 30), np.uint8))
    save(tmp_path / "b_label.png", LABELS)
    assert [picture.name for picture in read_pairs(tmp_path, tmp_path)] == ["a", "b"]


def test_planes_with_objects_are_pictures(folders: tuple[Path, Path]) -> None:
    images, labels = folders
    save(images / "stack.tif", np.zeros((3, 20, 30), np.uint8))
    save(labels / "stack.tif", np.stack([LABELS, 0 * LABELS, LABELS]))
    assert [p.name for p in read_pairs(images, labels)] == ["stack[0]", "stack[2]"]


def test_what_does_not_fit_is_told_in_one_sentence(folders: tuple[Path, Path]) -> None:
    images, labels = folders
    with pytest.raises(PromptError, match=r"got no files in .* and no files in"):
        read_pairs(images, labels)
    with pytest.raises(PromptError, match="There is no folder"):
        read_pairs(images / "no", labels)
    save(images / "a.png", np.zeros((20, 30), np.uint8))
    save(labels / "b.tif", LABELS)
    with pytest.raises(PromptError, match=r"of the same name, got a\.png in .* and b\.tif in"):
        read_pairs(images, labels)
    save(labels / "a.tif", LABELS[:10])
    with pytest.raises(PromptError, match=r"a\.tif must be grey and as large as a\.png"):
        read_pairs(images, labels)
    save(labels / "a.tif", LABELS * 0)
    with pytest.raises(PromptError, match="there is no object to learn"):
        read_pairs(images, labels)
    save(labels / "a.tif", np.where(LABELS, 255, 0).astype(np.uint8))
    with pytest.raises(PromptError, match="0 and 255 only"):
        read_pairs(images, labels)
    save(labels / "a_mask.tif", LABELS)
    with pytest.raises(PromptError, match=r"a\.tif and a_mask\.tif in .* would both be 'a'"):
        read_pairs(images, labels)
