"""What leaves the viewer and what comes back: sessions, exports, imports, a text for the paper."""

from __future__ import annotations

from collections.abc import Mapping

from psygnal import Signal
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QGridLayout, QMenu, QWidget

from napari_sam2.widget.icon_button import IconButton


class FilesPanel(QWidget):
    """Five buttons that ask; choosing files is somebody else's work.

    Parameters
    ----------
    formats : mapping of str to str
        What can be exported to: the name of a format and its title for people.
    parent : QWidget, optional
        As in Qt.
    """

    save_requested = Signal()
    open_requested = Signal()
    export_requested = Signal(str)
    import_requested = Signal()
    methods_requested = Signal()

    def __init__(self, formats: Mapping[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._formats = formats
        self._save = IconButton(
            "save", "Save session...", "Save all objects with their prompts in one file"
        )
        self._open = IconButton(
            "open", "Open session...", "Take up a session that was saved for this image"
        )
        self._export = IconButton("export", "Export...", "Write the objects for other programs")
        self._import = IconButton(
            "import", "Import labels...", "Take the objects of a label image in place of these"
        )
        self._methods = IconButton(
            "copy",
            "Copy methods text",
            "Copy a paragraph for your paper: versions, model, prompts and what to cite",
        )
        self._connect()
        self._lay_out()
        self.allow_output(False)

    def allow_output(self, is_allowed: bool) -> None:
        """Allow to save, to export and to copy, or not: there is nothing yet."""
        for button in (self._save, self._export, self._methods):
            button.setEnabled(is_allowed)

    def export_menu(self) -> QMenu:
        """Make the menu of formats."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for name, title in self._formats.items():
            action = menu.addAction(title)
            assert action is not None
            action.triggered.connect(lambda _=False, name=name: self.export_requested.emit(name))
        return menu

    def _connect(self) -> None:
        self._save.clicked.connect(lambda: self.save_requested.emit())
        self._open.clicked.connect(lambda: self.open_requested.emit())
        self._import.clicked.connect(lambda: self.import_requested.emit())
        self._methods.clicked.connect(lambda: self.methods_requested.emit())
        self._export.clicked.connect(self._on_export_clicked)

    def _lay_out(self) -> None:
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._save, 0, 0)
        layout.addWidget(self._open, 0, 1)
        layout.addWidget(self._export, 1, 0)
        layout.addWidget(self._import, 1, 1)
        layout.addWidget(self._methods, 2, 0, 1, 2)

    def _on_export_clicked(self) -> None:
        below = QPoint(0, self._export.height())
        self.export_menu().popup(self._export.mapToGlobal(below))
