"""A panel on a viewer without a window, and short ways of doing to it what a user does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points, Shapes
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_sam2.controller import Controller
from napari_sam2.layers.create import OurLayers, find_layers
from napari_sam2.session.document import Document
from napari_sam2.session.objects import State
from napari_sam2.widget import SegmentWidget
from tests.fakes import HeldRunner, SquarePredict


class Desk:
    """One panel; answers come when they are waited for."""

    def __init__(self, viewer: ViewerModel, predict: Any = None) -> None:
        self.viewer = viewer
        self.predict = SquarePredict() if predict is None else predict
        self.runner = HeldRunner()
        self.panel = SegmentWidget(viewer, self.predict, self.runner)
        self.said: list[str] = []
        self.controller.failed.connect(self.said.append)

    @property
    def controller(self) -> Controller:
        return self.panel.controller

    @property
    def document(self) -> Document:
        document = self.controller.document
        assert document is not None
        return document

    @property
    def state(self) -> State:
        return self.document.state

    @property
    def image(self) -> Image:
        image = self.panel.panel.images.image
        assert image is not None
        return image

    @property
    def layers(self) -> OurLayers:
        layers = find_layers(self.viewer, self.image)
        assert layers is not None
        return layers

    @property
    def objects(self) -> Labels:
        return self.layers.objects

    @property
    def mask(self) -> Labels:
        return self.layers.mask

    @property
    def points(self) -> Points:
        return self.layers.points

    @property
    def shapes(self) -> Shapes:
        return self.layers.shapes

    def annotate(self) -> Desk:
        self.panel.panel.annotate.click()
        return self.settle()

    def choose(self, image: Image) -> None:
        choice = self.panel.panel.images
        choice.setCurrentText(image.name)
        choice.activated.emit(choice.currentIndex())

    def settle(self) -> Desk:
        """Wait for all answers."""
        self.controller.refresh()
        self.runner.finish_all()
        return self

    def click(self, *at: float, polarity: int = 1) -> None:
        """Place a point, in pixels of the data, and wait for the answer."""
        annotation = self.panel._annotation
        assert annotation is not None
        annotation.tools.polarity = polarity
        self.points.add(at)
        self.settle()

    def keep(self, *at: float) -> int:
        self.click(*at)
        object_id = self.document.at_work.object_id
        self.controller.commit()
        self.settle()
        assert self.document.at_work.object_id != object_id, self.said
        return object_id

    def go_to(self, *steps: int) -> None:
        """Move the sliders."""
        for axis, step in enumerate(steps):
            self.viewer.dims.set_current_step(axis, step)
        self.settle()

    def look_along(self, *order: int) -> None:
        self.viewer.dims.order = order
        self.settle()

    def brush(self, layer: Labels, *at: float, value: int, size: int = 3) -> None:
        """Paint one stroke, as the mouse does."""
        layer.visible = True
        layer.brush_size = size
        layer.paint(at, value)

    def box(self, *corners: Any) -> None:
        """Draw a rectangle, from one corner to the other, and wait for the answer."""
        (z0, y0, x0), (_, y1, x1) = corners
        ring = [(z0, y0, x0), (z0, y0, x1), (z0, y1, x1), (z0, y1, x0)]
        self.shapes.add_rectangles([np.array(ring)])

    def areas_at_work(self) -> list[int]:
        """Count the pixels of the object at work, plane by plane."""
        return [work.mask.area for work in self.state.at_work.planes.values()]

    def areas(self) -> dict[int, int]:
        return {object_id: record.area for object_id, record in self.state.objects.items()}

    def counted(self) -> dict[int, int]:
        """Count the pixels of the objects in the layer."""
        values, counts = np.unique(self.objects.data, return_counts=True)
        found = {int(value): int(count) for value, count in zip(values, counts, strict=True)}
        return {object_id: found.get(object_id, 0) for object_id in self.state.objects}

    def close(self) -> None:
        self.panel.close()
        self.panel.deleteLater()
        QApplication.sendPostedEvents(self.panel, QEvent.Type.DeferredDelete)


@contextmanager
def desk_on(viewer: ViewerModel) -> Iterator[Desk]:
    """Open a panel, and close it in the end."""
    desk = Desk(viewer)
    try:
        yield desk
    finally:
        desk.close()
