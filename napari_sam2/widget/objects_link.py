"""Joins the table and the classes to the document, and both to what is selected in napari."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.components import ViewerModel
from napari.layers import Labels

from napari_sam2.controller import Controller
from napari_sam2.errors import PromptError
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.jump import is_on, look_at
from napari_sam2.session.document import Document
from napari_sam2.session.objects import ObjectClass
from napari_sam2.widget.panel import Panel


class ObjectsLink:
    """Shows the objects of a document, and does to them what the table asks for.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    source : ImageSource
        Of the image that is annotated.
    controller : Controller
        Has the document.
    panel : Panel
        Whose table, classes and group of objects these are.
    failed : callable
        Told a sentence when something could not be done.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source: ImageSource,
        controller: Controller,
        panel: Panel,
        failed: Callable[[str], None],
    ) -> None:
        self._viewer, self._source, self._controller = viewer, source, controller
        self._panel, self._failed = panel, failed
        self._objects: Labels | None = None
        self._here_only = False
        self._connect()

    def follow(self, objects: Labels) -> None:
        """Select rows as labels are selected in this layer, and the other way round."""
        self.leave()
        self._objects = objects
        objects.events.selected_label.connect(self._on_label_selected)
        objects.events.colormap.connect(self._on_colors_changed)

    def leave(self) -> None:
        """Follow the layer no more."""
        if self._objects is not None:
            self._objects.events.selected_label.disconnect(self._on_label_selected)
            self._objects.events.colormap.disconnect(self._on_colors_changed)
        self._objects = None

    def show(self, document: Document) -> None:
        """Show the objects and the classes of a document."""
        records = document.state.objects
        self._panel.table.show_state(document.state, self._color_of, self._ids_here())
        self._panel.classes.show_classes(document.state.classes)
        self._panel.groups["objects"].set_note(str(len(records)) if records else "")

    def look_at(self, object_id: int) -> None:
        """Bring an object into view, and select it."""
        document = self._controller.document
        record = None if document is None else document.state.objects.get(object_id)
        if record is not None and self._objects is not None:
            look_at(self._viewer, self._source, self._objects, record)
            self._objects.selected_label = object_id

    def look_at_next(self, step: int) -> None:
        """Bring the next (1) or the previous (-1) object of the table into view."""
        object_id = self._panel.table.next_id(step)
        if object_id is not None:
            self._panel.table.select(object_id)
            self.look_at(object_id)

    def _connect(self) -> None:
        table, classes, controller = self._panel.table, self._panel.classes, self._controller
        table.selected.connect(self._on_rows_selected)
        table.jump_requested.connect(self.look_at)
        table.step_requested.connect(self.look_at_next)
        table.here_only_changed.connect(self._on_here_only_changed)
        table.delete_requested.connect(controller.delete)
        table.merge_requested.connect(controller.merge)
        table.reopen_requested.connect(controller.reopen)
        table.renamed.connect(self._on_renamed)
        table.class_chosen.connect(self._on_class_chosen)
        classes.renamed.connect(self._on_class_renamed)
        classes.classes_changed.connect(self._on_classes_changed)

    def _ids_here(self) -> set[int] | None:
        """Give the objects on the plane on screen; None for all, if nobody asked for those."""
        document = self._controller.document
        if not self._here_only or document is None:
            return None
        try:
            plane = self._source.plane
        except PromptError:  # in 3-D all of them may be seen
            return None
        return {i for i, record in document.state.objects.items() if is_on(plane, record)}

    def _color_of(self, object_id: int) -> Any:
        """Give an object's colour; the table, which asks, does not keep the layer alive."""
        return "gray" if self._objects is None else self._objects.get_color(object_id)

    def _do(self, act: Callable[[Document], object]) -> None:
        if self._controller.document is not None:
            try:
                act(self._controller.document)
            except PromptError as error:
                self._failed(str(error))

    def _on_label_selected(self) -> None:
        if self._objects is not None:
            self._panel.table.select(self._objects.selected_label)

    def _on_colors_changed(self) -> None:
        self._panel.table.refresh_colors()

    def _on_rows_selected(self, object_ids: list[int]) -> None:
        if self._objects is not None and object_ids:
            self._objects.selected_label = object_ids[0]

    def _on_here_only_changed(self, here_only: bool) -> None:
        self._here_only = here_only
        if self._controller.document is not None and self._objects is not None:
            self.show(self._controller.document)

    def _on_renamed(self, object_id: int, name: str) -> None:
        self._do(lambda document: document.rename(object_id, name))

    def _on_class_chosen(self, object_ids: list[int], name: str) -> None:
        self._do(lambda document: document.set_class(object_ids, name))

    def _on_class_renamed(self, old: str, new: str) -> None:
        self._do(lambda document: document.rename_class(old, new))

    def _on_classes_changed(self, classes: tuple[ObjectClass, ...]) -> None:
        self._do(lambda document: document.set_classes(classes))
