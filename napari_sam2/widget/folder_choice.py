"""Chooses a folder, or none."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QComboBox

from napari_sam2.widget.look import leave_focus


class FolderChoice(QComboBox):
    """A list of the folder that is chosen, none, and another one.

    Parameters
    ----------
    without : str
        What is said where no folder is chosen.
    """

    chosen = Signal(str)  # none
    requested = Signal()  # another one: somebody is to ask the user

    def __init__(self, without: str) -> None:
        super().__init__()
        leave_focus(self)
        self._without, self._folder = without, ""
        self.setSizeAdjustPolicy(self.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.activated.connect(self._on_activated)
        self.show_folder("")

    def show_folder(self, folder: str) -> None:
        """Show what is chosen; nothing is emitted."""
        self._folder = folder
        self.clear()
        self.addItem(self._without)
        if folder:
            self.addItem(Path(folder).name or folder)
            self.setItemData(1, folder, 3)  # the whole path, as a tip
            self.setCurrentIndex(1)
        self.addItem("choose a folder ...")

    def _on_activated(self, index: int) -> None:
        if index == self.count() - 1:
            self.setCurrentIndex(1 if self._folder else 0)
            self.requested.emit()
        elif index == 0 and self._folder:
            self.chosen.emit("")
