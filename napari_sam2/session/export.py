"""Labels with all that is known about them, ready to be written in one format or another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from napari_sam2.errors import PromptError
from napari_sam2.session.axis_names import MAX_AXES, axis_letters
from napari_sam2.session.objects import ObjectClass, ObjectRecord
from napari_sam2.session.parts import LARGE_BOX, LARGE_PLANE
from napari_sam2.session.records import records_of
from napari_sam2.session.runs import LabelArray, PlanePart, occupied_parts
from napari_sam2.session.turned import TurnedArray


@dataclass(frozen=True)
class Format:
    """A format to export to.

    Attributes
    ----------
    name : str
        As on the command line.
    title : str
        For people.
    suffix : str
        What the name of the file ends with.
    writer : str
        Module and function, imported when it is needed.
    """

    name: str
    title: str
    suffix: str
    writer: str


FORMATS = {
    entry.name: entry
    for entry in (
        Format("tiff", "Label image (TIFF)", ".tif", "label_tiff:write_label_tiff"),
        Format("ome-zarr", "OME-Zarr labels", ".zarr", "ome_zarr:write_ome_zarr"),
        Format("coco", "COCO instances (JSON)", ".json", "coco:write_coco"),
        Format("geojson", "GeoJSON for QuPath", ".geojson", "geojson:write_geojson"),
        Format("csv", "Table of measurements (CSV)", ".csv", "region_table:write_region_table"),
    )
}
_MORE_SUFFIXES = {".tiff": "tiff"}


@dataclass(frozen=True, eq=False)
class Export:
    """What is exported. All formats write the plane's axes last: rows, then columns.

    Attributes
    ----------
    labels : integer array, two to five axes
        numpy, or lazy: it is read plane by plane. 0 and below are background.
    objects : mapping of int to ObjectRecord
        What is known of the objects. The pixels decide which objects there are.
    classes : tuple of ObjectClass
        In the user's order.
    scale : tuple of float
        Size of a pixel along each axis; empty for 1 each.
    units : tuple of str
        Of the scale, for each axis: "um", "micrometer", ...; empty for pixels.
    axis_labels : tuple of str
        The user's names of the axes; empty for the usual ones: (t, c,) z, y, x.
    image_name : str
        What the labels belong to.
    intensity : array or None
        The image, of the shape of the labels, or with one more axis at the end for colours.
    axes : (int, int)
        Which axes are the rows and the columns of planes.

    Raises
    ------
    PromptError
        If these do not fit each other.
    """

    labels: LabelArray
    objects: Mapping[int, ObjectRecord] = field(default_factory=dict)
    classes: tuple[ObjectClass, ...] = ()
    scale: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    axis_labels: tuple[str, ...] = ()
    image_name: str = "image"
    intensity: LabelArray | None = None
    axes: tuple[int, int] = (-2, -1)

    def __post_init__(self) -> None:
        ndim = len(self.labels.shape)
        if not 2 <= ndim <= MAX_AXES:
            raise PromptError(
                f"Labels are exported with 2 to {MAX_AXES} axes, got shape {self.labels.shape}. "
                "Export a part of them."
            )
        if np.dtype(self.labels.dtype).kind not in "iub":
            raise PromptError(
                f"Labels must be integers, got {self.labels.dtype}. "
                "Convert them: labels.astype('int32')."
            )
        for name in ("scale", "units", "axis_labels"):
            _check_count(name, getattr(self, name), ndim)
        if not all(math.isfinite(size) and size > 0 for size in self.scale):
            raise PromptError(f"The scale must be above 0 along every axis, got {self.scale}.")
        if self.intensity is not None:
            _check_intensity(self.intensity.shape, self.labels.shape)

    @property
    def order(self) -> tuple[int, ...]:
        """The axes of the labels in the order in which they are written: the plane's last."""
        ndim = len(self.labels.shape)
        plane = tuple(axis % ndim for axis in self.axes)
        return (*(axis for axis in range(ndim) if axis not in plane), *plane)

    @cached_property
    def turned(self) -> TurnedArray:
        """The labels, rows and columns last: index it by all axes but these for a plane."""
        return TurnedArray(self.labels, self.order)

    @cached_property
    def turned_intensity(self) -> TurnedArray | None:
        """The image, turned as the labels are; colours stay last."""
        if self.intensity is None:
            return None
        colour = range(len(self.order), len(self.intensity.shape))
        return TurnedArray(self.intensity, (*self.order, *colour))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is written; the last two are (H, W)."""
        return self.turned.shape

    @property
    def letters(self) -> tuple[str, ...]:
        """A letter for each axis that is written, such as ("t", "z", "y", "x")."""
        names = self.axis_labels or ("",) * len(self.order)
        return axis_letters([names[axis] for axis in self.order])

    @property
    def pixel_sizes(self) -> tuple[float, ...]:
        """The scale along each axis that is written."""
        return tuple(float(self.scale[axis]) if self.scale else 1.0 for axis in self.order)

    @property
    def axis_units(self) -> tuple[str, ...]:
        """The unit of each axis that is written; empty where there is none."""
        return tuple(self.units[axis] if self.units else "" for axis in self.order)

    def occupied_parts(self) -> Iterator[PlanePart]:
        """Give each plane that has a label; of large planes, such parts."""
        return occupied_parts(self.turned)

    def whole_objects(self) -> Iterator[PlanePart]:
        """Give each plane that has a label; of large planes, each object by itself in its box.

        Raises
        ------
        PromptError
            If an object is too large to be held.
        """
        if self.shape[-2] * self.shape[-1] <= LARGE_PLANE:
            yield from self.occupied_parts()
            return
        for record in records_of(self.turned).values():
            (y0, x0), (y1, x1) = record.start[-2:], record.stop[-2:]
            check_holdable(record)
            for index in product(*map(range, record.start[:-2], record.stop[:-2])):
                key: tuple[int | slice, ...] = (*index, slice(y0, y1), slice(x0, x1))
                box = self.turned[key]
                own = np.where(box == record.object_id, box, 0)
                if own.any():
                    yield PlanePart(index, (y0, x0), own)

    def record(self, object_id: int) -> ObjectRecord:
        """Give what is known of an object; of one that is only painted, nothing but its id."""
        nowhere = (0,) * len(self.order)
        return self.objects.get(object_id) or ObjectRecord(object_id, 0, nowhere, nowhere)

    def class_color(self, class_name: str) -> str | None:
        """Give a class's color as "#rrggbb"; None if there is no such class."""
        return next((entry.color for entry in self.classes if entry.name == class_name), None)

    def largest_value(self) -> int:
        """Find the largest label, plane by plane; 0 for none."""
        return max((int(part.pixels.max()) for part in self.occupied_parts()), default=0)


