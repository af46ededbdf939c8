"""Labels as OME-Zarr (OME-NGFF 0.4): a store of their own, or labels added to an image's store."""

from __future__ import annotations

import colorsys
import math
import os
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.session.axis_names import NGFF_TYPES, full_unit
from napari_sam2.session.export import Export
from napari_sam2.session.zarr_store import create_array, open_group

VERSION = "0.4"
LABELS_NAME = "objects"
_SMALLEST_LEVEL = 512
_ORDER = "tczyx"  # NGFF wants time, channel, space
_GOLDEN = 0.618033988749895  # hues this far apart stay apart


def write_ome_zarr(
    export: Export,
    path: Path,
    *,
    overwrite: bool = False,
    name: str = LABELS_NAME,
    levels: int | None = None,
) -> None:
    """Write the labels to `path/labels/name`, plane by plane, as uint32 and as a pyramid.

    Parameters
    ----------
    export : Export
        What.
    path : Path
        A folder that is not there yet, or an OME-Zarr 0.4: what it holds is kept.
    overwrite : bool
        Whether labels of the same name may be replaced. Nothing else is ever removed.
    name : str
        Of the labels.
    levels : int, optional
        Levels of the pyramid, each half as large; by default as many as the image in the store
        has, or down to 512 pixels.

    Raises
    ------
    PromptError
        If `path` is something else, or has labels of this name which may not be replaced.
    Sam2Error
        If it cannot be written.
    """
    target = path / "labels" / name
    _check_target(path, target, overwrite=overwrite)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        _write_labels(export, unfinished, path, levels or _level_count(export, path))
        open_group(path)
        group = open_group(path / "labels")
        if target.exists():
            shutil.rmtree(target)
        unfinished.replace(target)
        names = list(group.attrs.get("labels", []))
        group.attrs["labels"] = names if name in names else [*names, name]
    except OSError as error:
        raise Sam2Error(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_target(path: Path, target: Path, *, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise Sam2Error(f"Cannot write {path}: there is no folder {path.parent}. Make it first.")
    if (path / "zarr.json").exists():
        raise PromptError(
            f"{path} is of Zarr's format 3, and labels are written in format 2 (OME-Zarr 0.4). "
            "Choose another name."
        )
    if path.exists() and not (path / ".zgroup").exists():
        raise PromptError(f"{path} is there already and is no OME-Zarr. Choose another name.")
    if target.exists() and not overwrite:
        raise PromptError(
            f"{path} has labels named {target.name} already. Choose another name, or allow "
            "overwriting."
        )


def _write_labels(export: Export, folder: Path, store: Path, levels: int) -> None:
    """Write a group of labels that stands on its own."""
    order = sorted(range(len(export.shape)), key=lambda axis: _ORDER.index(export.letters[axis]))
    arrays = [
        _create_level(export, folder / str(level), order, 2**level) for level in range(levels)
    ]
    values: set[int] = set()
    for part in export.occupied_parts():
        positive = np.maximum(part.pixels, 0)
        values.update(np.unique(positive).tolist())
        place = tuple(part.index[axis] for axis in order[:-2])
        for level, array in enumerate(arrays):
            _put(array, place, part.corner, positive, 2**level)
    attributes = {
        "multiscales": [_multiscale(export, order, levels)],
        "image-label": _image_label(export, sorted(values - {0}), has_image=_has_image(store)),
    }
    open_group(folder).attrs.update(attributes)


def _put(
    array: Any,
    place: tuple[int, ...],
    corner: tuple[int, int],
    pixels: NDArray[Any],
    factor: int,
) -> None:
    """Write every `factor`-th pixel of the plane that lies in a part of it."""
    first = tuple(-(-at // factor) for at in corner)  # in the level
    y, x = (at * factor - begin for at, begin in zip(first, corner, strict=True))
    taken = pixels[y::factor, x::factor]
    if taken.size:
        box = (slice(at, at + size) for at, size in zip(first, taken.shape, strict=True))
        key = (*place, *box)
        array[key] = taken


def _create_level(export: Export, folder: Path, order: Sequence[int], factor: int) -> Any:
    shape = [export.shape[axis] for axis in order]
    shape[-2:] = [math.ceil(size / factor) for size in shape[-2:]]
    is_wide = np.dtype(export.labels.dtype) == np.uint64
    return create_array(folder, shape, np.dtype("uint64" if is_wide else "uint32"))


def _multiscale(export: Export, order: Sequence[int], levels: int) -> dict[str, Any]:
    axes, sizes = [], [export.pixel_sizes[axis] for axis in order]
    for axis in order:
        letter, unit = export.letters[axis], full_unit(export.axis_units[axis])
        axes.append({"name": letter, "type": NGFF_TYPES[letter]} | ({"unit": unit} if unit else {}))
    return {
        "version": VERSION,
        "name": export.image_name,
        "type": "nearest",
        "axes": axes,
        "datasets": [_dataset(level, sizes) for level in range(levels)],
    }


def _dataset(level: int, sizes: list[float]) -> dict[str, Any]:
    """Every 2**level-th pixel is taken: the first one stays where it is, so nothing is shifted."""
    scale = [*sizes[:-2], *(size * 2**level for size in sizes[-2:])]
    return {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}


def _image_label(export: Export, values: list[int], *, has_image: bool) -> dict[str, Any]:
    source = {"source": {"image": "../../"}} if has_image else {}
    return {
        "version": VERSION,
        "colors": [{"label-value": value, "rgba": _rgba(export, value)} for value in values],
        "properties": [_label_properties(export, value) for value in values],
        **source,
    }


def _rgba(export: Export, value: int) -> list[int]:
    """Give the colour of the object's class, or else one of the object's own."""
    color = export.class_color(export.record(value).class_name)
    if color is None:
        rgb = colorsys.hsv_to_rgb(value * _GOLDEN % 1, 0.75, 0.95)
        return [*(round(255 * part) for part in rgb), 255]
    return [*bytes.fromhex(color.removeprefix("#")), 255]


def _label_properties(export: Export, value: int) -> dict[str, Any]:
    record = export.record(value)
    known: dict[str, Any] = {"label-value": value}
    known |= {"name": record.name} if record.name else {}
    known |= {"class": record.class_name} if record.class_name else {}
    return known if math.isnan(record.score) else known | {"score": record.score}


def _level_count(export: Export, store: Path) -> int:
    """Give the number of levels of the image in the store, which NGFF asks for, or our own."""
    if _has_image(store):
        return len(open_group(store).attrs["multiscales"][0]["datasets"])
    largest = max(export.shape[-2:])
    return next(level for level in count(1) if largest / 2 ** (level - 1) <= _SMALLEST_LEVEL)


def _has_image(store: Path) -> bool:
    return (store / ".zgroup").exists() and "multiscales" in open_group(store).attrs
