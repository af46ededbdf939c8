"""What may be typed on the command line, and how it is read."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, NamedTuple

import typer

DeviceOption = Annotated[
    str, typer.Option(help="auto (cuda, then mps, then cpu), cuda, cuda:1, mps or cpu.")
]
ModelOption = Annotated[
    str,
    typer.Option(help="Name from `napari-sam2 info`, path of a checkpoint, or owner/repo:file."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Region(str, Enum):
    """Where the model looks; see `session.regions.FieldOfView`."""

    AUTO = "auto"
    WHOLE = "whole"


class Point(NamedTuple):
    """A point as typed: position in pixels, and 1 (object) or 0 (background)."""

    y: float
    x: float
    polarity: int

    @classmethod
    def parse(cls, text: str) -> Point:
        """Read "40,30", or with a minus in front a background point."""
        bare = text.strip().removeprefix("-")
        y, x = _parse_numbers(bare, "Y,X")
        return cls(y, x, polarity=int(bare == text.strip()))


class Box(NamedTuple):
    """A box as typed, in pixels."""

    y0: float
    x0: float
    y1: float
    x1: float

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read "10,20,60,80"."""
        return cls(*_parse_numbers(text, "Y0,X0,Y1,X1"))


class RegionOrBox(NamedTuple):
    """Where the model looks, as typed: one word of `Region`, or a box in pixels."""

    region: str | tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> RegionOrBox:
        """Read "auto", "whole" or "10,20,60,80"."""
        if text in list(Region):
            return cls(text)
        return cls(_parse_numbers(text, "auto, whole or Y0,X0,Y1,X1", count=4))


class Plane(NamedTuple):
    """Which plane of a stack: an index for each axis in front of the rows."""

    indices: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Plane:
        """Read "3", or "2,3" for two axes."""
        try:
            return cls(tuple(int(number) for number in text.split(",")))
        except ValueError:
            raise typer.BadParameter(f"wanted I, or I,J for two axes, got {text!r}.") from None


class Scale(NamedTuple):
    """The size of a pixel: along each axis, or one for all of them."""

    sizes: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Scale:
        """Read "0.5", or "2,0.5,0.5" for three axes."""
        return cls(_parse_numbers(text, "S" + ",S" * text.count(",")))


PointsOption = Annotated[
    list[Point] | None,
    typer.Option(
        parser=Point.parse,
        metavar="Y,X",
        help="A point on the object; with a minus in front, -Y,X, on the background. Repeat.",
    ),
]
BoxOption = Annotated[
    Box | None,
    typer.Option(parser=Box.parse, metavar="Y0,X0,Y1,X1", help="A box around the object."),
]


def _parse_numbers(text: str, names: str, count: int = 0) -> tuple[float, ...]:
    """Read as many numbers as there are names, or so many."""
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != (count or names.count(",") + 1):
        raise typer.BadParameter(f"wanted {names}, numbers of pixels, got {text!r}.")
    return numbers