def write(export: Export, path: Path, format: str = "", *, overwrite: bool = False) -> None:
    """Write labels in a format.

    Parameters
    ----------
    export : Export
        What.
    path : Path
        Where: a file, or for OME-Zarr a folder, which may be an OME-Zarr image that gets labels.
    format : str
        A name in `FORMATS`; empty for what the path ends with.
    overwrite : bool
        Whether an older file, or older labels in an OME-Zarr, may be replaced.

    Raises
    ------
    PromptError
        If there is no such format, something is there already, or the labels do not fit it.
    Sam2Error
        If it cannot be written.
    """
    path = Path(path)
    module, function = find_format(path, format).writer.split(":")
    writer = getattr(import_module(f"napari_sam2.session.exporters.{module}"), function)
    writer(export, path, overwrite=overwrite)


def find_format(path: Path, name: str = "") -> Format:
    """Give the format of a name, or of what a path ends with."""
    by_suffix = {entry.suffix: entry.name for entry in FORMATS.values()} | _MORE_SUFFIXES
    found = name or by_suffix.get(path.suffix.lower(), "")
    if found in FORMATS:
        return FORMATS[found]
    if name:
        raise PromptError(f"There is no format {name!r}. Choose one of {', '.join(FORMATS)}.")
    raise PromptError(
        f"{path.name} does not tell the format. End it with {', '.join(by_suffix)}, or name one of "
        f"{', '.join(FORMATS)}."
    )


def check_holdable(record: ObjectRecord) -> None:
    """Raise `PromptError` if the box around an object is too large to be held."""
    sizes = tuple(b - a for a, b in zip(record.start, record.stop, strict=True))
    if math.prod(sizes) > LARGE_BOX:
        raise PromptError(
            f"This format needs each object as a whole, and object {record.object_id} reaches over "
            f"{' x '.join(str(size) for size in sizes)} pixels. Export a TIFF or OME-Zarr."
        )


def _check_count(name: str, values: tuple[Any, ...], ndim: int) -> None:
    if values and len(values) != ndim:
        raise PromptError(
            f"{name} must have one entry for each of the {ndim} axes of the labels, or none, got "
            f"{len(values)}."
        )


def _check_intensity(shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    if shape[: len(wanted)] != tuple(wanted) or len(shape) > len(wanted) + 1:
        raise PromptError(
            f"The image must have the shape of the labels, {tuple(wanted)}, with at most one axis "
            f"more for colours, got {tuple(shape)}."
        )
