"""What the next click on the canvas makes."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_sam2.widget.keys import key_of
from napari_sam2.widget.look import CHOICE, leave_focus, tool_icon

_TOOLS = {
    "object": ("Object", f"Click on the object.\nOther polarity: {key_of('polarity')}"),
    "background": (
        "Background",
        f"Click on what does not belong to the object.\nOther polarity: {key_of('polarity')}",
    ),
    "box": ("Box", f"Drag a box around the object.\nPoints or box: {key_of('tool')}"),
}


class PromptPanel(QWidget):
    """One button for each tool; the one in use is pressed.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    tool_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self._buttons: dict[str, QPushButton] = {}
        for tool, (title, tip) in _TOOLS.items():
            button = leave_focus(QPushButton(tool_icon(tool), title))
            button.setCheckable(True)
            button.setToolTip(tip)
            button.setStyleSheet(CHOICE)
            button.clicked.connect(lambda _checked, tool=tool: self.tool_chosen.emit(tool))
            layout.addWidget(button, stretch=len(title))
            self._buttons[tool] = button

    def show_tool(self, tool: str) -> None:
        """Press the button of the tool in use; none for an empty name."""
        for name, button in self._buttons.items():
            button.setChecked(name == tool)
