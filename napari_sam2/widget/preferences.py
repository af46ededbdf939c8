"""Shows what the user has chosen, lets the controller follow it, and remembers it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from psygnal import Signal

from napari_sam2.controller import Controller
from napari_sam2.widget.keys import Keys, keys_with
from napari_sam2.widget.panel import Panel
from napari_sam2.widget.settings import Settings, save_settings


class Preferences:
    """The settings at work.

    Parameters
    ----------
    settings : Settings
        As they were remembered.
    panel : Panel
        Shows and changes them.
    controller : Controller
        Follows them.

    Attributes
    ----------
    settings : Settings
        As they are now.
    keys_changed : Signal(dict)
        The key of every action.
    model_changed : Signal(str)
        The user has chosen another model; the controller has it not yet.
    device_changed : Signal(str)
        The user has chosen another device; as above.
    """

    keys_changed = Signal(dict)
    model_changed = Signal(str)
    device_changed = Signal(str)

    def __init__(self, settings: Settings, panel: Panel, controller: Controller) -> None:
        self.settings = settings
        self._panel, self._controller = panel, controller
        panel.model.show_model(settings.model)
        panel.device.show_device(settings.device)
        panel.show_keys(self.keys)
        controller.model, controller.device = panel.model.entry.name, settings.device
        panel.options.changed.connect(self._take)
        panel.cache.changed.connect(self._take)
        panel.keys.changed.connect(self._on_keys_changed)
        panel.model.chosen.connect(self._on_model_chosen)
        panel.device.chosen.connect(self._on_device_chosen)
        for name, group in panel.groups.items():
            group.folded_changed.connect(partial(self._on_folded, name))
        self.apply()

    @property
    def keys(self) -> Keys:
        """The key of every action."""
        return keys_with(self.settings.keys)

    def change(self, **changes: Any) -> None:
        """Change some settings by name."""
        self._take(replace(self.settings, **changes))

    def toggle_live(self) -> None:
        """Ask about each change of a prompt, or only when told."""
        self.change(live=not self.settings.live)

    def apply(self) -> None:
        """Let the panel, the controller and its document follow."""
        settings, controller = self.settings, self._controller
        self._panel.options.show_settings(settings)
        self._panel.cache.show_settings(settings)
        controller.ahead.neighbours = settings.embed_neighbours
        controller.live, controller.rule = settings.live, settings.rule
        controller.each_shape = settings.each_shape
        controller.use_field(settings.field_of_view)
        if controller.document is not None:
            controller.document.policy = settings.policy
            controller.document.cleanup = settings.cleanup
            controller.refresh()

    def _take(self, settings: Settings) -> None:
        if settings != self.settings:
            self.settings = settings
            save_settings(settings)
            self.apply()

    def _on_folded(self, name: str, is_folded: bool) -> None:
        self.settings = self.settings.with_folded(name, is_folded)
        save_settings(self.settings)

    def _on_keys_changed(self, keys: dict[str, str]) -> None:
        self.change(keys=keys)
        self._panel.show_keys(self.keys)
        self.keys_changed.emit(self.keys)

    def _on_model_chosen(self, name: str) -> None:
        self.change(model=name)
        self.model_changed.emit(name)

    def _on_device_chosen(self, name: str) -> None:
        self.change(device=name)
        self.device_changed.emit(name)
