"""Everything that lives as long as one image is annotated."""

from __future__ import annotations

from collections.abc import Callable

from napari.components import ViewerModel
from napari.layers import Layer

from napari_sam2.controller import Controller
from napari_sam2.layers.create import OurLayers
from napari_sam2.layers.mask_writer import MaskWriter
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.layers.tools import Tools
from napari_sam2.widget.keys import KeyBindings


class Annotation:
    """Joins our layers of one image to the controller and to the keys, until it is closed.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    layers : OurLayers
        In the viewer.
    controller : Controller
        Is attached here, and detached by `close`.

    Raises
    ------
    PromptError
        If the layer of objects has no room for another label.
    """

    def __init__(self, viewer: ViewerModel, layers: OurLayers, controller: Controller) -> None:
        self.layers = layers
        self._controller = controller
        writer = MaskWriter(layers.objects)  # first: it may refuse, and nothing is connected yet
        self._prompts = PromptLayers(layers.points, layers.shapes)
        self.tools = Tools(viewer, self._prompts)
        self._keys = KeyBindings(self._actions())
        self._keys.bind([viewer, *layers])
        controller.attach(self._prompts, writer)

    def uses(self, layer: Layer) -> bool:
        """Tell whether a layer is one of ours."""
        return any(layer == ours for ours in self.layers)

    def close(self) -> None:
        """Disconnect; the layers stay as they are."""
        self._controller.detach()
        self._keys.close()
        self.tools.close()
        self._prompts.close()

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            "polarity": self.tools.toggle_polarity,
            "tool": self.tools.toggle_box,
            "next_candidate": self._controller.cycle,
            "previous_candidate": lambda: self._controller.cycle(-1),
            "commit": self._controller.commit,
            "cancel": self._controller.clear,
        }
