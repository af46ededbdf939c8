"""Where a layer is: what two layers share that lie exactly on each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Layer

PLACE = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


def lay_on(layer: Layer, image: Image) -> None:
    """Place a layer exactly where an image is, in the same units and along the same axes."""
    for name in PLACE:
        value, wanted = _placed(layer, name), _placed(image, name)
        if not np.array_equal(value, wanted):  # each that is set draws the layer anew
            setattr(layer, name, wanted)


def _placed(layer: Layer, name: str) -> Any:
    """Give one part of a layer's place, which no other layer shares: it may change in place."""
    value = getattr(layer, name)
    return value.affine_matrix.copy() if name == "affine" else value
