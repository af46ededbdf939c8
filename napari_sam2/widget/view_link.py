"""Joins the group "What the model sees" to the image, and shows the model's input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.controller import Controller
from napari_sam2.errors import PromptError, Sam2Error, sentence_of
from napari_sam2.layers.channels import ChannelChoice, choice_from, layers_in
from napari_sam2.layers.create import OurLayers, is_ours, read_note, write_note
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.model_input import ModelInput
from napari_sam2.session.methods_view import MODEL_VIEW
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Request
from napari_sam2.session.results import Prediction
from napari_sam2.session.view import NORMALISATIONS, Look, Normalisation
from napari_sam2.widget.look import delayed
from napari_sam2.widget.panel import Panel
from napari_sam2.widget.preferences import Preferences
from napari_sam2.widget.runner import Jobs

_GROUP = "view"
_PACE_MS = 100  # between two pictures while a slider is dragged


class ViewLink:
    """Lives as long as the panel, and works while an image is annotated.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    source : ImageSource
        Of the image that is annotated.
    controller : Controller
        Asks the model.
    panel : Panel
        Has the group.
    preferences : Preferences
        Remember the normalisation.
    look : callable
        Gives what the model sees for a request, on a worker thread.
    failed : callable
        Told a sentence when it cannot be shown.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source: ImageSource,
        controller: Controller,
        panel: Panel,
        preferences: Preferences,
        look: Callable[[Request], Look],
        failed: Callable[[str], None],
    ) -> None:
        self._viewer, self._source, self._controller = viewer, source, controller
        self._panel, self._preferences = panel, preferences
        self._look, self._failed = look, failed
        self._jobs = Jobs()
        self._pace = delayed(panel, _PACE_MS, self._refresh)
        self._layers: OurLayers | None = None
        self._input: ModelInput | None = None
        self._model = ""  # that has answered, and is there
        self._is_late = False  # the picture in the making
        self._normalise(preferences.settings.normalisation)
        self._connections: tuple[tuple[Any, Callable[..., None]], ...] = (
            (source.changed, self._on_changed),
            (controller.answered, self._on_answered),
            (viewer.layers.events.inserted, self._show_choice),
            (viewer.layers.events.removed, self._on_layer_removed),
            (panel.view.choice_changed, self._on_choice_changed),
            (panel.view.normalisation_changed, self._on_normalisation_changed),
            (panel.view.input_toggled, self._on_input_toggled),
        )
        for signal, slot in self._connections:
            signal.connect(slot)

    def follow(self, layers: OurLayers) -> None:
        """Begin with an image; what was chosen for it is kept with its objects."""
        self.leave()
        image = self._source.image
        if image is None:
            return
        self._layers = layers
        self._input = ModelInput(self._viewer, image, layers.objects)
        self._normalise(self._preferences.settings.normalisation)
        noted = read_note(layers.objects, MODEL_VIEW)
        self._source.channels.choice = choice_from(noted, image, self._neighbours(image))
        self._on_changed()

    def see_as(self, settings: Mapping[str, Any]) -> str:
        """Let the model see what it saw when a session was saved; gives what of that is missing.

        Brightness is for this image only: what the user prefers stays.
        """
        image, channels = self._source.image, self._source.channels
        noted = settings.get(MODEL_VIEW, {})
        if image is None or not isinstance(noted, Mapping):
            return ""
        neighbours = self._neighbours(image)
        channels.choice = choice_from(noted, image, neighbours)
        if (normalisation := noted.get("normalisation", "limits")) in NORMALISATIONS:
            self._normalise(normalisation)
        here = {layer.name for layer in neighbours}
        missing = ", ".join(repr(name) for name in layers_in(noted)[1:] if name not in here)
        return f" The model saw {missing} as well, not open now." if missing else ""

    def leave(self) -> None:
        """Show nothing any more."""
        self._pace.stop()
        self._hide()
        self._panel.view.show_input(False)
        self._layers = self._input = None

    def close(self) -> None:
        """Disconnect; a picture that is still being made is dropped."""
        self.leave()
        self._jobs.close()
        for signal, slot in self._connections:
            signal.disconnect(slot)

    # Choosing -------------------------------------------------------------------------------------

    def _show_choice(self, _event: Any = None) -> None:
        image, channels = self._source.image, self._source.channels
        if image is None or self._layers is None:
            return
        neighbours = self._neighbours(image)
        self._panel.view.show_choice(image, self._axes(image), neighbours, channels.choice)
        self._panel.groups[_GROUP].set_note(_note(channels.choice, channels.normalisation))

    def _axes(self, image: Image) -> tuple[int, ...]:
        """List the axes along which there may be channels: those that are not on screen."""
        if image.rgb:
            return ()
        try:
            return self._source.plane.hidden_axes
        except PromptError:
            return tuple(range(image.ndim - 2))

    def _neighbours(self, image: Image) -> list[Image]:
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        return [layer for layer in images if layer != image and not is_ours(layer)]

    def _on_choice_changed(self, choice: ChannelChoice) -> None:
        self._source.channels.choice = choice

    def _on_normalisation_changed(self, value: Normalisation) -> None:
        self._preferences.change(normalisation=value)
        self._source.channels.normalisation = value

    def _normalise(self, value: Normalisation) -> None:
        self._source.channels.normalisation = value
        self._panel.view.show_normalisation(value)

    # Showing --------------------------------------------------------------------------------------

    def _on_changed(self) -> None:
        if self._layers is not None:
            write_note(self._layers.objects, MODEL_VIEW, self._source.channels.describe())
            self._show_choice()
            self._refresh_soon()

    def _on_answered(self, prediction: Prediction) -> None:
        self._model = prediction.request.model
        self._refresh_soon()

    def _on_input_toggled(self, is_on: bool) -> None:
        if is_on:
            self._refresh()
        else:
            self._hide()

    def _on_layer_removed(self, event: Any) -> None:
        if self._input is not None and self._input.is_lost(event.value):
            self._input.hide()
            self._panel.view.show_input(False)
        self._show_choice()

    def _refresh_soon(self) -> None:
        if self._panel.view.shows_input and not self._pace.isActive():
            self._pace.start()

    def _refresh(self) -> None:
        """Ask for the picture; one at a time, and none of a model that is not there yet."""
        if self._input is None or not self._panel.view.shows_input:
            return
        self._is_late = self._jobs.busy
        if self._is_late or self._model != self._controller.model:
            return
        try:
            request = self._controller.look()
        except PromptError:  # in 3-D, or beside the image
            self._hide()
            return
        shown = partial(self._on_looked, self._input, Plane(request.axes, request.plane))
        self._jobs.start(partial(self._look, request), shown, self._on_failed)

    def _hide(self) -> None:
        if self._input is not None:
            self._input.hide()

    def _on_looked(self, asked: ModelInput, plane: Plane, look: Look) -> None:
        if asked is self._input and self._panel.view.shows_input:
            asked.show(look, plane)
        self._go_on()

    def _on_failed(self, error: Exception) -> None:
        self._hide()
        if not isinstance(error, Sam2Error):
            self._failed(sentence_of(error))  # else the controller has said it
        self._go_on()

    def _go_on(self) -> None:
        if self._is_late:
            self._refresh_soon()


def _note(choice: ChannelChoice, normalisation: Normalisation) -> str:
    """Say beside the title what is not as usual."""
    words = []
    if choice.axis is not None:
        count = len(choice.colored)
        words.append(f"{count} channel{'s' * (count > 1)}")
    if choice.others:
        words.append(f"{1 + len(choice.others)} layers")
    if normalisation != "limits":
        words.append({"full": "full range"}.get(normalisation, normalisation))
    return ", ".join(words)
