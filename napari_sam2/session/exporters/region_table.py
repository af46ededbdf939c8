"""A table of measurements: one row for each object, and for each time that it is seen."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.axis_names import short_unit
from napari_sam2.session.export import Export, check_holdable
from napari_sam2.session.exporters.whole_file import written_whole
from napari_sam2.session.objects import ObjectRecord
from napari_sam2.session.records import records_of

_SHAPE = ("axis_major_length", "axis_minor_length")
_SHAPE_OF_A_PLANE = ("eccentricity", "solidity")


def write_region_table(export: Export, path: Path, *, overwrite: bool = False) -> None:
    """Write a CSV file, UTF-8, with a header.

    Raises
    ------
    PromptError
        If a file is there and may not be overwritten.
    Sam2Error
        If it cannot be written.
    """
    table = _Table(export)
    with (
        written_whole(path, overwrite=overwrite) as unfinished,
        unfinished.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, table.columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table.rows())


class _Table:
    """Measures one object after the other, in the box around it: never the whole volume."""

    def __init__(self, export: Export) -> None:
        self._export = export
        letters = export.letters
        self._outside = [axis for axis, letter in enumerate(letters) if letter in "tc"]
        self._space = [axis for axis, letter in enumerate(letters) if letter in "zyx"]
        self._space_letters = [letters[axis] for axis in self._space]
        self._sizes = np.array([export.pixel_sizes[axis] for axis in self._space])
        units = {short_unit(export.axis_units[axis]) for axis in self._space}
        self._unit = units.pop() if len(units) == 1 else ""

    @property
    def columns(self) -> list[str]:
        letters = self._space_letters
        return [
            *("label", "name", "class", "score"),
            *(self._export.letters[axis] for axis in self._outside),
            *("planes", "pixels", "size", "size_unit"),
            *(f"centroid_{letter}_pixels" for letter in letters),
            *(f"centroid_{letter}" for letter in letters),
            *(f"bbox_{letter}_{end}" for end in ("start", "stop") for letter in letters),
            *_SHAPE,
            *_SHAPE_OF_A_PLANE,
            *self._intensity_columns(),
            "unit",
        ]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give the rows, in order of the labels."""
        for record in records_of(self._export.turned).values():
            spans = [range(record.start[axis], record.stop[axis]) for axis in self._outside]
            for where in np.ndindex(*(len(span) for span in spans)):
                at = [span[step] for span, step in zip(spans, where, strict=True)]
                row = self._row(record, at)
                if row:
                    yield row

    def _row(self, found: ObjectRecord, at: list[int]) -> dict[str, Any]:
        """Measure an object at one time; give nothing if it is not there."""
        check_holdable(found)
        box: list[int | slice] = [
            slice(*ends) for ends in zip(found.start, found.stop, strict=True)
        ]
        for axis, index in zip(self._outside, at, strict=True):
            box[axis] = index
        mask = self._export.turned[tuple(box)] == found.object_id
        if not mask.any():
            return {}
        corner = np.array([found.start[axis] for axis in self._space])
        inside = np.argwhere(mask)
        start, stop = inside.min(axis=0), inside.max(axis=0) + 1
        centroid = inside.mean(axis=0) + corner
        near = mask[tuple(slice(*ends) for ends in zip(start, stop, strict=True))]
        letters = self._space_letters
        return {
            **self._identity(found.object_id),
            **{self._export.letters[axis]: i for axis, i in zip(self._outside, at, strict=True)},
            "planes": int(near.any(axis=(-2, -1)).sum()),
            "pixels": len(inside),
            "size": len(inside) * float(self._sizes.prod()),
            "size_unit": f"{self._unit}^{len(letters)}" if self._unit else "",
            **_named("centroid_{}_pixels", letters, centroid),
            **_named("centroid_{}", letters, centroid * self._sizes),
            **_named("bbox_{}_start", letters, start + corner),
            **_named("bbox_{}_stop", letters, stop + corner),
            **_shape(near, self._sizes),
            **self._intensity(tuple(box), mask),
            "unit": self._unit,
        }

    def _identity(self, object_id: int) -> dict[str, Any]:
        record = self._export.record(object_id)
        score = "" if math.isnan(record.score) else record.score
        return {
            "label": object_id,
            "name": record.name,
            "class": record.class_name,
            "score": score,
        }

    def _intensity_columns(self) -> list[str]:
        image = self._export.turned_intensity
        if image is None:
            return []
        is_grey = len(image.shape) == len(self._export.shape)
        ends = [""] if is_grey else [f"_{number}" for number in range(image.shape[-1])]
        return [f"intensity_{kind}{end}" for kind in ("mean", "max") for end in ends]

    def _intensity(self, box: tuple[int | slice, ...], mask: NDArray[np.bool_]) -> dict[str, Any]:
        image = self._export.turned_intensity
        if image is None:
            return {}
        pixels = image[box][mask]  # (N,) or (N, C)
        means, largest = pixels.mean(axis=0, dtype=np.float64), pixels.max(axis=0)
        values = [*np.ravel(means).tolist(), *np.ravel(largest).tolist()]
        return dict(zip(self._intensity_columns(), values, strict=True))


def _named(pattern: str, letters: list[str], values: NDArray[Any]) -> dict[str, Any]:
    return {
        pattern.format(letter): value
        for letter, value in zip(letters, values.tolist(), strict=True)
    }


def _shape(mask: NDArray[np.bool_], sizes: NDArray[np.float64]) -> dict[str, float]:
    """Measure the shape: of a plane, if the object is on a single one, else of the volume.

    Lengths are those of the ellipse or ellipsoid with the same second moments, as scikit-image
    has them; it cannot always say them of thin volumes, whose rounded moments are below 0.
    Eccentricity and solidity are those of a plane; a volume has none of them.
    """
    is_flat = mask.ndim == 2 or len(mask) == 1
    plane = mask.reshape(mask.shape[-2:]) if is_flat else mask
    points = np.argwhere(plane) * sizes[-plane.ndim :]
    moments = np.cov(points, rowvar=False, bias=True) if len(points) > 1 else np.zeros((2, 2))
    variances = np.linalg.eigvalsh(moments).clip(min=0)
    lengths = 2 * np.sqrt((plane.ndim + 2) * variances)
    shape = dict(zip(_SHAPE, (float(lengths[-1]), float(lengths[0])), strict=True))
    if not is_flat:
        return shape
    eccentricity = math.sqrt(1 - variances[0] / variances[1]) if variances[1] > 0 else 0.0
    values = (eccentricity, _solidity(plane))
    return shape | dict(zip(_SHAPE_OF_A_PLANE, values, strict=True))


def _solidity(plane: NDArray[np.bool_]) -> float:
    from skimage.measure import regionprops  # slow to import

    (region,) = regionprops(plane.astype(np.uint8))
    return float(region.solidity)
