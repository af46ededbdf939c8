"""A document of an image in a viewer without a window, and a short way to put objects into it."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.create import OurLayers, ensure_layers
from napari_sam2.layers.kept_document import open_document
from napari_sam2.session.document import Document
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.planes import Plane

SHAPE = (3, 20, 30)


class Annotated:
    """An image of `SHAPE` with our layers on it.

    Parameters
    ----------
    name : str
        Of the image.
    shape : tuple of int
        Of the image.
    seed : int
        Of its pixels.
    """

    def __init__(self, name: str = "cells", shape: tuple[int, ...] = SHAPE, seed: int = 0) -> None:
        data = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
        self.image = Image(data, name=name, scale=(2, *(0.5,) * (len(shape) - 1)))
        viewer = ViewerModel()
        viewer.add_layer(self.image)
        self.layers: OurLayers = ensure_layers(viewer, self.image)
        self.axes = (len(shape) - 2, len(shape) - 1)
        self.document: Document = open_document(self.layers, lambda: self.axes)

    @property
    def labels(self) -> np.ndarray:
        return self.layers.objects.data

    def draw(self, plane: int, at: int, side: int = 4) -> None:
        """Make the object at work a square."""
        shape = self.image.data.shape
        mask = np.zeros(shape[-2:], bool)
        mask[at : at + side, at : at + side] = True
        index = (plane, *(0,) * (len(shape) - 3))
        self.document.begin_from({Plane(self.axes, index): PackedMask.of(mask)})

    def keep(self, plane: int, at: int, side: int = 4) -> int:
        self.draw(plane, at, side)
        return self.document.commit()
