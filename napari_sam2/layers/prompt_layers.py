"""The door in for prompts: what the points and shapes on screen ask for."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Points, Shapes
from psygnal import Signal

from napari_sam2.layers.drawn_shapes import DONE, DrawnShapes, as_floats
from napari_sam2.layers.placed import OnPlane, PlacedReader
from napari_sam2.layers.polarity import (
    next_polarity,
    read_polarity,
    restyle,
    set_next_polarity,
    write_polarity,
)
from napari_sam2.session.objects import PlacedPoint, PlacedPrompts
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import POSITIVE, Prompts


class PromptLayers:
    """Reads points and shapes as prompts, and keeps their looks in step with their polarity.

    Parameters
    ----------
    points : Points
        With a feature "polarity", 1 object and 0 background; a missing one counts as 1.
    shapes : Shapes
        With the same feature. What each kind asks for: see `session.shape_prompts`.

    Attributes
    ----------
    changed : Signal()
        Other prompts than before are in the layers.
    polarity_changed : Signal(int)
        The next point or shape is of the other polarity.
    """

    changed = Signal()
    polarity_changed = Signal(int)

    def __init__(self, points: Points, shapes: Shapes) -> None:
        self.points, self.shapes = points, shapes
        self._reader = PlacedReader(points, shapes)
        self._shapes = DrawnShapes(shapes)
        self._polarity = POSITIVE
        self._placed = PlacedPrompts()  # as they were last told
        self._is_quiet = False
        self._connections = (
            (points.events.data, self._on_points_changed),
            (points.events.features, self._on_features_changed),
            (points.events.feature_defaults, self._on_feature_defaults_changed),
            (self._shapes.changed, self._notice),
        )
        for event, slot in self._connections:
            event.connect(slot)
        restyle(points)
        self.polarity = POSITIVE
        self._placed = self.capture()

    @property
    def polarity(self) -> int:
        """Whether the next point or shape is on the object (1) or on the background (0)."""
        return self._polarity

    @polarity.setter
    def polarity(self, value: int) -> None:
        set_next_polarity(self.points, value)
        self._shapes.set_next_polarity(value)
        self._set_polarity(value)

    def capture(self) -> PlacedPrompts:
        """Give all points and shapes, on all planes; a shape that is being drawn is left out."""
        points = zip(self.points.data, read_polarity(self.points), strict=True)
        return PlacedPrompts(
            tuple(PlacedPoint(as_floats(position), int(value)) for position, value in points),
            self._shapes.capture(),
        )

    def restore(self, placed: PlacedPrompts) -> None:
        """Set the layers to what was captured; nothing is told, and the tools stay as they are.

        A shape that is being drawn may be finished, and is there then beside what was restored.
        """
        if placed.points != self.capture().points:
            self._set_points(placed.points)
        self._shapes.restore(placed.shapes)
        self._placed = self.capture()

    def read(
        self, image: Image, plane: Plane, shape: tuple[int, int], each_shape: bool = False
    ) -> tuple[Prompts, str]:
        """Give the prompts on a plane, in its pixels.

        Parameters
        ----------
        image : Image
            The image whose data the plane belongs to.
        plane : Plane
            Which plane.
        shape : (H, W)
            Its size: shapes are clipped to it, and points beyond its border pixels are left out.
        each_shape : bool
            Of several boxes and outlines on the plane, the oldest counts: it is the first of
            several objects. By default the newest counts, as another try for the same object.

        Returns
        -------
        prompts : Prompts
            Points first those of the outline, then those of the points layer, then those of
            scribbles and background areas.
        note : str
            What was left out, for the user; usually empty.
        """
        found = self._reader.read(self.capture(), image, plane, shape)
        closed = list(found.closed)
        chosen = closed[0 if each_shape else -1] if closed else None
        return found.join(chosen), _note(found, each_shape)

    def planes(self, image: Image, axes: tuple[int, int]) -> list[Plane]:
        """List the planes of an image, with these axes on screen, that a prompt may lie on."""
        return self._reader.planes(self.capture(), image, axes)

    def count_shapes(self, image: Image, plane: Plane) -> int:
        """Give the number of boxes and outlines around objects on a plane."""
        return len(self._found(image, plane).closed)

    def without_first_shape(self, image: Image, plane: Plane) -> PlacedPrompts:
        """Give what remains when the oldest box or outline on a plane has become an object.

        The others on the plane remain, and all that lies on other planes. Points, scribbles and
        areas of background on the plane have helped to find the object, and are used up with it.
        """
        placed, found = self.capture(), self._found(image, plane)
        waiting = list(found.closed)[1:]
        shapes = tuple(
            shape
            for index, shape in enumerate(placed.shapes)
            if index in waiting or index not in found.shapes
        )
        return PlacedPrompts(found.elsewhere.points, shapes)

    def clear(self) -> None:
        """Remove all points and shapes."""
        self.restore(PlacedPrompts())
        self.polarity = POSITIVE
        self.changed.emit()

    def close(self) -> None:
        """Disconnect from the layers."""
        for event, slot in self._connections:
            event.disconnect(slot)
        self._shapes.close()

    def _found(self, image: Image, plane: Plane) -> OnPlane:
        return self._reader.read(self.capture(), image, plane, plane.shape_of(image.data.shape))

    def _set_points(self, points: tuple[PlacedPoint, ...]) -> None:
        self._is_quiet = True
        try:
            self.points.selected_data = set()
            self.points.data = np.array([p.position for p in points]).reshape(-1, self.points.ndim)
            write_polarity(self.points, [p.polarity for p in points])
            restyle(self.points)
            set_next_polarity(self.points, self._polarity)  # napari took that of the last point
        finally:
            self._is_quiet = False

    def _notice(self) -> None:
        """Tell if other prompts than before are there."""
        placed = self.capture()
        if placed != self._placed:
            self._placed = placed
            self.changed.emit()

    def _set_polarity(self, value: int) -> None:
        if value != self._polarity:
            self._polarity = value
            self.polarity_changed.emit(value)

    def _on_points_changed(self, event: Any) -> None:
        if event.action in DONE and not self._is_quiet:
            restyle(self.points)
            self._notice()

    def _on_features_changed(self) -> None:
        if self._is_quiet:
            return
        if self.points.mode == "add":  # a point just placed would be shown in napari's blue
            self.points.selected_data = set()
        restyle(self.points)
        self._notice()

    def _on_feature_defaults_changed(self) -> None:
        # napari takes the defaults of a point that the user selects.
        if not self._is_quiet:
            self._set_polarity(next_polarity(self.points))


def _note(found: OnPlane, each_shape: bool) -> str:
    closed = len(found.closed)
    if found.outside:
        return f"{found.outside} point{'s' * (found.outside > 1)} beyond the image: not used."
    if not all(found.shapes.values()):
        return "A shape beyond the image is not used."
    if closed > 1 and not each_shape:
        return f"Of the {closed} shapes, the newest counts."
    return ""
