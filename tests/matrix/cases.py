"""Which images are tried: a selection of all combinations, documented here and made by rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import TypeVar

GREY_AXES = ("YX", "ZYX", "TYX", "CZYX", "TZYX", "TCZYX", "PTCZYX")
COLOUR_AXES = ("YX rgb", "YX rgba", "ZYX rgb", "TZYX rgb")
DTYPES = ("bool", "uint8", "uint16", "uint32", "int16", "float16", "float32", "float64")
COLOUR_DTYPES = ("uint8", "uint16", "float16", "float32", "float64")
KINDS = ("numpy", "dask", "zarr", "xarray", "multiscale", "multiscale dask")
PLACINGS = ("identity", "scaled", "moved", "rotated", "sheared", "affine", "mixed", "flipped")
ORDERS = ("in order", "transposed", "rolled", "across")
COMPANIES = ("alone", "larger stack", "other units")
PROMPTS = ("on the image", "elsewhere", "before the image")
OTHERS = tuple(product(COMPANIES, PROMPTS))

_T = TypeVar("_T")


@dataclass(frozen=True)
class Case:
    """One image, and how it is looked at.

    Attributes
    ----------
    axes : str
        A letter for each axis, and its colours.
    dtype, kind : str
        What the data are.
    placing : str
        How the layer lies in the world.
    order : str
        How the viewer's axes are ordered: what is on screen, and which way.
    company : str
        What else is in the viewer.
    prompts : str
        How our layers lie: where the image is; prompts elsewhere, and labels that were moved;
        made before the image was placed.
    """

    axes: str
    dtype: str
    kind: str
    placing: str
    order: str
    company: str
    prompts: str

    @property
    def letters(self) -> str:
        """The axes without colours."""
        return self.axes.split()[0]

    @property
    def colours(self) -> int:
        """The number of colours; 0 for a grey image."""
        return {"rgb": 3, "rgba": 4}.get(self.axes[len(self.letters) + 1 :], 0)

    def __str__(self) -> str:
        return ", ".join(
            (self.axes, self.dtype, self.kind, self.placing, self.order, self.company, self.prompts)
        )


def all_cases() -> list[Case]:
    """List the cases: a full grid of geometry, and a full grid of data.

    Geometry is axes x placing x order, data is dtype x kind x some of the axes. What a grid does
    not fix goes round, so that its values meet those of the grid in ever other combinations.
    """
    return list(dict.fromkeys([*_geometry(), *_data()]))


def fast_cases() -> list[Case]:
    """Choose few cases that have each value, and each company with each way our layers lie."""
    cases = all_cases()
    chosen, missing = list[Case](), {fact for case in cases for fact in _facts(case)}
    while missing:
        best = max(cases, key=lambda case: len(missing & _facts(case)))
        chosen.append(best)
        missing -= _facts(best)
    return chosen


def _geometry() -> Iterator[Case]:
    rounds = _Rounds()
    for axes, placing, order in product((*GREY_AXES, *COLOUR_AXES), PLACINGS, ORDERS):
        if order in _orders_of(axes):
            dtypes = COLOUR_DTYPES if axes in COLOUR_AXES else DTYPES
            yield Case(
                axes,
                rounds.take(dtypes),
                rounds.take(KINDS),
                placing,
                order,
                *rounds.take(OTHERS),
            )


def _data() -> Iterator[Case]:
    rounds = _Rounds()
    grids: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
        (DTYPES, ("YX", "ZYX", "TCZYX")),
        (COLOUR_DTYPES, ("YX rgb", "ZYX rgb")),
    )
    for dtypes, some_axes in grids:
        for dtype, kind, axes in product(dtypes, KINDS, some_axes):
            yield Case(
                axes,
                dtype,
                kind,
                rounds.take(PLACINGS),
                rounds.take(_orders_of(axes)),
                *rounds.take(OTHERS),
            )


def _orders_of(axes: str) -> tuple[str, ...]:
    return ORDERS if len(axes.split()[0]) > 2 else ORDERS[:2]


def _facts(case: Case) -> set[tuple[str, str]]:
    return {*asdict(case).items(), (case.company, case.prompts)}


class _Rounds:
    """Gives one value after the other, each time a list is asked for."""

    def __init__(self) -> None:
        self._at: dict[tuple[object, ...], int] = {}

    def take(self, values: tuple[_T, ...]) -> _T:
        at = self._at.get(values, 0)
        # One further in each round: lists whose lengths have a common divisor must not march in
        # step with the grid.
        self._at[values] = at + 1
        return values[(at + at // len(values)) % len(values)]
