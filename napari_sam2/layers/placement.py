"""Our layers lie on the image, also when it is moved, scaled or turned later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_sam2.layers.create import OurLayers, drawn_on
from napari_sam2.layers.place import PLACE, lay_on

_Place = tuple[Any, ...]


class Placement:
    """Keeps our layers in place until it is closed.

    The pixels of masks and objects are those of the image, so these two layers are always where
    it is. Prompts may lie anywhere: they go along with the image if they were in its place.

    Parameters
    ----------
    image : Image
        Is never changed.
    layers : OurLayers
        Were made for it.
    others : iterable of Layer
        The viewer's list. Those that are drawn on the image go along, see `create.drawn_on`.
    """

    def __init__(self, image: Image, layers: OurLayers, others: Iterable[Layer] = ()) -> None:
        self._image, self._others = image, others
        self._labels, self._prompts = (layers.objects, layers.mask), (layers.shapes, layers.points)
        self._before = _place_of(image)
        self._is_moving = False
        self._connections = [
            (getattr(layer.events, name), slot)
            for layer, slot in (
                (image, self._on_image_moved),
                *((labels, self._on_labels_moved) for labels in self._labels),
            )
            for name in PLACE
        ]
        for event, slot in self._connections:
            event.connect(slot)
        self._on_labels_moved()

    def close(self) -> None:
        """Disconnect from the layers."""
        for event, slot in self._connections:
            event.disconnect(slot)

    def _on_image_moved(self) -> None:
        before, self._before = self._before, _place_of(self._image)
        going_along = [layer for layer in self._prompts if _place_of(layer) == before]
        self._lay_on_image(*self._labels, *going_along, *drawn_on(self._others, self._image))

    def _on_labels_moved(self) -> None:
        self._lay_on_image(*self._labels)

    def _lay_on_image(self, *layers: Layer) -> None:
        if self._is_moving:
            return
        with self._moving():
            for layer in layers:
                if _place_of(layer) != self._before:
                    lay_on(layer, self._image)

    @contextmanager
    def _moving(self) -> Iterator[None]:
        self._is_moving = True
        try:
            yield
        finally:
            self._is_moving = False


def _place_of(layer: Layer) -> _Place:
    """Give where a layer lies, as a value."""
    matrices = (np.asarray(getattr(layer, name), float).tobytes() for name in PLACE[:5])
    return (*matrices, tuple(layer.units), tuple(layer.axis_labels))
