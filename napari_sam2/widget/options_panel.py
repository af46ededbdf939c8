"""How the plugin works: live or asked, what is looked at, which mask first, what is tidied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from psygnal import Signal
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.widget.calm_spin_box import CalmSpinBox
from napari_sam2.widget.folder_choice import FolderChoice
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.keys import DEFAULT_KEYS, Keys
from napari_sam2.widget.look import leave_focus, small
from napari_sam2.widget.settings import MAX_PIXELS, MAX_SMOOTH, Settings

_RULES = {
    "best": "best score",
    "largest": "largest",
    "smallest": "smallest",
    "same": "as the last object",
}
_POLICIES = {
    "keep": "stays with the older one",
    "replace": "goes to the new one",
    "empty": "only where nothing is",
}
_FIELDS = {
    "auto": "automatic",
    "whole": "whole image",
    "visible": "what is on screen",
    "fixed": "fixed: the frame",
}
_LIVE_TIP = "The mask follows each point and box at once. Turn it off on a slow machine"
_ASK_TIP = "Ask the model about what is marked now"
_RULE_TIP = (
    "Of the masks that the model offers, which one is shown first. "
    "As the last object: the one nearest in size to what you kept last."
)
_POLICY_TIP = (
    "Where a mask that you keep meets an object: keep the object's pixels, take them over, "
    "or draw into empty pixels only, painted ones included."
)
_FIELD_TIP = (
    "How much of the image the model looks at; a thin frame shows it. Automatic: the part around "
    "the object, closer for a small one. Fixed: what is in the frame now, or of the next mask."
)
_EACH_TIP = "Every box or outline that you draw becomes an object by itself, one after the other."
_CLICKED_TIP = (
    "Of a mask in several parts, keep those that you clicked. Masks of a box keep all their parts."
)
_HOLES_TIP = "Fill what a mask encloses. You see it before you keep it."
_AREA_TIP = "Drop loose parts of a mask with fewer pixels than this; 0 drops none."
_SMOOTH_TIP = "Smooth the outline within so many pixels; 0 leaves it as the model drew it."
_FOLDER_TIP = (
    "Where objects are kept that are too large for memory: those of lazy images above 256 MiB. "
    "In a folder of yours they stay, as OME-Zarr; others are removed with their layer. "
    "Counts for the next image."
)


class OptionsPanel(QWidget):
    """Edits the settings of the work; what is shown is changed by `show_settings` without an echo.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    changed = Signal(Settings)
    predict_requested = Signal()
    folder_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = Settings()
        self._live = _check("Live", _LIVE_TIP)
        self._ask = IconButton("predict", "Ask now", _ASK_TIP)
        self._rule = _choice(_RULES, _RULE_TIP)
        self._policy = _choice(_POLICIES, _POLICY_TIP)
        self._field = _choice(_FIELDS, _FIELD_TIP)
        self._each = _check("Each shape is an object", _EACH_TIP)
        self._clicked = _check("Only what is clicked", _CLICKED_TIP)
        self._holes = _check("Fill holes", _HOLES_TIP)
        self._area = _number(MAX_PIXELS, _AREA_TIP)
        self._smooth = _number(MAX_SMOOTH, _SMOOTH_TIP)
        self._folder = FolderChoice("in a temporary folder")
        self._folder.setToolTip(_FOLDER_TIP)
        self._lay_out()
        self._connect()
        self.show_settings(self._settings)
        self.show_keys(DEFAULT_KEYS)

    def show_settings(self, settings: Settings) -> None:
        """Show settings; nothing is emitted."""
        self._settings = settings
        for box, is_on in (
            (self._live, settings.live),
            (self._each, settings.each_shape),
            (self._clicked, settings.only_clicked),
            (self._holes, settings.fill_holes),
        ):
            with QSignalBlocker(box):
                box.setChecked(is_on)
        self._rule.setCurrentIndex(list(_RULES).index(settings.rule))
        self._policy.setCurrentIndex(list(_POLICIES).index(settings.policy))
        self._field.setCurrentIndex(list(_FIELDS).index(settings.field_of_view))
        for spin, value in ((self._area, settings.min_area), (self._smooth, settings.smooth)):
            with QSignalBlocker(spin):
                spin.setValue(value)
        self._folder.show_folder(settings.labels_folder)

    def show_keys(self, keys: Keys) -> None:
        """Show other keys."""
        self._ask.set_key(keys["predict"])
        self._live.setText(f"Live  ({keys['live']})")
        self._live.setToolTip(f"{_LIVE_TIP} ({keys['live']})")

    def _lay_out(self) -> None:
        first = QHBoxLayout()
        first.addWidget(self._live, stretch=1)
        first.addWidget(self._ask)
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setVerticalSpacing(4)
        rows = (
            ("Field of view", self._field),
            ("First mask", self._rule),
            ("Overlap", self._policy),
            ("Clean-up", self._clicked),
            ("", self._holes),
            ("Drop below", self._area),
            ("Smooth by", self._smooth),
            ("Large labels", self._folder),
        )
        for row, (title, widget) in enumerate(rows):
            label = small(QLabel(title))
            label.setToolTip(widget.toolTip())
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(first)
        layout.addWidget(self._each)
        layout.addLayout(grid)

    def _connect(self) -> None:
        self._ask.clicked.connect(lambda: self.predict_requested.emit())
        self._live.toggled.connect(self._setting("live"))
        self._each.toggled.connect(self._setting("each_shape"))
        self._clicked.toggled.connect(self._setting("only_clicked"))
        self._holes.toggled.connect(self._setting("fill_holes"))
        self._rule.activated.connect(lambda at: self._change("rule", list(_RULES)[at]))
        self._field.activated.connect(lambda at: self._change("field_of_view", list(_FIELDS)[at]))
        self._policy.activated.connect(lambda at: self._change("policy", list(_POLICIES)[at]))
        self._area.valueChanged.connect(self._setting("min_area"))
        self._smooth.valueChanged.connect(self._setting("smooth"))
        self._folder.chosen.connect(self._setting("labels_folder"))
        self._folder.requested.connect(self.folder_requested.emit)

    def _setting(self, name: str) -> Callable[[Any], None]:
        return lambda value: self._change(name, value)

    def _change(self, name: str, value: Any) -> None:
        settings = replace(self._settings, **{name: value})
        if settings != self._settings:
            self._settings = settings
            self.changed.emit(settings)


def _number(highest: int, tip: str) -> QSpinBox:
    spin = CalmSpinBox()
    spin.setRange(0, highest)
    spin.setSuffix(" px")
    spin.setSpecialValueText("off")
    spin.setToolTip(tip)
    return spin


def _check(title: str, tip: str) -> QCheckBox:
    box = leave_focus(QCheckBox(title))
    box.setToolTip(tip)
    return box


def _choice(titles: dict[str, str], tip: str) -> QComboBox:
    choice = leave_focus(QComboBox())
    choice.addItems(list(titles.values()))
    choice.setToolTip(tip)
    choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    choice.setMinimumContentsLength(8)
    return choice
