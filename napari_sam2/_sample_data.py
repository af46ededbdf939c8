"""Pictures that come with the package, for demos, docs and napari's File > Open Sample.

Both are from the 2018 Data Science Bowl, stage 1 (CC0), and none was trained on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FOLDER = Path(__file__).parent / "samples"
LayerData = tuple[NDArray[Any], dict[str, Any], str]


def fluorescence() -> list[LayerData]:
    """Give fluorescent nuclei, (H, W) uint8, as napari takes sample data."""
    image = read_sample("nuclei_fluorescence")
    low, high = np.percentile(image, (0.1, 99.5))  # one dividing cell outshines the others
    limits = (float(low), float(high))
    return [(image, {"name": "nuclei, fluorescence", "contrast_limits": limits}, "image")]


def tissue() -> list[LayerData]:
    """Give stained nuclei in tissue, (H, W, 3) uint8, as napari takes sample data."""
    return [(read_sample("nuclei_tissue"), {"name": "nuclei, stained tissue"}, "image")]


def read_sample(name: str) -> NDArray[np.uint8]:
    """Read one of the pictures in `samples/`."""
    from PIL import Image

    with Image.open(_FOLDER / f"{name}.png") as file:
        return np.asarray(file)
