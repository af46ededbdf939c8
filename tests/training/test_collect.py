from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_sam2.errors import PromptError
from napari_sam2.training.collect import collect

LABELS = np.zeros((20, 30), np.uint16)
LABELS[4:9, 5:12] = 700


def save_pair(folder: Path, name: str, image: NDArray[np.generic], end: str = ".png") -> None:
    labels = np.broadcast_to(LABELS, (*image.shape[: image.ndim - 2], *LABELS.shape))
    if end == ".png":
        Image.fromarray(image).save(folder / f"{name}.png")
        Image.fromarray(LABELS).save(folder / f"{name.removesuffix('_image')}_label.png")
    else:
        tifffile.imwrite(folder / f"{name}{end}", image, photometric="minisblack")
        tifffile.imwrite(folder / f"{name.removesuffix('_image')}_label{end}", labels)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder with lists, and one with a stack, inside a folder."""
    data = tmp_path / "data"
    (nuclei := data / "nuclei").mkdir(parents=True)
    (stack := data / "stack3d").mkdir()
    grey = np.arange(600, dtype=np.uint16).reshape(20, 30)
    save_pair(nuclei, "fluo_1_image", (grey // 3).astype(np.uint8))
    save_pair(nuclei, "colour_2_image", np.full((20, 30, 3), (200, 10, 90), np.uint8))
    save_pair(nuclei, "fluo_3_image", grey.astype(np.uint8))
    (nuclei / "val.txt").write_text("fluo_1\ncolour_2\n")
    (nuclei / "train.txt").write_text("fluo_3\n")
    save_pair(stack, "cells", np.stack([grey, grey + 600]), ".tif")
    (data / "README.txt").write_text("Not a list.\n")
    return data


def test_lists_choose_pictures_and_other_folders_are_taken_whole(data: Path) -> None:
    collected = collect(data, "val")
    named = {folder: [(p.name, p.kind) for p in found] for folder, found in collected.items()}
    assert named == {
        "nuclei": [("nuclei/fluo_1", "fluo"), ("nuclei/colour_2", "colour")],
        "stack3d": [("stack3d/cells[0]", "stack3d"), ("stack3d/cells[1]", "stack3d")],
    }
    for picture in (p for found in collected.values() for p in found):
        assert picture.image.shape == (20, 30, 3)
        assert picture.image.dtype == np.uint8
        assert picture.labels.dtype == np.int32
        assert set(np.unique(picture.labels)) == {0, 700}


def test_a_folder_of_pictures_can_be_named_itself(data: Path) -> None:
    assert list(collect(data / "nuclei", "train")) == ["nuclei"]
    assert [p.name for p in collect(data / "stack3d", "val")["stack3d"]] == [
        "stack3d/cells[0]",
        "stack3d/cells[1]",
    ]


def test_eight_bits_are_kept_as_they_are(data: Path) -> None:
    fluo, colour = collect(data, "val")["nuclei"]
    assert np.array_equal(fluo.image[..., 0], np.arange(600).reshape(20, 30) // 3)
    assert tuple(colour.image[0, 0]) == (200, 10, 90)


def test_all_planes_of_a_stack_are_shown_between_the_same_limits(data: Path) -> None:
    first, second = collect(data, "val")["stack3d"]
    assert first.image.min() == 0
    assert second.image.max() == 255
    assert abs(int(first.image.max()) - 128) <= 1
    assert np.array_equal(first.image[..., 0], first.image[..., 2])


def test_pictures_to_learn_from_are_not_scored_by_a_slip_of_the_pen(data: Path) -> None:
    with pytest.raises(PromptError, match=r"vall\.txt cannot be read.*train, val"):
        collect(data, "vall")


def test_a_file_that_is_missing_is_named(data: Path) -> None:
    (data / "nuclei" / "fluo_1_image.png").unlink()
    with pytest.raises(PromptError, match="fluo_1_image and fluo_1_label"):
        collect(data, "val")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: Image.fromarray(LABELS[:5]).save(folder / "fluo_1_label.png"),
        lambda folder: Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(
            folder / "fluo_1_label.png"
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused(data: Path, spoil: Callable[[Path], None]) -> None:
    spoil(data / "nuclei")
    with pytest.raises(PromptError, match=r"fluo_1_label\.png must be grey and as large"):
        collect(data, "val")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: None])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "nothing")
    with pytest.raises(PromptError, match="found none in"):
        collect(tmp_path / "nothing", "val")
