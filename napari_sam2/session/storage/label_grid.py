"""The blocks that labels are saved in: planes, or squares of planes too large for one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from napari_sam2.session.parts import LARGE_PLANE, SIDE

BlockIndex = tuple[int, ...]


@dataclass(frozen=True)
class LabelGrid:
    """Where the blocks of labels lie.

    A block's index is that of its plane, along all but the last two axes; where planes are split,
    the row and the column of its square in the plane follow.

    Attributes
    ----------
    shape : tuple of int
        Of the whole label array, (..., H, W).
    side : int
        Of the squares that planes are split into; 0 where a block is a whole plane.
    """

    shape: tuple[int, ...]
    side: int = 0

    @classmethod
    def of(cls, shape: Sequence[int]) -> LabelGrid:
        """Split planes that are too large to be copied and compressed at each change."""
        sizes = tuple(int(size) for size in shape)
        return cls(sizes, SIDE if sizes[-2] * sizes[-1] > LARGE_PLANE else 0)

    def touched(self, start: Sequence[int], stop: Sequence[int]) -> Iterator[BlockIndex]:
        """List the blocks that a box of the labels touches."""
        spans = [range(a, b) for a, b in zip(start[:-2], stop[:-2], strict=True)]
        if self.side:
            ends = zip(start[-2:], stop[-2:], strict=True)
            spans += [range(a // self.side, -(-b // self.side)) for a, b in ends]
        return product(*spans)

    def box(self, index: BlockIndex) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give the corners of a block, start and stop.

        Raises
        ------
        ValueError
            If there is no such block.
        """
        count = len(self.shape) - 2
        plane, (height, width) = index[:count], self.shape[-2:]
        row, column = index[count:] if self.side and len(index) == count + 2 else (0, 0)
        start = (*plane, row * self.side, column * self.side)
        is_one = len(index) == count + 2 * bool(self.side)
        if not is_one or not all(
            0 <= at < size for at, size in zip(start, self.shape, strict=True)
        ):
            raise ValueError(f"Block {index} must be one of labels of shape {self.shape}.")
        bottom = min(start[-2] + self.side, height) if self.side else height
        right = min(start[-1] + self.side, width) if self.side else width
        return start, (*(at + 1 for at in plane), bottom, right)

    def sides(self, index: BlockIndex) -> tuple[int, int]:
        """Give the size of a block, (h, w); `ValueError` if there is none."""
        start, stop = self.box(index)
        return stop[-2] - start[-2], stop[-1] - start[-1]
