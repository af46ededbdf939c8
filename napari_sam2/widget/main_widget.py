"""The panel in napari's dock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.utils.notifications import show_warning
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_sam2.controller import Controller
from napari_sam2.errors import PromptError
from napari_sam2.layers.create import OurLayers, ensure_layers, find_layers
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.tools import Kind
from napari_sam2.session.results import Prediction
from napari_sam2.widget.annotation import Annotation
from napari_sam2.widget.image_choice import ImageChoice
from napari_sam2.widget.keys import DEFAULT_KEYS, key_of
from napari_sam2.widget.keys_table import KeysTable
from napari_sam2.widget.look import PRIMARY, delayed, heading, leave_focus, line
from napari_sam2.widget.model_panel import ModelPanel
from napari_sam2.widget.objects_panel import ObjectsPanel
from napari_sam2.widget.prompt_panel import PromptPanel
from napari_sam2.widget.runner import LazyPredict, ThreadRunner
from napari_sam2.widget.status_line import StatusLine

if TYPE_CHECKING:
    import napari.viewer

_SETTLE_MS = 150  # a slider that is dragged should not embed every plane that it passes


class SegmentWidget(QWidget):
    """Choose an image and a model, click on an object, keep its mask.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the images are; napari gives it.
    predict : LazyPredict, optional
        What answers requests on the worker thread.
    runner : Runner, optional
        What starts that thread.

    Attributes
    ----------
    controller : Controller
        For scripts: what the buttons and the keys do.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        predict: LazyPredict | None = None,
        runner: ThreadRunner | None = None,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._predict = LazyPredict() if predict is None else predict
        self._source = ImageSource(viewer)
        self._runner = ThreadRunner() if runner is None else runner
        self.controller = Controller(self._source, self._runner, self._predict)
        self._annotation: Annotation | None = None
        self._note = ""
        self._kept: int | None = None  # the object kept last, until the next one has a mask
        self._settle = delayed(self, _SETTLE_MS, self._refresh)
        self._images = ImageChoice(viewer)
        self._model = ModelPanel()
        self._annotate = leave_focus(QPushButton("Annotate"))
        self._prompt_panel = PromptPanel()
        self._heading = heading("")
        self._object = ObjectsPanel()
        self._status = StatusLine()
        self._keys = KeysTable()
        self._tools_area = self._lay_out()
        self._connect()
        self._closing = self._collect_closing()
        self._on_image_chosen(self._images.image)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Disconnect from the viewer; a worker that still runs ends unheard."""
        self._close()
        super().closeEvent(event)

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Close when napari takes the widget out of its dock, of which Qt tells nothing else."""
        super().changeEvent(event)
        is_taken_out = event is not None and event.type() == QEvent.Type.ParentChange
        if is_taken_out and self.parentWidget() is None:
            self._close()

    def _close(self) -> None:
        self._settle.stop()
        self._status.rest()
        self.setEnabled(False)
        self._closing.close()

    def _lay_out(self) -> QWidget:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Image", self._images)
        form.addRow("Model", self._model)
        tools = QWidget()
        inner = QVBoxLayout(tools)
        inner.setContentsMargins(0, 0, 0, 0)
        for widget in (self._prompt_panel, line(), self._heading, self._object):
            inner.addWidget(widget)
        self._annotate.setStyleSheet(PRIMARY)
        self._annotate.setToolTip("Add layers for points, boxes and objects on this image")
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addLayout(form)
        layout.addWidget(self._annotate)
        layout.addWidget(tools)
        layout.addWidget(self._status)
        layout.addWidget(self._keys)
        layout.addStretch()
        return tools

    def _connect(self) -> None:
        self._images.chosen.connect(self._on_image_chosen)
        self._model.chosen.connect(self._on_model_chosen)
        self._annotate.clicked.connect(self._on_annotate_clicked)
        self._prompt_panel.tool_chosen.connect(self._on_tool_chosen)
        self._prompt_panel.polarity_chosen.connect(self._on_polarity_chosen)
        self._object.undo_requested.connect(self.controller.undo)
        self._object.redo_requested.connect(self.controller.redo)
        self._object.commit_requested.connect(self.controller.commit)
        self._object.cancel_requested.connect(self.controller.cancel)
        self._source.changed.connect(self._on_source_changed)
        self.controller.stage_changed.connect(self._on_stage_changed)
        self.controller.changed.connect(self._show_state)
        self.controller.answered.connect(self._on_answered)
        self.controller.committed.connect(self._on_committed)
        self.controller.noted.connect(self._on_noted)
        self.controller.failed.connect(self._on_failed)
        self._viewer.layers.events.removed.connect(self._on_layer_removed)

    def _collect_closing(self) -> ExitStack:
        """Collect what is to be undone, last in first out, and none of it a matter of Qt."""
        removed = self._viewer.layers.events.removed
        closing = ExitStack()
        closing.callback(removed.disconnect, self._on_layer_removed)
        closing.callback(self._images.disconnect_viewer)
        closing.callback(self._source.close)
        closing.callback(self._close_annotation)
        closing.callback(self.controller.close)
        closing.callback(self._runner.close)
        # A window that is closed deletes its docks without a word; only this still comes.
        self.destroyed.connect(lambda *_: closing.close())
        return closing

    def _begin_annotation(self, layers: OurLayers) -> None:
        self._close_annotation()
        try:
            self._annotation = Annotation(
                self._viewer, layers, self._source, self.controller, self._actions(), DEFAULT_KEYS
            )
        except PromptError as error:
            self._status.complain(str(error))
            return
        self._annotation.tools.changed.connect(self._show_tool)
        self._show_tool()
        self._show_state()

    def _actions(self) -> dict[str, Callable[[], None]]:
        controller = self.controller
        return {
            "next_candidate": controller.cycle,
            "previous_candidate": lambda: controller.cycle(-1),
            "commit": controller.commit,
            "cancel": controller.cancel,
            "undo": controller.undo,
            "redo": controller.redo,
            "predict": controller.predict,
        }

    def _show_tool(self) -> None:
        if self._annotation is not None:
            tools = self._annotation.tools
            self._prompt_panel.show_tool(tools.kind, tools.polarity)

    def _close_annotation(self) -> None:
        if self._annotation is not None:
            self._annotation.close()
            self._annotation = None

    def _refresh(self) -> None:
        """Ask about what is on screen, unless that would fetch a model nobody has asked for."""
        if self._source.image is None:
            return
        path = self._model.entry.local_path
        if self._annotation is not None or (path is not None and path.exists()):
            self.controller.refresh()

    def _show_state(self) -> None:
        """Show the parts that are of use now, and say what can be done."""
        self._annotate.setVisible(self._annotation is None)
        self._annotate.setEnabled(self._source.image is not None)
        self._tools_area.setVisible(self._annotation is not None)
        self._keys.setVisible(self._annotation is not None)
        self._heading.setText(f"Object {self.controller.object_id}")
        self._object.allow_commit(self.controller.can_commit)
        document = self.controller.document
        if document is not None:
            self._object.show_history(document.undo_title, document.redo_title)
        if not self.controller.busy:
            self._status.say(self._what_now())

    def _what_now(self) -> str:
        if self._source.image is None:
            return "Open an image to begin."
        if self._annotation is None:
            return "Press Annotate, then click on an object."
        if self._note:
            return self._note
        if self.controller.can_commit:
            return (
                f"Good? Keep it with {key_of('commit')}. If not, add points or take another mask."
            )
        if self._kept is not None:
            return f"Object {self._kept} is kept. Click on the next one."
        return "Click on an object, or drag a box around it."

    def _on_image_chosen(self, image: Image | None) -> None:
        self._close_annotation()
        self._source.select(image)
        self._kept, self._note = None, ""
        layers = None if image is None else find_layers(self._viewer, image)
        if layers is not None:
            self._begin_annotation(layers)
        self._show_state()

    def _on_model_chosen(self, name: str) -> None:
        self.controller.model = name
        self._refresh()

    def _on_annotate_clicked(self) -> None:
        assert self._source.image is not None
        self._begin_annotation(ensure_layers(self._viewer, self._source.image))
        if self._annotation is not None:
            self._annotation.tools.tool = "object"

    def _on_tool_chosen(self, tool: Kind) -> None:
        assert self._annotation is not None
        self._annotation.tools.tool = tool

    def _on_polarity_chosen(self, polarity: int) -> None:
        assert self._annotation is not None
        self._annotation.tools.polarity = polarity

    def _on_source_changed(self) -> None:
        image = self._source.image
        if self._annotation and image and find_layers(self._viewer, image) is None:
            self._close_annotation()  # its data have another shape now
            self._show_state()
        self._settle.start()

    def _on_layer_removed(self, event: Any) -> None:
        if self._annotation is not None and self._annotation.uses(event.value):
            self._close_annotation()
            self._show_state()

    def _on_stage_changed(self, stage: str) -> None:
        self._status.show_stage(stage)
        if not stage:
            self._show_state()

    def _on_answered(self, prediction: Prediction) -> None:
        if prediction.candidates:
            self._kept = None
        if self._predict.device:
            self._model.show_device(self._predict.device)
        self._show_state()

    def _on_committed(self, label: int) -> None:
        self._kept = label
        self._show_state()

    def _on_noted(self, note: str) -> None:
        self._note = note
        self._show_state()
        if note:
            self._status.say(note)  # also while the worker is busy

    def _on_failed(self, sentence: str) -> None:
        self._status.rest()
        self._status.complain(sentence)
        if not self.isVisible():
            show_warning(sentence)
