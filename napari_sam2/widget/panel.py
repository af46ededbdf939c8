"""How the panel is laid out; what it does stands in `main_widget.py`."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFormLayout, QFrame, QPushButton, QScrollArea, QVBoxLayout, QWidget

from napari_sam2.session.export import FORMATS
from napari_sam2.widget.cache_panel import CachePanel
from napari_sam2.widget.candidates_view import CandidatesView
from napari_sam2.widget.class_editor import ClassEditor
from napari_sam2.widget.device_choice import DeviceChoice
from napari_sam2.widget.files_panel import FilesPanel
from napari_sam2.widget.folding import FoldingGroup
from napari_sam2.widget.image_choice import ImageChoice
from napari_sam2.widget.keys import Keys
from napari_sam2.widget.keys_table import KeysTable
from napari_sam2.widget.look import PRIMARY, heading, leave_focus, line
from napari_sam2.widget.model_panel import ModelPanel
from napari_sam2.widget.object_table import ObjectTable
from napari_sam2.widget.objects_panel import ObjectsPanel
from napari_sam2.widget.options_panel import OptionsPanel
from napari_sam2.widget.prompt_panel import PromptPanel
from napari_sam2.widget.propagation_panel import PropagationPanel
from napari_sam2.widget.recovery_banner import RecoveryBanner
from napari_sam2.widget.settings import Settings
from napari_sam2.widget.status_line import StatusLine
from napari_sam2.widget.train_panel import TrainPanel
from napari_sam2.widget.view_panel import ViewPanel


class Panel(QScrollArea):
    """All parts of the panel, from top to bottom in the order in which they are needed.

    Parameters
    ----------
    images : ImageChoice
        The list of images.
    settings : Settings
        Tells which groups are closed.

    Attributes
    ----------
    images, model, device, banner, annotate, prompts, heading, candidates, object, status,
    propagation, table, classes, view, options, files, cache, train, keys
        The parts.
    groups : dict of str to FoldingGroup
        By the names that `Settings.folded` has.
    """

    def __init__(self, images: ImageChoice, settings: Settings) -> None:
        super().__init__()
        self.images, self.model, self.device = images, ModelPanel(), DeviceChoice()
        self.banner = RecoveryBanner()
        self.annotate = leave_focus(QPushButton("Annotate"))
        self.annotate.setStyleSheet(PRIMARY)
        self.annotate.setToolTip("Add layers for prompts, masks and objects on this image")
        self.prompts, self.candidates, self.object = PromptPanel(), CandidatesView(), ObjectsPanel()
        self.heading = heading("")
        self.status = StatusLine()
        self.propagation = PropagationPanel()
        self.table, self.classes = ObjectTable(), ClassEditor()
        self.view, self.options = ViewPanel(), OptionsPanel()
        self.cache, self.keys = CachePanel(), KeysTable()
        self.train = TrainPanel()
        self.files = FilesPanel({name: entry.title for name, entry in FORMATS.items()})
        contents: dict[str, tuple[str, QWidget]] = {
            "propagate": ("Propagate", self.propagation),
            "objects": ("Objects", self.table),
            "classes": ("Classes", self.classes),
            "view": ("What the model sees", self.view),
            "options": ("Options", self.options),
            "files": ("Files", self.files),
            "cache": ("Ready in advance", self.cache),
            "train": ("Train on my objects", self.train),
            "keys": ("Keys", self.keys),
        }
        self.groups = {
            name: FoldingGroup(title, content, folded=name in settings.folded)
            for name, (title, content) in contents.items()
        }
        self._lay_out()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Ask for the width of the content and of the bar beside it: a part cut off is no use."""
        content, bar = self.widget(), self.verticalScrollBar()
        assert content is not None
        assert bar is not None
        return QSize(content.minimumSizeHint().width() + bar.sizeHint().width(), 200)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for no more width than is needed."""
        content = self.widget()
        assert content is not None
        return QSize(self.minimumSizeHint().width(), content.sizeHint().height())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Ask for another width when parts appear that need it."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def show_tools(self, is_annotating: bool) -> None:
        """Show what is of use while an image is annotated, or what leads there."""
        self.annotate.setVisible(not is_annotating)
        self._work.setVisible(is_annotating)
        self._rest.setVisible(is_annotating)

    def show_propagation(self, is_stack: bool) -> None:
        """Show what is of use only where there is more than one plane."""
        self.groups["propagate"].setVisible(is_stack)

    def show_keys(self, keys: Keys) -> None:
        """Show the keys on the buttons that they press."""
        for part in (self.prompts, self.candidates, self.object, self.table, self.options):
            part.show_keys(keys)
        self.keys.show_keys(keys)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.addRow("Image", self.images)
        form.addRow("Model", self.model)
        form.addRow("Device", self.device)
        self._work = _column(
            self.prompts, line(), self.heading, self.candidates, self.object, spacing=6
        )
        self._rest = _column(*self.groups.values(), spacing=4)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(8)
        layout.addLayout(form)
        for part in (self.banner, self.annotate, self._work, self.status, self._rest):
            layout.addWidget(part)
        layout.addStretch()
        self.setWidget(content)
        content.installEventFilter(self)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)


def _column(*parts: QWidget, spacing: int) -> QWidget:
    column = QWidget()
    layout = QVBoxLayout(column)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(spacing)
    for part in parts:
        layout.addWidget(part)
    return column
