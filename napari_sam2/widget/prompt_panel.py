"""What the next click on the canvas makes."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_sam2.session.prompts import NEGATIVE, POSITIVE
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.keys import DEFAULT_KEYS, Keys
from napari_sam2.widget.look import BACKGROUND, OBJECT

_POLARITIES = {
    POSITIVE: ("object", "Object", "What you mark next belongs to the object", OBJECT),
    NEGATIVE: ("background", "Background", "What you mark next does not belong to it", BACKGROUND),
}
_TOOLS = {
    "points": ("Points", "Click on the object; Shift and a click mark the other of the two"),
    "box": ("Box", "Drag a rectangle around the object: it says more than one point"),
    "ellipse": ("Ellipse", "Drag an ellipse over the object"),
    "polygon": ("Lasso", "Draw around the object by hand"),
    "scribble": ("Scribble", "Draw a line along the object, or along what it should leave out"),
}
TOOLS = tuple(_TOOLS)


class PromptPanel(QWidget):
    """Two buttons for the polarity, and one for each tool; what is in use is pressed.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    polarity_chosen = Signal(int)
    tool_chosen = Signal(str)  # one of TOOLS

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._polarities = {
            polarity: IconButton(icon, title, tip, accent=color)
            for polarity, (icon, title, tip, color) in _POLARITIES.items()
        }
        self._tools = {
            tool: IconButton(tool, title, tip, below=True) for tool, (title, tip) in _TOOLS.items()
        }
        for polarity, button in self._polarities.items():
            button.clicked.connect(lambda _=False, value=polarity: self._on_polarity(value))
        for tool, button in self._tools.items():
            button.clicked.connect(lambda _=False, value=tool: self._on_tool(value))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(_row(list(self._polarities.values()), spacing=1))
        layout.addLayout(_row(list(self._tools.values()), spacing=3))
        self.show_tool("", None)
        self.show_keys(DEFAULT_KEYS)

    def show_tool(self, tool: str, polarity: int | None) -> None:
        """Press the buttons of the tool (empty for none) and of the polarity (None for none)."""
        self._tool, self._polarity = tool, polarity
        for name, button in self._tools.items():
            button.setChecked(name == tool)
        for value, button in self._polarities.items():
            button.setChecked(value == polarity)

    def show_keys(self, keys: Keys) -> None:
        """Show other keys."""
        for button in self._tools.values():
            button.set_key(keys["tool"])
        for button in self._polarities.values():
            button.set_key(keys["polarity"])

    def _on_polarity(self, polarity: int) -> None:
        self.show_tool(self._tool, self._polarity)  # pressed is what is so, not what is wished
        self.polarity_chosen.emit(polarity)

    def _on_tool(self, tool: str) -> None:
        self.show_tool(self._tool, self._polarity)
        self.tool_chosen.emit(tool)


def _row(buttons: list[IconButton], spacing: int) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(spacing)
    for button in buttons:
        button.setCheckable(True)
        row.addWidget(button, stretch=1)
    return row
