"""What the model sees: which channels, how bright, and whether to show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from napari.layers import Image
from psygnal import Signal
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.layers.channels import ALONE, ChannelChoice
from napari_sam2.session.view import NORMALISATIONS, Normalisation
from napari_sam2.widget.calm_spin_box import CalmSpinBox
from napari_sam2.widget.look import leave_focus, small

_NORMALISATIONS: dict[Normalisation, str] = {
    "limits": "contrast limits",
    "percentile": "percentiles of the plane",
    "min-max": "darkest to brightest",
    "full": "full range of the type",
}
_COLORS = ("Red", "Green", "Blue")
_MANY = 65_535  # channels, at most, that a field takes
_ROWS = 4  # of layers that are seen at once
_CHANNELS_TIP = (
    "What is put together into the picture that the model sees: this image as it is, channels "
    "along one of its axes, or several layers in the colours in which they are shown"
)
_BRIGHTNESS_TIP = (
    "What the model sees as black and as white. Contrast limits: as you see it. "
    "Percentiles: 0.1 and 99.9 % of the plane's values, so that single bright pixels do not count"
)
_LAYERS_TIP = "Layers to add. They must have the same pixels in the same place as the image"
_SHOW_TIP = (
    "Show the very picture that is given to the model, in a layer over the image, "
    "and keep it up to date"
)


class ViewPanel(QWidget):
    """Shows and changes what the model sees; `show_*` emit nothing.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.

    Attributes
    ----------
    choice_changed : Signal(ChannelChoice)
    normalisation_changed : Signal(str)
    input_toggled : Signal(bool)
        Whether the model's input is to be shown.
    """

    choice_changed = Signal(ChannelChoice)
    normalisation_changed = Signal(str)
    input_toggled = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axes: list[int] = []
        self._sizes: list[int] = []
        self._neighbours: list[Image] = []
        self._choice = ALONE
        self._channels = _choice_box(_CHANNELS_TIP)
        self._colors = [_channel_box(name) for name in _COLORS]
        self._color_rows = _rows(self._colors)
        self._layers = leave_focus(QListWidget())
        self._layers.setToolTip(_LAYERS_TIP)
        self._layers.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._layers.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._normalisation = _choice_box(_BRIGHTNESS_TIP)
        self._normalisation.addItems(list(_NORMALISATIONS.values()))
        self._input = leave_focus(QCheckBox("Show model input"))
        self._input.setToolTip(_SHOW_TIP)
        self._lay_out()
        self._connect()
        self.show_choice(None, (), (), ALONE)

    @property
    def shows_input(self) -> bool:
        """Whether the model's input is to be shown."""
        return self._input.isChecked()

    def show_choice(
        self,
        image: Image | None,
        axes: Sequence[int],
        neighbours: Iterable[Image],
        choice: ChannelChoice,
    ) -> None:
        """Show what is chosen, and what else there is.

        Parameters
        ----------
        image : Image or None
            That is annotated.
        axes : sequence of int
            Of its data, along which there may be channels.
        neighbours : iterable of Image
            Other layers.
        choice : ChannelChoice
            What is chosen.
        """
        self._choice, self._axes = choice, list(axes)
        self._neighbours = list(neighbours)
        self._sizes = [] if image is None else [int(image.data.shape[axis]) for axis in axes]
        titles = ["this image"]
        if image is not None:
            titles += [_axis_title(image, axis) for axis in axes]
        titles += ["several layers"] * bool(self._neighbours)
        if [self._channels.itemText(at) for at in range(self._channels.count())] != titles:
            self._channels.clear()
            self._channels.addItems(titles)
        self._show_kind()

    def show_normalisation(self, value: Normalisation) -> None:
        """Show what is black and white."""
        self._normalisation.setCurrentIndex(NORMALISATIONS.index(value))

    def show_input(self, is_shown: bool) -> None:
        """Show whether the model's input is shown."""
        with QSignalBlocker(self._input):
            self._input.setChecked(is_shown)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setVerticalSpacing(4)
        for row, (title, widget) in enumerate(
            (("Channels", self._channels), ("Brightness", self._normalisation))
        ):
            label = small(QLabel(title))
            label.setToolTip(widget.toolTip())
            grid.addWidget(label, 2 * row, 0)
            grid.addWidget(widget, 2 * row, 1)
        for part in (self._color_rows, self._layers):  # one of them, or none
            grid.addWidget(part, 1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(grid)
        layout.addWidget(self._input)

    def _connect(self) -> None:
        self._channels.activated.connect(self._on_kind_chosen)
        for box in self._colors:
            box.valueChanged.connect(self._on_color_changed)
        self._layers.itemChanged.connect(self._on_layers_changed)
        self._normalisation.activated.connect(
            lambda at: self.normalisation_changed.emit(NORMALISATIONS[at])
        )
        self._input.toggled.connect(lambda is_on: self.input_toggled.emit(is_on))

    def _show_kind(self) -> None:
        choice = self._choice
        is_along = choice.axis in self._axes
        self._color_rows.setVisible(is_along)
        self._layers.setVisible(bool(choice.others))
        if choice.axis is not None and is_along:
            at = self._axes.index(choice.axis)
            self._channels.setCurrentIndex(1 + at)
            self._show_colors(choice.indices, self._sizes[at])
        elif choice.others:
            self._channels.setCurrentIndex(self._channels.count() - 1)
            self._list_layers(choice.others)
        else:
            self._channels.setCurrentIndex(0)

    def _show_colors(self, indices: Sequence[int | None], size: int) -> None:
        padded = [*indices, *[None] * len(self._colors)]
        for box, at in zip(self._colors, padded, strict=False):
            with QSignalBlocker(box):
                box.setMaximum(min(size - 1, _MANY))
                box.setValue(-1 if at is None else at)

    def _list_layers(self, chosen: Sequence[Image]) -> None:
        with QSignalBlocker(self._layers):
            self._layers.clear()
            for layer in self._neighbours:
                item = QListWidgetItem(layer.name)
                item.setToolTip(layer.name)
                is_in = Qt.CheckState.Checked if layer in chosen else Qt.CheckState.Unchecked
                item.setCheckState(is_in)
                self._layers.addItem(item)
        rows = min(len(self._neighbours), _ROWS)
        height = max(self._layers.sizeHintForRow(0), 16)
        self._layers.setFixedHeight(rows * height + 2 * self._layers.frameWidth() + 2)

    def _on_kind_chosen(self, at: int) -> None:
        if at == 0:
            self._change(ALONE)
        elif at <= len(self._axes):
            axis, size = self._axes[at - 1], self._sizes[at - 1]
            if axis != self._choice.axis:
                self._change(ChannelChoice(axis, tuple(range(min(size, len(self._colors))))))
        elif not self._choice.others:
            self._change(ChannelChoice(others=tuple(self._neighbours)))

    def _on_color_changed(self) -> None:
        values = [box.value() for box in self._colors]
        indices = tuple(None if value < 0 else value for value in values)
        if any(at is not None for at in indices):
            self._change(ChannelChoice(self._choice.axis, indices))
        else:
            self._show_kind()  # one must be left

    def _on_layers_changed(self) -> None:
        items = [self._layers.item(row) for row in range(self._layers.count())]
        checked = [
            layer
            for layer, item in zip(self._neighbours, items, strict=True)
            if item is not None and item.checkState() == Qt.CheckState.Checked
        ]
        self._change(ChannelChoice(others=tuple(checked)))

    def _change(self, choice: ChannelChoice) -> None:
        if choice != self._choice:
            self._choice = choice
            self._show_kind()
            self.choice_changed.emit(choice)


def _axis_title(image: Image, axis: int) -> str:
    """Name an axis; those without a name have a number below 0 from napari."""
    name = str(image.axis_labels[axis])
    name = f"axis {axis}" if name.lstrip("-").isdigit() else name
    return f"along {name} ({int(image.data.shape[axis])})"


def _choice_box(tip: str) -> QComboBox:
    choice = leave_focus(QComboBox())
    choice.setToolTip(tip)
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    choice.setMinimumContentsLength(8)
    return choice


def _channel_box(color: str) -> CalmSpinBox:
    box = CalmSpinBox()
    box.setRange(-1, 0)
    box.setSpecialValueText("none")
    box.setToolTip(f"The channel that the model sees {color.lower()}. A single one is shown grey")
    return box


def _rows(boxes: Sequence[CalmSpinBox]) -> QWidget:
    rows = QWidget()
    grid = QGridLayout(rows)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setSpacing(3)
    grid.setColumnStretch(1, 1)
    for row, (name, box) in enumerate(zip(_COLORS, boxes, strict=True)):
        grid.addWidget(small(QLabel(name)), row, 0)
        grid.addWidget(box, row, 1)
    return rows
