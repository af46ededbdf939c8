"""Masks of one plane, packed: small, hashable, and never larger than their object."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.parts import parts

Box = tuple[int, int, int, int]
_NOWHERE = (0, 0, 0, 0)


@dataclass(frozen=True)
class PackedMask:
    """A mask as the box around it and one bit for each pixel of the box.

    Equal masks are equal values: the box is as small as it can be.

    Attributes
    ----------
    shape : (H, W)
        Size of the plane.
    box : (y0, x0, y1, x1)
        Rows y0 to y1 - 1 and columns x0 to x1 - 1; all 0 for an empty mask.
    bits : bytes
        The box in C order, eight pixels a byte.
    """

    shape: tuple[int, int]
    box: Box = _NOWHERE
    bits: bytes = b""

    @classmethod
    def of(
        cls,
        mask: NDArray[np.bool_],
        origin: tuple[int, int] = (0, 0),
        shape: tuple[int, int] | None = None,
    ) -> PackedMask:
        """Pack a mask, or a part of one that begins at `origin` of a plane of `shape`."""
        whole = (int(mask.shape[0]), int(mask.shape[1])) if shape is None else shape
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if rows.size == 0:
            return cls(whole)
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        bits = np.packbits(mask[y0:y1, x0:x1]).tobytes()
        y, x = origin
        return cls(whole, (int(y0) + y, int(x0) + x, int(y1) + y, int(x1) + x), bits)

    def __bool__(self) -> bool:
        return self.box != _NOWHERE

    @property
    def area(self) -> int:
        """Number of pixels in the mask."""
        return int.from_bytes(self.bits, "little").bit_count()

    def crop(self, box: Box | None = None) -> NDArray[np.bool_]:
        """Give the part of the mask inside a box; by default its own. What lies outside is False.

        Parameters
        ----------
        box : (y0, x0, y1, x1), optional
            In pixels of the plane.
        """
        y0, x0, y1, x1 = self.box
        if box is None or box == self.box:
            return self._rows(y0, y1)
        part = np.zeros((box[2] - box[0], box[3] - box[1]), bool)
        top, left = max(y0, box[0]), max(x0, box[1])
        bottom, right = min(y1, box[2]), min(x1, box[3])
        if top < bottom and left < right:
            part[top - box[0] : bottom - box[0], left - box[1] : right - box[1]] = self._rows(
                top, bottom
            )[:, left - x0 : right - x0]
        return part

    def to_array(self) -> NDArray[np.bool_]:
        """Give the mask, (H, W)."""
        return self.crop((0, 0, *self.shape))

    def within(self, region: Box) -> PackedMask:
        """Give the part of the mask inside a region, as a mask of the region."""
        y0, x0, y1, x1 = self.box
        box = max(y0, region[0]), max(x0, region[1]), min(y1, region[2]), min(x1, region[3])
        size = region[2] - region[0], region[3] - region[1]
        if not (box[0] < box[2] and box[1] < box[3]):
            return PackedMask(size)
        return PackedMask.of(self.crop(box), (box[0] - region[0], box[1] - region[1]), size)

    def placed(self, region: Box, shape: tuple[int, int]) -> PackedMask:
        """Give a mask of a region as a mask of its plane, (H, W)."""
        if not self:
            return PackedMask(shape)
        (y, x), (y0, x0, y1, x1) = region[:2], self.box
        return PackedMask(shape, (y0 + y, x0 + x, y1 + y, x1 + x), self.bits)

    def pixels(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give the rows and the columns of its pixels, in C order."""
        rows, columns = np.nonzero(self.crop())
        return rows + self.box[0], columns + self.box[1]

    def __or__(self, other: PackedMask) -> PackedMask:
        box = around(self, other)
        return self._packed(self.crop(box) | other.crop(box), box)

    def __and__(self, other: PackedMask) -> PackedMask:
        return self._packed(self.crop() & other.crop(self.box), self.box)

    def __sub__(self, other: PackedMask) -> PackedMask:
        return self._packed(self.crop() & ~other.crop(self.box), self.box)

    def _rows(self, top: int, bottom: int) -> NDArray[np.bool_]:
        """Unpack some rows of the box, counted from the plane's first."""
        y0, x0, _, x1 = self.box
        width = x1 - x0
        first, last = (top - y0) * width, (bottom - y0) * width  # bits
        packed = np.frombuffer(self.bits, np.uint8)[first // 8 : -(-last // 8)]
        flat = np.unpackbits(packed, count=last - first // 8 * 8)[first % 8 :]
        return flat.view(bool).reshape(bottom - top, width)

    def _packed(self, part: NDArray[np.bool_], box: Box) -> PackedMask:
        return PackedMask.of(part, (box[0], box[1]), self.shape)


def iou(one: PackedMask, other: PackedMask) -> float:
    """Intersection over union of two masks of one plane; 0 if both are empty."""
    return (one & other).area / max((one | other).area, 1)


def around(*masks: PackedMask) -> Box:
    """Give the smallest box around masks of one plane; all 0 when they are empty."""
    boxes = [mask.box for mask in masks if mask]
    if not boxes:
        return _NOWHERE
    y0, x0, y1, x1 = zip(*boxes, strict=True)
    return min(y0), min(x0), max(y1), max(x1)


def parts_of(box: Box) -> Iterator[Box]:
    """Split a box of a plane into boxes that are small enough to be unpacked."""
    for start, stop in parts(box[:2], box[2:]):
        yield start[0], start[1], stop[0], stop[1]
