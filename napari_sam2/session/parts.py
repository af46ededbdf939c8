"""Large boxes in parts that are small enough to be held at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

Corner = tuple[int, ...]
Part = tuple[Corner, Corner]

MOST = 2**22  # values of a part: what an object on a screen has, and 16 MiB of int32
SIDE = 2048  # of a part of a large plane; MOST is its square
LARGE_PLANE = 2**24  # pixels; larger planes are nowhere held as a whole
LARGE_BOX = 2**28  # values; what must be held as a whole is refused above it


def parts(start: Sequence[int], stop: Sequence[int]) -> Iterator[Part]:
    """Split a box of data along a grid; give corners, `start <= index < stop`, in C order.

    A box of at most `MOST` values is one part. Parts of larger ones are on one plane of the last
    two axes each.
    """
    if prod(b - a for a, b in zip(start, stop, strict=True)) <= MOST:
        yield tuple(start), tuple(stop)
        return
    leading = product(*map(range, start[:-2], stop[:-2]))
    rows, columns = (list(_spans(a, b)) for a, b in zip(start[-2:], stop[-2:], strict=True))
    for index, (y0, y1), (x0, x1) in product(leading, rows, columns):
        yield (*index, y0, x0), (*(at + 1 for at in index), y1, x1)


def _spans(start: int, stop: int) -> Iterator[tuple[int, int]]:
    while start < stop:
        end = min((start // SIDE + 1) * SIDE, stop)
        yield start, end
        start = end
