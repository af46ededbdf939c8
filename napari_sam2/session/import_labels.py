"""Label images from disk: checked, so that what comes back can be annotated further."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_sam2.errors import PromptError
from napari_sam2.image_files import read_stack
from napari_sam2.session.parts import LARGE_BOX
from napari_sam2.session.runs import LabelArray
from napari_sam2.session.turned import FittedArray
from napari_sam2.session.zarr_store import open_to_read

_ZARR_FILES = (".zgroup", ".zarray", "zarr.json")


def read_labels(path: Path, shape: Sequence[int] | None = None) -> LabelArray:
    """Read labels: TIFF, PNG or what else Pillow opens, NPY, or OME-Zarr.

    A large OME-Zarr stays where it is, and is read when a part is asked for.

    Parameters
    ----------
    path : Path
        A file, or the folder of an OME-Zarr image with labels, of one of its labels, or of an
        array.
    shape : sequence of int, optional
        The shape that is wanted; axes of length 1 may be missing or too many.

    Returns
    -------
    integer array
        0 is background.

    Raises
    ------
    PromptError
        If it cannot be read, holds no labels, or has another shape.
    """
    path = Path(path)
    labels = _read(path)
    if isinstance(labels, np.ndarray) and labels.dtype == bool:
        labels = labels.astype(np.uint8)
    _check(labels, path)
    return labels if shape is None else _fitted(labels, tuple(shape), path)


def _read(path: Path) -> LabelArray:
    if not path.exists():
        raise PromptError(f"There are no labels at {path}. Check the path.")
    if path.is_dir():
        return _read_zarr(path)
    if path.suffix.lower() == ".npy":
        return _read_npy(path)
    indices = _read_palette(path)
    return read_stack(path) if indices is None else indices


def _read_npy(path: Path) -> NDArray[Any]:
    try:
        labels: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise PromptError(f"Cannot read {path} as an array: {error}") from error
    return labels


def _read_palette(path: Path) -> NDArray[np.uint8] | None:
    """Read a PNG with a palette: its labels are the indices, not the colours."""
    if path.suffix.lower() != ".png":
        return None
    try:
        with Image.open(path) as file:
            return np.array(file) if file.mode == "P" else None
    except (OSError, SyntaxError, ValueError) as error:
        raise PromptError(f"Cannot read {path} as an image: {error}") from error


def _read_zarr(path: Path) -> LabelArray:
    folder = path
    if not _is_zarr(path):
        raise PromptError(f"{path} is a folder, and no OME-Zarr. Choose a file or an OME-Zarr.")
    labels = _labels_group(path)
    if labels is not None:
        folder = path / "labels" / labels
    found = open_to_read(folder)
    if not hasattr(found, "shape"):
        found = found[_first_dataset(found, folder)]
    is_large = prod(found.shape) * np.dtype(found.dtype).itemsize > LARGE_BOX
    read: LabelArray = found if is_large else np.asarray(found[...])
    return read


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _ZARR_FILES)


def _labels_group(path: Path) -> str | None:
    """Give the name of the labels of an image's store; None if it is none, or has none."""
    if not _is_zarr(path / "labels"):
        return None
    names = list(_metadata(open_to_read(path / "labels")).get("labels", []))
    if len(names) != 1:
        listed = ", ".join(str(name) for name in names) or "none"
        raise PromptError(
            f"{path} must hold one set of labels, got {listed}. Choose one: {path / 'labels'}/NAME."
        )
    return str(names[0])


def _first_dataset(group: Any, folder: Path) -> str:
    """Give the path of the level of full size."""
    attributes = _metadata(group)
    try:
        return str(attributes["multiscales"][0]["datasets"][0]["path"])
    except (KeyError, IndexError, TypeError) as error:
        raise PromptError(
            f"{folder} is a Zarr group without OME-Zarr's description. Choose the folder of an "
            "array in it."
        ) from error


def _metadata(group: Any) -> dict[str, Any]:
    """Give OME-Zarr's metadata: since version 0.5 it has a place of its own."""
    attributes = dict(group.attrs)
    nested: dict[str, Any] = attributes.get("ome", attributes)
    return nested


def _check(labels: LabelArray, path: Path) -> None:
    if np.dtype(labels.dtype).kind not in "iu":
        raise PromptError(
            f"Labels must be integers, got {labels.dtype} in {path}. Save them as integers."
        )
    if len(labels.shape) < 2:
        raise PromptError(f"Labels must have two axes or more, got {labels.shape} in {path}.")
    if not isinstance(labels, np.ndarray):
        return  # large: values below 0 are background, here as elsewhere
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise PromptError(
            f"Labels must be 0 or above, got {labels.min()} in {path}. Set them to 0: background."
        )


def _fitted(labels: LabelArray, shape: tuple[int, ...], path: Path) -> LabelArray:
    """Give labels the shape that is wanted, if only axes of length 1 are in the way."""
    if [size for size in labels.shape if size != 1] != [size for size in shape if size != 1]:
        raise PromptError(
            f"The labels must have the image's shape {shape}, got {tuple(labels.shape)} in {path}. "
            "Choose the labels of this image."
        )
    return labels.reshape(shape) if isinstance(labels, np.ndarray) else FittedArray(labels, shape)
