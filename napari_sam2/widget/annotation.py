"""Everything that lives as long as one image is annotated in the panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack

from napari.components import ViewerModel
from napari.layers import Layer
from psygnal import Signal

from napari_sam2.controller import Controller
from napari_sam2.errors import PromptError
from napari_sam2.layers.create import OurLayers, no_longer_new
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.kept_document import open_document
from napari_sam2.layers.placement import Placement
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.layers.region_frame import RegionFrame
from napari_sam2.layers.tools import Tools
from napari_sam2.widget.key_bindings import KeyBindings
from napari_sam2.widget.keys import Keys


class Annotation:
    """Joins our layers of one image to the controller and to the keys, until it is closed.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    layers : OurLayers
        In the viewer.
    source : ImageSource
        Reads the image that they belong to.
    controller : Controller
        Is attached here, and detached by `close`.
    actions : mapping of str to callable
        What keys start beside what this knows of itself.
    keys : mapping of str to str
        The key of each action.

    Attributes
    ----------
    layers : OurLayers
        As given.
    document : Document
        Of the layer of objects; outlives this.
    tools : Tools
        What a click does.
    keys : KeyBindings
        May be bound anew.
    unfit : Signal
        A layer has data of another size now: this is to be closed.
    """

    unfit = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        layers: OurLayers,
        source: ImageSource,
        controller: Controller,
        actions: Mapping[str, Callable[[], None]],
        keys: Keys,
    ) -> None:
        assert source.image is not None
        self.layers = layers
        self._source, self._controller = source, controller
        self._closing = ExitStack()
        self._closing.callback(Placement(source.image, layers, viewer.layers).close)
        self.document = open_document(layers, self._axes)
        self._prompts = PromptLayers(layers.points, layers.shapes)
        self._closing.callback(self._prompts.close)
        are_new = [no_longer_new(layer) for layer in (layers.points, layers.shapes)]
        if any(are_new):  # what the user deleted is made again
            self._prompts.restore(self.document.at_work.prompts)
        self.tools = Tools(viewer, self._prompts)
        self._closing.callback(self.tools.close)
        self.keys = KeyBindings({**actions, **self._actions()}, keys)
        self._closing.callback(self.keys.close)
        self._frame = RegionFrame(viewer, source.image, layers)
        self._closing.callback(self._frame.close)
        self.keys.bind([viewer, *layers, self._frame.layer])
        for layer in (layers.objects, layers.mask):
            layer.events.data.connect(self._on_data_replaced)
            self._closing.callback(layer.events.data.disconnect, self._on_data_replaced)
        controller.attach(self._prompts, self.document)
        self._closing.callback(controller.detach)
        controller.changed.connect(self._show_region)
        self._closing.callback(controller.changed.disconnect, self._show_region)

    def uses(self, layer: Layer) -> bool:
        """Tell whether a layer is one of ours."""
        return any(layer == ours for ours in self.layers)

    def close(self) -> None:
        """Disconnect; the layers of prompts and objects stay as they are."""
        self._closing.close()

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {"polarity": self.tools.toggle_polarity, "tool": self.tools.next_tool}

    def _on_data_replaced(self) -> None:
        if self.layers.objects.data.shape != self.layers.mask.data.shape:
            self.unfit.emit()

    def _show_region(self) -> None:
        try:
            plane = self._source.plane
        except PromptError:  # in 3-D, or beside the image
            plane = None
        self._frame.show(plane, self._controller.region)

    def _axes(self) -> tuple[int, int]:
        try:
            return self._source.plane.axes
        except PromptError:  # in 3-D, or after the panel was closed
            ndim = self.layers.mask.ndim
            return ndim - 2, ndim - 1
