"""Everything about one annotated image that is worth keeping, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from typing import Any

import numpy as np

from napari_sam2.session.identity import ImageIdentity
from napari_sam2.session.objects import State
from napari_sam2.session.storage.json_values import JSON
from napari_sam2.session.storage.label_blocks import Block
from napari_sam2.session.storage.label_grid import BlockIndex, LabelGrid

PACKAGES = ("napari-sam2", "torch", "napari", "numpy")


@dataclass(frozen=True)
class Written:
    """When a snapshot was written, and by what.

    Attributes
    ----------
    at : datetime
        With its time zone.
    versions : mapping of str to str
        Of packages, by name.
    """

    at: datetime
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One annotated image: what a session file holds.

    Attributes
    ----------
    state : State
        Objects, classes and the object at work.
    labels : mapping of index to block
        Planes of the label array, (H, W) each, by their index along all but the last two axes, or
        squares of planes, see `LabelGrid`; or functions that give them, so that a large array need
        not be copied. Those that are not there are all 0.
    label_shape : tuple of int
        Of the whole label array, (..., H, W).
    label_dtype : dtype
        Of the label array.
    image : ImageIdentity
        What was annotated.
    settings : mapping
        Anything else that JSON can hold, such as contrast limits and the layer's transform.
        Read back, tuples are lists.
    written : Written or None
        Told by what was read; not by what is to be written.
    block_side : int
        Of the squares in `labels`; 0 for planes.
    """

    state: State
    labels: Mapping[BlockIndex, Block]
    label_shape: tuple[int, ...]
    label_dtype: np.dtype[Any]
    image: ImageIdentity
    settings: Mapping[str, JSON] = field(default_factory=dict)
    written: Written | None = None
    block_side: int = 0

    @property
    def grid(self) -> LabelGrid:
        """Where the blocks lie."""
        return LabelGrid(tuple(self.label_shape), self.block_side)

    def read_block(self, index: BlockIndex) -> np.ndarray[Any, np.dtype[Any]]:
        """Give the pixels of one plane, (H, W), or of one square.

        Raises
        ------
        MalformedError
            If what was read is damaged; `load_session` and `Recovery.load` have checked it.
        """
        block = self.labels.get(index)
        if block is None:
            return np.zeros(self.grid.sides(index), self.label_dtype)
        return np.asarray(block() if callable(block) else block)


def package_versions() -> dict[str, str]:
    """Give the versions of the packages that matter, as far as they are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions
