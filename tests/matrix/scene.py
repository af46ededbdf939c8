"""An image with a known shape in it, placed in the world by mathematics of its own.

napari's transforms are given the parts (scale, rotate, ...); where things are is computed here
from those parts, so that neither napari nor the plugin is asked whether it is right.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from tests.matrix.cases import Case

SIZES = {"P": 5, "T": 5, "C": 3, "Z": 7, "Y": 19, "X": 26}
# An L, in fractions of the rows and the columns: no turn and no mirror image of it is the same.
PARTS = ((0.13, 0.13, 0.86, 0.43), (0.57, 0.13, 0.86, 0.83))
INSIDE = (0.71, 0.3)  # where the user clicks
VALUES = {
    "bool": (0, 1),
    "uint8": (30, 200),
    "uint16": (500, 40_000),
    "uint32": (7, 4_000_000_000),
    "int16": (-3000, 12_000),
    "float16": (0.125, 60.0),
    "float32": (-5.5, 1000.25),
    "float64": (-1e6, 2.5e6),
}
COLOUR_VALUES = {"uint8": (30, 200), "uint16": (500, 40_000)}  # of floats (0.1, 0.8)
PLANE_TURN = np.deg2rad(25)


@dataclass(frozen=True)
class Placing:
    """How a layer lies in the world: napari's arguments, and the matrix that they mean.

    Attributes
    ----------
    scale, translate : array, shape (D,)
    rotate, shear : array, shape (D, D)
    affine : array, shape (D + 1, D + 1)
    """

    scale: NDArray[np.float64]
    translate: NDArray[np.float64]
    rotate: NDArray[np.float64]
    shear: NDArray[np.float64]
    affine: NDArray[np.float64]

    @property
    def arguments(self) -> dict[str, Any]:
        """What napari takes."""
        return {
            "scale": self.scale,
            "translate": self.translate,
            "rotate": self.rotate,
            "shear": self.shear,
            "affine": self.affine,
        }

    @property
    def matrix(self) -> NDArray[np.float64]:
        """From data to world, (D + 1, D + 1)."""
        inner = np.eye(len(self.scale) + 1)
        inner[:-1, :-1] = self.rotate @ self.shear @ np.diag(self.scale)
        inner[:-1, -1] = self.translate
        return self.affine @ inner

    def apply_to(self, layer: Layer) -> None:
        """Place a layer that is there already."""
        for name, value in self.arguments.items():
            setattr(layer, name, value)


def placing(name: str, ndim: int, shown: tuple[int, int]) -> Placing:
    """Give a placing by its name, that turns and shears along two axes only."""
    scale, translate = np.ones(ndim), np.zeros(ndim)
    rotate, shear, affine = np.eye(ndim), np.eye(ndim), np.eye(ndim + 1)
    a, b = shown
    if name in ("scaled", "rotated", "sheared", "mixed", "flipped"):
        scale[:] = np.linspace(3, 0.5, ndim) if ndim > 1 else 1
        scale[b] *= 1.7  # pixels that are no squares
    if name in ("moved", "rotated", "affine", "mixed"):
        translate[:] = np.arange(1, ndim + 1) * 7.25 - 10
    if name in ("rotated", "mixed"):
        rotate[np.ix_(shown, shown)] = _turn(PLANE_TURN)
    if name in ("sheared", "mixed"):
        shear[a, b] = 0.4
    if name in ("affine", "mixed"):
        affine[np.ix_(shown, shown)] = [[0.9, 0.25], [-0.35, 1.2]]
        affine[:-1, -1] = np.arange(ndim) * 2.5 + 1
    if name == "flipped":
        scale[b] *= -1
    return Placing(scale, translate, rotate, shear, affine)


class Scene:
    """A viewer with the image of a case in it, its sliders at the plane that has the shape.

    Attributes
    ----------
    case : Case
    viewer : ViewerModel
    image : Image
    shown : (int, int)
        The data axes on screen, in the order of the data.
    index : dict of int to int
        By hidden data axis, where the shape is.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.viewer = ViewerModel()
        self.shape = tuple(SIZES[letter] for letter in case.letters)
        self.world_units = 1000.0 if case.company == "other units" else 1.0  # of a unit of ours
        self._add_company()
        self.ndim = len(self.shape)
        self.offset = max(self.viewer.dims.ndim if len(self.viewer.layers) else 0, self.ndim)
        self.offset -= self.ndim
        self.order = self._order()
        self.shown = tuple(sorted(axis - self.offset for axis in self.order[-2:]))
        self.index = {
            axis: 2 * size // 3 for axis, size in enumerate(self.shape) if axis not in self.shown
        }
        self.placing = placing(case.placing, self.ndim, self.shown)
        self.data = self._data()
        with warnings.catch_warnings():  # napari first looks along the last two axes
            warnings.filterwarnings("ignore", "Non-orthogonal slicing")
            self.image = self._add_image()
            self.look()

    def look(self) -> None:
        """Show the plane with the shape, in two dimensions."""
        self.viewer.dims.ndisplay = 2
        self.viewer.dims.order = self.order
        matrix = self.placing.matrix
        for axis, at in self.index.items():
            world = matrix[axis, axis] * at + matrix[axis, -1]
            self.viewer.dims.set_point(axis + self.offset, world * self.world_units)

    def take_away(self) -> None:
        """Take the image out of its place."""
        placing("identity", self.ndim, self.shown).apply_to(self.image)
        self.image.units = None

    def put_back(self) -> None:
        """Place the image as the case says."""
        self.placing.apply_to(self.image)
        self.image.units = self._units
        self.look()

    @property
    def _units(self) -> str | None:
        return "um" if self.case.company == "other units" else None

    @cached_property
    def parts(self) -> list[NDArray[np.float64]]:
        """The shape: boxes ((y0, x0), (y1, x1)) along the axes on screen, in pixels of the data."""
        size = np.array([self.shape[axis] for axis in self.shown])
        return [np.array(part).reshape(2, 2) * size - 0.5 for part in PARTS]

    @property
    def click(self) -> NDArray[np.float64]:
        """Where the user clicks, in the data of the image."""
        size = np.array([self.shape[axis] for axis in self.shown])
        return self._on_plane(np.array(INSIDE) * size - 0.5)

    @property
    def corners(self) -> NDArray[np.float64]:
        """Corners of the box around the shape, (4, D), in the data of the image."""
        low = np.min([part[0] for part in self.parts], axis=0)
        high = np.max([part[1] for part in self.parts], axis=0)
        around = [(low[0], low[1]), (low[0], high[1]), (high[0], high[1]), (high[0], low[1])]
        return np.array([self._on_plane(np.array(corner)) for corner in around])

    def in_world(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry positions (N, D) in the data of the image to the world, in its own units."""
        matrix = self.placing.matrix
        world: NDArray[np.float64] = positions @ matrix[:-1, :-1].T + matrix[:-1, -1]
        return world

    def from_world(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry positions (N, D) in the world to the data of the image."""
        matrix = np.linalg.inv(self.placing.matrix)
        data: NDArray[np.float64] = positions @ matrix[:-1, :-1].T + matrix[:-1, -1]
        return data

    def depth(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Tell how deep positions (N, D) in the data of the image are in the shape, in pixels.

        Negative outside: there at least as far away from it.
        """
        yx = positions[:, list(self.shown)]
        inside = [np.minimum(yx - low, high - yx).min(axis=1) for low, high in self.parts]
        off = [np.abs(positions[:, axis] - at) < 0.5 for axis, at in self.index.items()]
        is_here = np.all(off, axis=0) if off else np.ones(len(positions), bool)
        return np.where(is_here, np.max(inside, axis=0), -np.inf)

    def _on_plane(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        position = np.zeros(self.ndim)
        position[list(self.shown)] = yx
        for axis, at in self.index.items():
            position[axis] = at
        return position

    def _add_image(self) -> Image:
        case = self.case
        return self.viewer.add_image(
            self.data,
            name="image",
            rgb=bool(case.colours),
            multiscale=case.kind.startswith("multiscale"),
            units=self._units,
            contrast_limits=self._values(),
            axis_labels=[letter.lower() for letter in case.letters],
            **self.placing.arguments,
        )

    def _order(self) -> tuple[int, ...]:
        world = tuple(range(self.ndim + self.offset))
        last, before = world[-1], world[-2]
        if self.case.order == "transposed":
            return (*world[:-2], last, before)
        if self.case.order == "rolled":  # as Ctrl+E does, which shows our last axis no more
            return (*world[: self.offset], last, *world[self.offset : -1])
        if self.case.order == "across":
            first = world[self.offset]
            return (*(axis for axis in world if axis not in (first, last)), last, first)
        return world

    def _add_company(self) -> None:
        ndim = len(self.case.letters)
        if self.case.company == "larger stack":
            wide = np.zeros((3, *(SIZES[letter] + 9 for letter in self.case.letters)), np.uint8)
            self.viewer.add_image(wide, translate=(-1, *[-20] * ndim), contrast_limits=(0, 1))
        if self.case.company == "other units":
            small = np.zeros((2,) * ndim, np.uint8)
            self.viewer.add_image(small, units="nm", contrast_limits=(0, 1))

    def _data(self) -> Any:
        low, high = self._values()
        where = np.stack(np.indices(self.shape), axis=-1).reshape(-1, self.ndim)
        mask = (self.depth(where.astype(float)) > 0).reshape(self.shape)
        dtype = np.dtype(self.case.dtype)
        data = np.where(mask, np.array(high, dtype), np.array(low, dtype))
        if self.case.colours:
            data = np.repeat(data[..., None], self.case.colours, axis=-1)
            if self.case.colours == 4:
                data[..., 3] = 1 if dtype.kind == "f" else np.iinfo(dtype).max
        return _as_kind(data, self.case, self.shown)

    def _values(self) -> tuple[float, float]:
        if self.case.colours:
            return COLOUR_VALUES.get(self.case.dtype, (0.1, 0.8))
        return VALUES[self.case.dtype]


def _as_kind(data: NDArray[Any], case: Case, shown: tuple[int, ...]) -> Any:
    halves = [
        data,
        data[tuple(slice(None, None, 2 if a in shown else 1) for a in range(data.ndim))],
    ]
    chunks = tuple(max(1, size // 2) for size in data.shape[: len(case.letters)])
    chunks += data.shape[len(case.letters) :]
    if case.kind == "dask":
        return da.from_array(data, chunks)
    if case.kind == "zarr":
        return zarr.array(data, chunks=chunks)
    if case.kind == "xarray":
        names = [*case.letters.lower(), *(["colour"] if case.colours else [])]
        return xr.DataArray(data, dims=names)
    if case.kind == "multiscale":
        return halves
    if case.kind == "multiscale dask":
        return [da.from_array(half) for half in halves]
    return data


def _turn(angle: float) -> NDArray[np.float64]:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
