"""A thin frame around the part of the image that the model sees."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Shapes
from numpy.typing import NDArray

from napari_sam2.layers.create import OurLayers, ensure_frame
from napari_sam2.layers.screen_sizes import PixelSize
from napari_sam2.session.masks import Box
from napari_sam2.session.planes import Plane

_WIDTH = 1.5  # pixels on screen


class RegionFrame:
    """Shows a region of a plane in a layer that is not edited.

    The user hides it as any layer. One that was deleted is missed by nobody.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    image : Image
        That is annotated.
    layers : OurLayers
        The frame's layer is put below the prompts, if it is not there yet.

    Attributes
    ----------
    layer : Shapes
        Ours.
    """

    def __init__(self, viewer: ViewerModel, image: Image, layers: OurLayers) -> None:
        self.layer: Shapes = ensure_frame(viewer, image, below=layers.shapes)
        self._layers, self._shape = viewer.layers, image.level_shapes[0]
        self._shown: tuple[Plane, Box] | None = None
        self._pixel = PixelSize(viewer, self.layer, self._resize)
        self.layer.events.editable.connect(self._keep_from_editing)
        self._keep_from_editing()
        self.layer.data = []

    def show(self, plane: Plane | None, region: Box | None) -> None:
        """Show a region of a plane; None, or all of the plane, hides the frame."""
        shown = None if plane is None or region is None else (plane, region)
        if plane is not None and region == (0, 0, *plane.shape_of(self._shape)):
            shown = None
        if shown != self._shown and self.layer in self._layers:
            self._shown = shown
            self.layer.data = [] if shown is None else [_corners(*shown)]

    def close(self) -> None:
        """Hide the frame, and disconnect from the viewer."""
        self.show(None, None)
        self._pixel.close()
        self.layer.events.editable.disconnect(self._keep_from_editing)

    def _keep_from_editing(self) -> None:
        if self.layer.editable:  # napari lets it be, at each plane anew
            self.layer.editable = False

    def _resize(self, pixel: float) -> None:
        self.layer.edge_width = self.layer.current_edge_width = _WIDTH * pixel


def _corners(plane: Plane, region: Box) -> NDArray[np.float64]:
    """Give the corners of a region, (4, D), at the edges of its pixels."""
    y0, x0, y1, x1 = region
    corners = np.zeros((4, len(plane.key)))
    corners[:, list(plane.hidden_axes)] = plane.index
    corners[:, plane.axes[0]] = np.array((y0, y0, y1, y1)) - 0.5
    corners[:, plane.axes[1]] = np.array((x0, x1, x1, x0)) - 0.5
    return corners
