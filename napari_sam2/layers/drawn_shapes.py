"""The shapes of a layer as values, and back, while the user draws on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Shapes
from psygnal import Signal

from napari_sam2.layers.polarity import (
    read_polarity,
    repair_table,
    restyle,
    set_next_polarity,
    write_polarity,
)
from napari_sam2.session.objects import PlacedShape
from napari_sam2.session.prompts import POSITIVE

Placed = tuple[PlacedShape, ...]
DONE = ("added", "removed", "changed")  # napari also tells before: "adding", "removing", "changing"


class DrawnShapes:
    """Reads and sets the shapes of a layer, and keeps their looks in step with their polarity.

    napari fails if shapes are taken off the layer while one is being drawn, and even in the event
    that tells of its end. What is to be restored then waits.

    Parameters
    ----------
    layer : Shapes
        With a feature "polarity", 1 object and 0 background; a missing one counts as 1.

    Attributes
    ----------
    changed : Signal()
        Shapes were added, removed or edited, not by `restore`.
    """

    changed = Signal()

    def __init__(self, layer: Shapes) -> None:
        self._layer = layer
        self._next_polarity = POSITIVE
        self._is_quiet = False
        self._drawn: int | None = None  # place of the shape that is being drawn
        self._is_drawing = False  # until napari is really done with it
        self._waiting: Placed | None = None  # for the drawing to end
        self._connections = (
            (layer.events.data, self._on_data_changed),
            (layer.events.features, self._on_features_changed),
            (layer.events.mode, self._restyle_next),
            (layer.events.set_data, self._on_redrawn),
        )
        for event, slot in self._connections:
            event.connect(slot)
        restyle(layer)

    def capture(self) -> Placed:
        """Give all shapes; one that is being drawn is left out."""
        return self._read()[: self._drawn] if self._waiting is None else self._waiting

    def restore(self, placed: Placed) -> None:
        """Set the shapes to what was captured; one that is being drawn stays, and comes on top."""
        if placed != self.capture():
            self._waiting = placed
            self._settle()

    def set_next_polarity(self, value: int) -> None:
        """Let the next shape be on the object or on the background."""
        self._next_polarity = value
        self._restyle_next()

    def close(self) -> None:
        """Disconnect from the layer."""
        for event, slot in self._connections:
            event.disconnect(slot)

    def _read(self) -> Placed:
        layer = self._layer
        shapes = zip(layer.shape_type, layer.data, read_polarity(layer), strict=True)
        return tuple(
            PlacedShape(str(kind), tuple(map(as_floats, vertices)), int(polarity))
            for kind, vertices, polarity in shapes
        )

    def _settle(self) -> None:
        """Put shapes that wait into the layer, once nothing is being drawn."""
        if self._drawn == self._layer.nshapes:  # a script has failed to add one
            self._drawn, self._is_drawing = None, False
        if self._waiting is not None and not self._is_drawing:
            waiting, self._waiting = self._waiting, None
            with self._quietly():
                self._write(waiting)
            self._restyle_next()

    def _write(self, placed: Placed) -> None:
        self._layer.selected_data = set()
        self._layer.data = []
        if placed:
            vertices = [np.array(shape.vertices) for shape in placed]
            self._layer.add(vertices, shape_type=[shape.kind for shape in placed])
        write_polarity(self._layer, [shape.polarity for shape in placed])
        restyle(self._layer)

    def _restyle_next(self) -> None:
        if not self._is_drawing:
            with self._quietly():
                set_next_polarity(self._layer, self._next_polarity)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        before, self._is_quiet = self._is_quiet, True
        try:
            yield
        finally:
            self._is_quiet = before

    def _on_data_changed(self, event: Any) -> None:
        if event.action == "adding":
            self._drawn, self._is_drawing = self._layer.nshapes, True
        elif event.action in DONE:
            drawn, self._drawn = self._drawn, None
            self._is_drawing = self._is_by_hand(drawn)
            if not self._is_quiet:
                self._take_up(drawn, event.data_indices)

    def _is_by_hand(self, drawn: int | None) -> bool:
        """Tell a shape that was drawn from one that a script added: it is selected, or is gone."""
        count, selected = self._layer.nshapes, self._layer.selected_data
        return drawn is not None and (drawn == count or drawn in selected)

    def _take_up(self, drawn: int | None, touched: tuple[int, ...]) -> None:
        with self._quietly():
            if not self._is_drawing:
                repair_table(self._layer, touched[0] if len(touched) == 1 else -1)
            restyle(self._layer)
        if self._waiting is not None and drawn is not None:
            self._waiting += self._read()[drawn:]
        self.changed.emit()
        self._settle()

    def _on_redrawn(self) -> None:
        # The one event that napari sends when it is done with a drawing.
        if self._is_drawing and self._drawn is None and not self._is_quiet:
            self._is_drawing = False
            self._restyle_next()
            self._settle()

    def _on_features_changed(self) -> None:
        if not self._is_quiet:
            restyle(self._layer)
            self.changed.emit()


def as_floats(values: Any) -> tuple[float, ...]:
    """Give numbers of any array as Python's own."""
    return tuple(float(value) for value in values)
