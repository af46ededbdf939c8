"""The panel in napari's dock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QEvent
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_sam2.controller import Controller
from napari_sam2.errors import Sam2Error
from napari_sam2.layers.create import OurLayers, ensure_layers, find_layers
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.snapshots import take_up
from napari_sam2.session.document import Document
from napari_sam2.session.label_folder import remove_left_behind
from napari_sam2.session.recovery import Recovery
from napari_sam2.session.results import Prediction
from napari_sam2.session.snapshot import Snapshot
from napari_sam2.widget.annotation import Annotation
from napari_sam2.widget.cache_link import CacheLink
from napari_sam2.widget.files import FileDialogs, Files
from napari_sam2.widget.image_choice import ImageChoice
from napari_sam2.widget.keys import Keys
from napari_sam2.widget.look import delayed
from napari_sam2.widget.objects_link import ObjectsLink
from napari_sam2.widget.panel import Panel
from napari_sam2.widget.preferences import Preferences
from napari_sam2.widget.propagation_link import PropagationLink
from napari_sam2.widget.runner import Jobs, LazyPredict, ThreadRunner, ignore
from napari_sam2.widget.safety import Safety
from napari_sam2.widget.settings import load_settings
from napari_sam2.widget.speech import Speech
from napari_sam2.widget.train_link import TrainLink
from napari_sam2.widget.training_runner import TrainingRunner
from napari_sam2.widget.view_link import ViewLink

if TYPE_CHECKING:
    import napari.viewer

_DOUBTFUL = 0.5  # predicted IoU below which a mask is seldom worth keeping
_REST_MS = 300  # what the camera passes on its way is not looked at
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
    recovery : Recovery, optional
        Where work is kept safe against a crash.
    trainer : TrainingRunner, optional
        What trains in the background.

    Attributes
    ----------
    controller : Controller
        For scripts: what the buttons and the keys do.
    panel : Panel
        The parts that are seen.
    dialogs : FileDialogs
        Ask for files.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        predict: LazyPredict | None = None,
        runner: ThreadRunner | None = None,
        recovery: Recovery | None = None,
        trainer: TrainingRunner | None = None,
    ) -> None:
        super().__init__()
        self._viewer = viewer
        self._predict = LazyPredict() if predict is None else predict
        self._source = ImageSource(viewer)
        self._runner = ThreadRunner() if runner is None else runner
        self._jobs = Jobs()
        self.controller = Controller(self._source, self._runner, self._predict, self._predict.track)
        self.dialogs = FileDialogs(self)
        self._annotation: Annotation | None = None
        self._files: Files | None = None
        self._brush_draws: int | None = 0  # the object that the brush was last set to
        self._kept: int | None = None  # the object kept last, until the next one has a mask
        self._settle = delayed(self, _SETTLE_MS, self._refresh)
        self._rest = delayed(self, _REST_MS, self._look_ahead)
        self._safety = Safety(Recovery() if recovery is None else recovery, self._jobs, self)
        settings = load_settings()
        self.panel = Panel(ImageChoice(viewer), settings)
        self._preferences = Preferences(settings, self.panel, self.controller)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.panel)
        self._speech = Speech(self.panel.status, self.isVisible)
        self._link = ObjectsLink(
            viewer, self._source, self.controller, self.panel, self._speech.complain
        )
        self._view = ViewLink(
            viewer,
            self._source,
            self.controller,
            self.panel,
            self._preferences,
            self._predict.look,
            self._speech.complain,
        )
        self._connect()
        self._cache = CacheLink(
            self.panel.cache,
            self._preferences,
            self.controller,
            self._predict,
            self._jobs,
            self._speech.say_note,
            self._speech.complain,
        )
        self._propagation = PropagationLink(
            self.panel.propagation,
            viewer,
            self._source,
            self.controller,
            lambda *asked: self.dialogs.ask_where_to_save(*asked),
            self._speech.say_note,
            self._speech.complain,
        )
        self._training = TrainLink(
            viewer,
            self.panel.train,
            self.panel.model,
            self.controller,
            TrainingRunner() if trainer is None else trainer,
            self._speech.say_note,
            self._speech.complain,
        )
        self._closing = self._collect_closing()
        self._jobs.start(remove_left_behind, ignore, ignore)
        self._on_image_chosen(self.panel.images.image)

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
        self._rest.stop()
        self.panel.status.rest()
        self.setEnabled(False)
        self._closing.close()

    # Connecting -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel, controller = self.panel, self.controller
        for signal, slot in (
            (panel.images.chosen, self._on_image_chosen),
            (self._preferences.model_changed, self._on_model_changed),
            (self._preferences.device_changed, self._on_device_changed),
            (self._preferences.keys_changed, self._on_keys_changed),
            (panel.prompts.tool_chosen, self._on_tool_chosen),
            (panel.prompts.polarity_chosen, self._on_polarity_chosen),
            (panel.candidates.chosen, controller.choose),
            (panel.candidates.cycled, controller.cycle),
            (panel.object.commit_requested, controller.commit),
            (panel.object.cancel_requested, controller.cancel),
            (panel.object.undo_requested, controller.undo),
            (panel.object.redo_requested, controller.redo),
            (panel.options.predict_requested, controller.predict),
            (panel.options.folder_requested, self._on_folder_requested),
            (panel.banner.restore_requested, self._on_restore_requested),
            (panel.banner.discard_requested, self._safety.discard),
            (self._safety.found, self._on_left_work_found),
            (self._safety.failed, self._speech.complain),
            (self._source.changed, self._on_source_changed),
            (self._source.screen.moved, self._on_camera_moved),
            (controller.stage_changed, self._on_stage_changed),
            (controller.changed, self._show_state),
            (controller.answered, self._on_answered),
            (controller.committed, self._on_committed),
            (controller.moved, self._on_moved),
            (controller.noted, self._on_noted),
            (controller.failed, self._speech.complain),
        ):
            signal.connect(slot)
        panel.annotate.clicked.connect(self._on_annotate_clicked)
        self._viewer.layers.events.removed.connect(self._on_layer_removed)
        self._connect_files()

    def _connect_files(self) -> None:
        files = self.panel.files
        files.save_requested.connect(lambda: self._with_files(Files.save))
        files.open_requested.connect(lambda: self._with_files(Files.open))
        files.import_requested.connect(lambda: self._with_files(Files.import_labels))
        files.methods_requested.connect(lambda: self._with_files(Files.copy_methods))
        files.export_requested.connect(
            lambda name: self._with_files(lambda files: files.export(name))
        )

    def _collect_closing(self) -> ExitStack:
        """Collect what is to be undone, last in first out, and none of it a matter of Qt."""
        removed = self._viewer.layers.events.removed
        closing = ExitStack()
        closing.callback(removed.disconnect, self._on_layer_removed)
        closing.callback(self.panel.images.disconnect_viewer)
        closing.callback(self._source.close)
        closing.callback(self._view.close)
        closing.callback(self._safety.close)
        closing.callback(self._close_annotation)
        closing.callback(self.controller.close)
        closing.callback(self._jobs.close)
        closing.callback(self._runner.close)
        closing.callback(self._cache.close)
        closing.callback(self._propagation.close)
        closing.callback(self._training.close)
        # A window that is closed deletes its docks without a word; only this still comes.
        self.destroyed.connect(lambda *_: closing.close())
        return closing

    def _actions(self) -> dict[str, Callable[[], None]]:
        """Give what the keys do, beside those of the tools."""
        controller = self.controller
        return {
            "next_candidate": controller.cycle,
            "previous_candidate": lambda: controller.cycle(-1),
            "commit": controller.commit,
            "reopen": self._refine_label,
            "cancel": controller.cancel,
            "undo": controller.undo,
            "redo": controller.redo,
            "next_object": lambda: self._link.look_at_next(1),
            "previous_object": lambda: self._link.look_at_next(-1),
            "predict": controller.predict,
            "live": self._preferences.toggle_live,
        }

    # Annotating -----------------------------------------------------------------------------------

    def _begin_annotation(self, layers: OurLayers) -> None:
        self._close_annotation()
        self._annotation = annotation = Annotation(
            self._viewer,
            layers,
            self._source,
            self.controller,
            self._actions(),
            self._preferences.keys,
        )
        annotation.tools.changed.connect(self._show_tool)
        annotation.unfit.connect(self._end_annotation)
        self._link.follow(layers.objects)
        self._view.follow(layers)
        image, document = self._source.image, annotation.document
        self._files = Files(
            document,
            image,
            layers.objects,
            self.dialogs,
            self._jobs,
            self._speech.say_note,
            self._speech.complain,
            self._safety.forget,
            self._view.see_as,
        )
        self._files.folder = self._preferences.settings.export_folder
        self._safety.follow(document, image)
        self._preferences.apply()
        self._brush_draws = 0
        self._show_tool()
        self._show_state()

    def _let_the_brush_draw(self) -> None:
        """Choose a new object at work for the brush on our objects: W keeps what it paints."""
        object_id = self.controller.object_id
        if self._annotation is not None and object_id not in (None, self._brush_draws):
            self._brush_draws = object_id
            self._annotation.document.labels.hold(object_id)
            self._annotation.layers.objects.selected_label = object_id

    def _close_annotation(self) -> None:
        if self._annotation is not None:
            self._link.leave()
            self._view.leave()
            self._safety.leave()
            self._annotation.close()
            self._annotation = self._files = None

    def _refresh(self) -> None:
        """Ask about what is on screen."""
        if self._may_ask:
            self.controller.refresh()

    def _look_ahead(self) -> None:
        """Embed what is on screen, now that the camera has come to rest."""
        if self._may_ask:
            self.controller.look_ahead()

    @property
    def _may_ask(self) -> bool:
        """Whether there is an image, and no model would be fetched that nobody has asked for."""
        path = self.panel.model.entry.local_path
        is_here = path is not None and path.exists()
        return self._source.image is not None and (self._annotation is not None or is_here)

    def _refine_label(self) -> None:
        """Open the selected label of the active layer again, or of our objects."""
        if self._annotation is not None:
            active, layers = self._viewer.layers.selection.active, self._annotation.layers
            is_other = isinstance(active, Labels) and active != layers.mask
            self.controller.use_label(active if is_other else layers.objects)

    def _with_files(self, act: Callable[[Files], None]) -> None:
        if self._files is not None:
            act(self._files)
            self._preferences.change(export_folder=self._files.folder)

    # Showing --------------------------------------------------------------------------------------

    def _show_tool(self) -> None:
        if self._annotation is not None:
            tools = self._annotation.tools
            self.panel.prompts.show_tool(tools.kind, tools.polarity)

    def _show_state(self) -> None:
        """Show the parts that are of use now, and say what can be done."""
        panel, controller, document = self.panel, self.controller, self.controller.document
        panel.show_tools(document is not None)
        panel.show_propagation(document is not None and len(document.labels.shape) > 2)
        panel.annotate.setEnabled(self._source.image is not None)
        if document is not None and self._annotation is not None:
            self._let_the_brush_draw()
            at_work, objects = document.at_work, self._annotation.layers.objects
            panel.heading.setText(f"Object {at_work.object_id}")
            panel.candidates.set_color(_hex(objects.get_color(at_work.object_id)))
            panel.candidates.show_answer(controller.answer, document.cleanup)
            panel.object.allow_commit(controller.can_commit)
            panel.object.allow_cancel(bool(at_work.prompts or at_work.planes))
            panel.object.show_history(document.undo_title, document.redo_title)
            panel.files.allow_output(bool(document.state.objects) or at_work.has_mask)
            self._link.show(document)
        if self._speech.complaint or not controller.busy:
            self._speech.say(self._what_now())

    def _what_now(self) -> str:
        if self._source.image is None:
            return "Open an image to begin."
        if self._annotation is None:
            return "Press Annotate, then click on an object."
        if self.controller.tracking.running:
            return "Following the object. Look around meanwhile; a click or a stroke ends it."
        answer = self.controller.answer
        if answer is not None and answer.score < _DOUBTFUL:
            return "The model is not sure of this mask. Add points, draw a box, or take another."
        if self.controller.can_commit:
            key = self._preferences.keys["commit"]
            return f"Good? Keep it with {key}. If not, add points or take another mask."
        if self._kept is not None:
            return f"Object {self._kept} is kept. Click on the next one."
        return "Click on an object, or drag a box around it."

    # Following ------------------------------------------------------------------------------------

    def _on_image_chosen(self, image: Image | None) -> None:
        self._close_annotation()
        self.panel.banner.hide()
        self._source.select(image)
        self._kept = None
        self._speech.reset()
        layers = None if image is None else find_layers(self._viewer, image)
        if layers is not None:
            self._begin_annotation(layers)
        elif image is not None:
            self._safety.look_for(image)
        self._show_state()

    def _on_model_changed(self, name: str) -> None:
        if self._annotation is not None:
            self.controller.use_model(name)
        else:
            self.controller.model = name
            self._refresh()

    def _on_device_changed(self, name: str) -> None:
        self.controller.use_device(name)
        self._refresh()

    def _on_keys_changed(self, keys: Keys) -> None:
        if self._annotation is not None:
            self._annotation.keys.rebind(keys)

    def _on_annotate_clicked(self) -> None:
        assert self._source.image is not None
        folder = self._preferences.settings.labels_folder
        try:
            layers = ensure_layers(self._viewer, self._source.image, folder)
        except Sam2Error as error:
            self._speech.complain(str(error))
            return
        self._begin_annotation(layers)
        if self._annotation is not None:
            self._annotation.tools.tool = "object"

    def _on_folder_requested(self) -> None:
        start = self._preferences.settings.labels_folder
        folder = self.dialogs.ask_for_folder("Keep large labels in", start)
        if folder:
            self._preferences.change(labels_folder=folder)

    def _on_tool_chosen(self, tool: Any) -> None:
        if self._annotation is not None:
            self._annotation.tools.tool = tool

    def _on_polarity_chosen(self, polarity: int) -> None:
        if self._annotation is not None:
            self._annotation.tools.polarity = polarity

    def _on_source_changed(self) -> None:
        image = self._source.image
        if self._annotation and image and find_layers(self._viewer, image) is None:
            self._close_annotation()  # its data have another shape now
        self._show_state()
        self._settle.start()

    def _on_camera_moved(self) -> None:
        self._rest.start()

    def _on_layer_removed(self, event: Any) -> None:
        if self._annotation is not None and self._annotation.uses(event.value):
            is_lost = event.value == self._annotation.layers.objects
            self._end_annotation()
            if is_lost and self._source.image is not None:
                self._safety.look_for(self._source.image)  # to offer the work back

    def _end_annotation(self) -> None:
        self._close_annotation()
        self._show_state()

    def _on_stage_changed(self, stage: str) -> None:
        if stage:
            self._speech.complaint = ""
        self.panel.status.show_stage(stage)
        self.panel.device.show_devices(self._predict.devices)
        if not stage:
            self._show_state()

    def _on_answered(self, prediction: Prediction) -> None:
        self._speech.calm_down()
        if prediction.candidates:
            self._kept = None
        self.panel.status.show_detail(
            prediction.request.model,
            self._predict.device,
            "embedding cached" if prediction.embed_was_cached else "embedding ready",
            prediction.embed_seconds + prediction.decode_seconds,
        )
        self._show_state()

    def _on_committed(self, label: int) -> None:
        self._kept = label
        self._show_state()

    def _on_moved(self, note: str) -> None:
        self.panel.device.show_device(self.controller.device)
        self._speech.announce(note)

    def _on_noted(self, note: str) -> None:
        self._speech.say_note(note)
        self._show_state()

    def _on_left_work_found(self, image: Image) -> None:
        document, offer = self.controller.document, self._safety.offer
        is_untouched = document is None or document.is_new
        if image == self._source.image and offer is not None and is_untouched:
            self.panel.banner.offer(offer.written.astimezone(), offer.objects)

    def _on_restore_requested(self) -> None:
        if self._annotation is None:
            self._on_annotate_clicked()
        document = self.controller.document
        if document is not None:
            self._safety.restore(partial(self._on_left_work_read, document))

    def _on_left_work_read(self, document: Document, snapshot: Snapshot) -> None:
        if document is not self.controller.document:
            return  # another image was chosen meanwhile; the offer waits for the first
        try:
            take_up(document, snapshot, "bring back unsaved work")
        except Sam2Error as error:
            self._speech.complain(str(error))
        else:
            self._safety.restored()
            if missing := self._view.see_as(snapshot.settings):
                self._speech.say_note(missing.strip())


def _hex(color: Any) -> str:
    """Give a colour of napari, RGBA in [0, 1] or nothing, as "#rrggbb"."""
    if color is None:
        return "#808080"
    red, green, blue = (round(255 * float(part)) for part in color[:3])
    return f"#{red:02x}{green:02x}{blue:02x}"
