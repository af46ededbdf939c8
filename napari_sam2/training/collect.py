"""The labelled pictures under a folder, planes of stacks and movies among them.

A picture is a pair of files, `NAME_image.tif` (or `NAME.tif`) and `NAME_label.tif`; `.png` does as
well. A folder with lists, such as `val.txt`, gives the pictures that the list names, of the kind
that their names begin with: `fluo_0001` is of the kind "fluo". A folder without lists gives all its
pictures, and they are of the kind of its own name. Folders inside it are looked into likewise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.image_files import read_planes
from napari_sam2.session.pixels import as_plane, to_unit, value_range
from napari_sam2.training.data import Picture

_SUFFIXES = (".tif", ".tiff", ".png")
_LABEL = "_label"


def collect(folder: Path, split: str) -> dict[str, list[Picture]]:
    """Read the pictures of a folder and of those inside it, each plane as one picture.

    Parameters
    ----------
    folder : Path
    split : str
        Which list is taken where there are lists.

    Returns
    -------
    dict
        By the name of the folder that holds the pictures.

    Raises
    ------
    PromptError
        If there are no pictures, a list or a file of a pair is missing, or labels do not fit.
    """
    collected: dict[str, list[Picture]] = {}
    for inside in _folders(folder):
        names = _names(inside, split)
        for name in names:
            kind = name.split("_")[0] if _lists(inside) else inside.resolve().name
            pictures = collected.setdefault(inside.resolve().name, [])
            pictures += _read_pair(inside, name, kind)
    if not collected:
        raise PromptError(
            f"Evaluating needs labelled pictures, found none in {folder}. Give a folder with "
            f"NAME_image.png and NAME_label.png (or .tif), and {split}.txt if not all are meant."
        )
    return collected


def read_pair(image_path: Path, label_path: Path, name: str, kind: str) -> Iterator[Picture]:
    """Read a picture and its labels, each plane as one picture; of several, the name tells which.

    Raises
    ------
    PromptError
        If a file cannot be read, or the labels do not fit.
    """
    images, labels = read_planes(image_path), read_planes(label_path)
    if labels.ndim != 3 or labels.shape != images.shape[:3]:
        raise PromptError(
            f"{label_path.name} must be grey and as large as {image_path.name}, "
            f"{images.shape[:3]}, got shape {labels.shape}. Save one integer per object, 0 for the "
            "background."
        )
    colours = _as_colours(images)
    for index, (image, plane) in enumerate(zip(colours, labels, strict=True)):
        place = name if len(labels) == 1 else f"{name}[{index}]"
        yield Picture(place, kind, image, plane.astype(np.int32))


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    if folder.is_dir():
        yield from sorted(f for f in folder.iterdir() if f.is_dir() and f.name[0] not in "._")


def _names(folder: Path, split: str) -> list[str]:
    chosen, lists = folder / f"{split}.txt", _lists(folder)
    if chosen.is_file():
        return chosen.read_text(encoding="utf-8").split()
    if lists:
        raise PromptError(
            f"{chosen} cannot be read. Name one of the lists that are there: "
            f"{', '.join(sorted(path.stem for path in lists))}."
        )
    labels = (path for suffix in _SUFFIXES for path in folder.glob(f"*{_LABEL}{suffix}"))
    return sorted({path.stem.removesuffix(_LABEL) for path in labels})


def _lists(folder: Path) -> list[Path]:
    """Give the text files that name pictures: no README is taken for one."""
    return [path for path in folder.glob("*.txt") if _begins_with_a_name(path)]


def _begins_with_a_name(path: Path) -> bool:
    words = path.read_text(encoding="utf-8", errors="replace").split(maxsplit=1)
    return bool(words) and _find(path.parent, words[0] + _LABEL) is not None


def _read_pair(folder: Path, name: str, kind: str) -> Iterator[Picture]:
    image_path = _find(folder, f"{name}_image") or _find(folder, name)
    label_path = _find(folder, name + _LABEL)
    if image_path is None or label_path is None:
        raise PromptError(
            f"{folder / name} must be a pair of files, {name}_image and {name}_label, ending with "
            f"{', '.join(_SUFFIXES)}. One of them is missing."
        )
    yield from read_pair(image_path, label_path, f"{folder.name}/{name}", kind)


def _as_colours(images: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Show all planes between the same limits, as a viewer does: (N, H, W, 3)."""
    tall = as_plane(images.reshape(-1, *images.shape[2:]))  # limits are chosen for one plane
    shown = (to_unit(tall, value_range(tall)) * 255).round().astype(np.uint8)
    if shown.ndim == 2:
        shown = np.repeat(shown[..., None], 3, axis=-1)
    return np.reshape(shown, (*images.shape[:3], 3))


def _find(folder: Path, stem: str) -> Path | None:
    files = (folder / f"{stem}{suffix}" for suffix in _SUFFIXES)
    return next((file for file in files if file.is_file()), None)
