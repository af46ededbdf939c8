"""Which image is segmented."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

from napari_sam2.layers.create import is_ours


class ImageChoice(QComboBox):
    """Lists the viewer's image layers, in the viewer's order, under the names that they have now.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    parent : QWidget, optional
        As in Qt.
    """

    chosen = Signal(object)  # the image, or None when there is none

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layers = viewer.layers
        self._images: list[Image] = []
        self._image: Image | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)  # a long file name must not widen the dock
        self.setPlaceholderText("no image in the viewer")
        self.setToolTip("The image to segment. Its layer may be moved, scaled or rotated.")
        self._events = [
            getattr(self._layers.events, name)
            for name in ("inserted", "removed", "reordered", "renamed")
        ]
        for event in self._events:
            event.connect(self._on_layers_changed)
        self.activated.connect(self._on_activated)
        self._list_images()

    @property
    def image(self) -> Image | None:
        """The chosen image."""
        return self._image

    @image.setter
    def image(self, image: Image | None) -> None:
        self._image = image
        self._list_images()

    def disconnect_viewer(self) -> None:
        """Stop following the viewer."""
        for event in self._events:
            event.disconnect(self._on_layers_changed)

    def _list_images(self) -> None:
        """List what there is; keep the choice while it is there, otherwise take the topmost."""
        images = (layer for layer in self._layers if isinstance(layer, Image))
        self._images = [image for image in images if not is_ours(image)]
        self.clear()
        self.addItems([image.name for image in self._images])
        if self._image not in self._images:
            self._image = self._images[-1] if self._images else None
            self.chosen.emit(self._image)
        self.setCurrentIndex(self._images.index(self._image) if self._images else -1)
        self.setEnabled(bool(self._images))

    def _on_layers_changed(self, _event: Any) -> None:
        self._list_images()

    def _on_activated(self, index: int) -> None:
        if self._images[index] != self._image:
            self._image = self._images[index]
            self.chosen.emit(self._image)
