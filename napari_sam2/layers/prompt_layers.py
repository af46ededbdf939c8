"""The door in for prompts: what the points and boxes on screen ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Points, Shapes
from numpy.typing import NDArray
from psygnal import Signal

from napari_sam2.layers.axes import map_positions
from napari_sam2.layers.create import POLARITY
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import NEGATIVE, POSITIVE, Prompts

# napari also tells before each edit: "adding", "removing", "changing".
_DONE = ("added", "removed", "changed")
_COLOURS = {POSITIVE: "#2fd566", NEGATIVE: "#ff4d4d"}
_SYMBOLS = {POSITIVE: "cross", NEGATIVE: "hbar"}  # + and -, for those who see no red and green

Box = tuple[float, float, float, float]


class PromptLayers:
    """Reads points and boxes as prompts, and keeps their looks in step with their polarity.

    Parameters
    ----------
    points : Points
        With a feature "polarity", 1 object and 0 background; a missing one counts as 1.
    shapes : Shapes
        The bounding box of each shape counts, so it may be drawn in any direction.
    """

    changed = Signal()
    polarity_changed = Signal(int)

    def __init__(self, points: Points, shapes: Shapes) -> None:
        self.points, self.shapes = points, shapes
        self._polarity = POSITIVE
        points.events.data.connect(self._on_data_changed)
        points.events.features.connect(self._on_features_changed)
        points.events.feature_defaults.connect(self._on_feature_defaults_changed)
        shapes.events.data.connect(self._on_data_changed)
        self._restyle()
        self.polarity = POSITIVE

    @property
    def polarity(self) -> int:
        """Whether the next point is on the object (1) or on the background (0)."""
        return self._polarity

    @polarity.setter
    def polarity(self, value: int) -> None:
        self.points.selected_data = set()  # or the point just placed would change as well
        self._ensure_feature()
        defaults = self.points.feature_defaults.copy()
        defaults[POLARITY] = value  # beside the columns that others have added
        self.points.feature_defaults = defaults
        self.points.current_face_color = _COLOURS[value]
        self.points.current_border_color = _COLOURS[value]
        self.points.current_symbol = _SYMBOLS[value]
        self._set_polarity(value)

    def read(self, image: Image, plane: Plane, shape: tuple[int, int]) -> tuple[Prompts, str]:
        """Give the prompts on a plane, in its pixels.

        Parameters
        ----------
        image : Image
            The image whose data the plane belongs to.
        plane : Plane
            Which plane.
        shape : (H, W)
            Its size: boxes are clipped to it, and points beyond its border pixels are left out.

        Returns
        -------
        prompts : Prompts
            Several boxes on the plane count as the newest one.
        note : str
            What was left out, for the user; usually empty.
        """
        points, polarity, outside = self._read_points(image, plane, shape)
        drawn = self._read_boxes(image, plane, shape)
        boxes = [box for box in drawn if box[0] < box[2] and box[1] < box[3]]
        note = ""
        if outside:
            note = f"{outside} point{'s' * (outside > 1)} beyond the image: not used."
        elif len(drawn) > len(boxes):
            note = "A box beyond the image, or without area, is not used."
        elif len(boxes) > 1:
            note = f"Of the {len(boxes)} boxes, the newest counts."
        return Prompts(points, polarity, boxes[-1] if boxes else None), note

    def clear(self) -> None:
        """Remove all points and boxes."""
        with self.changed.blocked():
            if len(self.points.data):
                self.points.selected_data = set()
                self.points.data = np.empty((0, self.points.ndim))
            if self.shapes.nshapes:
                self.shapes.selected_data = set()
                self.shapes.data = []
        self.polarity = POSITIVE
        self.changed.emit()

    def close(self) -> None:
        """Disconnect from the layers."""
        self.points.events.data.disconnect(self._on_data_changed)
        self.points.events.features.disconnect(self._on_features_changed)
        self.points.events.feature_defaults.disconnect(self._on_feature_defaults_changed)
        self.shapes.events.data.disconnect(self._on_data_changed)

    def _read_points(
        self, image: Image, plane: Plane, shape: tuple[int, int]
    ) -> tuple[tuple[tuple[float, float], ...], tuple[int, ...], int]:
        positions = map_positions(self.points, image, self.points.data)  # (N, D)
        on_plane = plane.holds(positions)
        pixels = positions[on_plane][:, plane.axes]  # (n, 2)
        inside = np.all((pixels >= -0.5) & (pixels <= np.array(shape) - 0.5), axis=1)
        yx = np.maximum(pixels[inside], 0)  # the first pixel begins at -0.5, prompts at 0
        polarity = self._point_polarity()[on_plane][inside]
        return (
            tuple((float(y), float(x)) for y, x in yx),
            tuple(int(value) for value in polarity),
            int(np.count_nonzero(~inside)),
        )

    def _read_boxes(self, image: Image, plane: Plane, shape: tuple[int, int]) -> list[Box]:
        boxes = []
        for vertices in self.shapes.data:
            positions = map_positions(self.shapes, image, vertices)  # (V, D)
            if plane.holds(positions).all():
                boxes.append(_bounding_box(positions[:, plane.axes], shape))
        return boxes

    def _point_polarity(self) -> NDArray[np.int64]:
        """Give the polarity of every point, (N,)."""
        if POLARITY not in self.points.features:
            return np.full(len(self.points.data), POSITIVE)
        values = np.asarray(self.points.features[POLARITY], np.float64)
        return np.where(values == NEGATIVE, NEGATIVE, POSITIVE)

    def _ensure_feature(self) -> None:
        """Put the feature back where the user, or another plugin, has replaced the table."""
        if POLARITY not in self.points.features:
            features = self.points.features.copy()
            features[POLARITY] = POSITIVE
            self.points.features = features

    def _restyle(self) -> None:
        polarity = self._point_polarity()
        if len(polarity):
            colours = [_COLOURS[value] for value in polarity]
            self.points.face_color = self.points.border_color = colours  # thin: mostly border
            self.points.symbol = [_SYMBOLS[value] for value in polarity]

    def _set_polarity(self, value: int) -> None:
        if value != self._polarity:
            self._polarity = value
            self.polarity_changed.emit(value)

    def _on_data_changed(self, event: Any) -> None:
        if event.action in _DONE:
            self._restyle()
            self.changed.emit()

    def _on_features_changed(self) -> None:
        if self.points.mode == "add":  # a point just placed would be shown in napari's blue
            self.points.selected_data = set()
        self._restyle()
        self.changed.emit()

    def _on_feature_defaults_changed(self) -> None:
        # napari takes the defaults of a point that the user selects.
        defaults = self.points.feature_defaults
        is_negative = POLARITY in defaults and defaults[POLARITY].iloc[0] == NEGATIVE
        self._set_polarity(NEGATIVE if is_negative else POSITIVE)


def _bounding_box(pixels: NDArray[np.float64], shape: Sequence[int]) -> Box:
    (y0, x0), (y1, x1) = (np.clip(corner(pixels, axis=0), 0, shape) for corner in (np.min, np.max))
    return float(y0), float(x0), float(y1), float(x1)
