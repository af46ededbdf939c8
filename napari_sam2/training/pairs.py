"""Labelled pictures in two folders: a picture and its labels are known by their name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_sam2.errors import PromptError
from napari_sam2.training.collect import read_pair
from napari_sam2.training.data import Picture

# What may follow the name that both have; the longer first.
_ENDS_OF_LABELS = ("_labels", "_label", "_masks", "_mask")
_ENDS_OF_IMAGES = ("_image", "_img")
_SHOWN = 3  # names in a message


def read_pairs(images: Path, labels: Path) -> list[Picture]:
    """Read the pictures of a folder that have labels in another, or in the same one.

    `cell.tif` or `cell_image.tif` belongs to `cell.png`, `cell_label.png`, `cell_labels.png`,
    `cell_mask.png` or `cell_masks.png`; any image that `image_files` reads will do. Pictures
    without labels are left out.

    Parameters
    ----------
    images, labels : Path
        Folders.

    Returns
    -------
    list of Picture
        Each plane is one picture; those without an object are left out.

    Raises
    ------
    PromptError
        If a folder is missing, there are no pairs, two files have one name, labels do not fit, or
        there is no object.
    """
    same = images.resolve() == labels.resolve()
    pictures_by_name = _by_name(images, _ENDS_OF_IMAGES, _ENDS_OF_LABELS if same else ())
    labels_by_name = _by_name(labels, _ENDS_OF_LABELS, _ENDS_OF_IMAGES, only=same)
    common = sorted(pictures_by_name.keys() & labels_by_name.keys())
    if not common:
        raise PromptError(
            f"Training needs pictures and labels of the same name, got {_some(pictures_by_name)} "
            f"in {images} and {_some(labels_by_name)} in {labels}. Name the labels of cell.tif "
            "cell.tif or cell_label.tif."
        )
    pictures = [
        picture
        for name in common
        for picture in read_pair(pictures_by_name[name], labels_by_name[name], name, "own")
        if (picture.labels > 0).any()
    ]
    if not pictures:
        raise PromptError(
            f"No label in {labels} is above 0, so there is no object to learn. Save one integer "
            "per object, 0 for the background."
        )
    _check_are_objects(pictures)
    return pictures


def _by_name(
    folder: Path, ends: tuple[str, ...], others: tuple[str, ...], only: bool = False
) -> dict[str, Path]:
    """List a folder's files by what is left of their names without an end; some are not meant."""
    if not folder.is_dir():
        raise PromptError(f"There is no folder {folder}. Check the path.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = path.stem
        end = next((end for end in ends if stem.lower().endswith(end)), "")
        is_other = stem.lower().endswith(others) if others else False
        if not path.is_file() or path.name.startswith(".") or is_other or (only and not end):
            continue
        name = stem[: len(stem) - len(end)]
        if name in found:
            raise PromptError(
                f"{found[name].name} and {path.name} in {folder} would both be {name!r}. Move one "
                "away."
            )
        found[name] = path
    return found


def _check_are_objects(pictures: list[Picture]) -> None:
    """Refuse masks of 0 and 255 that hold all objects as one."""
    values = np.unique(np.concatenate([np.unique(p.labels) for p in pictures]))
    if values[values > 0].tolist() == [255]:
        raise PromptError(
            "The labels are 0 and 255 only, which makes all objects of a picture one. Save another "
            "integer for each object."
        )


def _some(names: dict[str, Path]) -> str:
    shown = ", ".join(path.name for path in list(names.values())[:_SHOWN])
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{shown}{rest}" if shown else "no files"
