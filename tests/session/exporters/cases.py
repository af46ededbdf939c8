"""Labels that exporters stumble over, and what the tests of all formats share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.export import Export
from napari_sam2.session.objects import ObjectClass, ObjectRecord

NOTHING = np.zeros((6, 7), np.int32)
ONE_PIXEL = np.pad(np.array([[5]], np.int32), ((2, 3), (4, 1)))
FULL = np.full((3, 4), 9, np.uint8)
RING = np.array(
    [
        [1, 1, 1, 1, 0],
        [1, 0, 1, 1, 0],
        [1, 1, 0, 1, 2],  # two holes that meet at a corner, and a hole with an object in it
        [1, 1, 1, 1, 0],
        [1, 3, 1, 1, 2],
        [1, 1, 1, 0, 2],
    ],
    np.int32,
)
PARTS = np.array(
    [
        [4, 0, 0, 0, 4],
        [0, 4, 0, 0, 4],  # parts that meet at a corner, and one apart
        [0, 0, 4, 7, 0],
        [0, 0, 7, 4, 0],
    ],
    np.int32,
)
LARGE_IDS = np.array([[0, 70_000, 70_000], [4_000_000_000, 0, 3]], np.uint32)
STACK = np.zeros((3, 6, 8), np.int32)
STACK[0, :2, :3] = 11
STACK[2, :2, 5:] = 11
STACK[1, 2:6, 2:7] = 300
STACK[1, 3, 3] = 0
FILM = np.stack([STACK, np.zeros_like(STACK), STACK[::-1] * 2])
CASES = {
    "nothing": NOTHING,
    "one pixel": ONE_PIXEL,
    "full": FULL,
    "ring": RING,
    "parts": PARTS,
    "large ids": LARGE_IDS,
    "mask": np.eye(4, dtype=bool),
    "negative": np.array([[-1, 2], [2, -7]]),
    "stack": STACK,
    "film": FILM,
}


class Lazy:
    """Labels on disk, as it were: parts come when indexed, and never more than a plane."""

    def __init__(self, data: NDArray[Any]) -> None:
        self._data = data
        self.shape, self.dtype = data.shape, data.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        part: NDArray[Any] = self._data[key]
        assert part.ndim == 2
        return part


def described(labels: Any, **more: Any) -> Export:
    """Give labels of which object 11 or 4 has a name, a class and a score that no ASCII holds."""
    ndim = labels.ndim
    nowhere = (0,) * ndim
    objects = {
        value: ObjectRecord(value, 1, nowhere, nowhere, 0.875, "Zelle \u00e9\u2460", "Kern \u00df")
        for value in (4, 11)
    }
    facts: dict[str, Any] = {
        "objects": objects,
        "classes": (ObjectClass("Rand", "#00ff80"), ObjectClass("Kern \u00df", "#ff8000")),
        "scale": (60.0, 2.0, 0.5, 0.25)[-ndim:],
        "units": ("s", "\u00b5m", "\u00b5m", "\u00b5m")[-ndim:],
        "image_name": "B\u00e4r.tif",
    }
    return Export(labels, **(facts | more))


def positive(labels: NDArray[Any]) -> NDArray[Any]:
    return np.maximum(labels.astype(np.int64), 0)
