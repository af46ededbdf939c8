"""Which model segments."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QVBoxLayout, QWidget

from napari_sam2.weights.registry import REGISTRY, Entry, own_models
from napari_sam2.widget.look import quiet, wrapping_label

_BYTES_PER_PARAMETER = 4  # the official checkpoints are float32


class ModelPanel(QWidget):
    """A list of models, with what choosing one costs.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: dict[str, Entry] = {}
        self._choice = QComboBox()
        self._choice.setToolTip("Larger models see more, and take longer.")
        self._choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._choice.setMinimumContentsLength(8)  # a long name must not widen the dock
        self._hint = quiet(wrapping_label())
        self._choice.activated.connect(self._on_activated)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._choice)
        layout.addWidget(self._hint)
        self.list_models()

    @property
    def entry(self) -> Entry:
        """The chosen model."""
        return list(self._entries.values())[self._choice.currentIndex()]

    def list_models(self) -> None:
        """List what there is now, the user's own models behind what comes with us; no signal."""
        before = self.entry.name if self._entries else ""
        bundled = {name: entry for name, entry in REGISTRY.items() if entry.bundled}
        self._entries = {**bundled, **own_models(), **REGISTRY}
        self._choice.clear()
        self._choice.addItems([_title(entry) for entry in self._entries.values()])
        self.show_model(before)
        self._show_hint()

    def show_model(self, name: str) -> None:
        """Show a model, without a signal; one that is not in the list is passed over."""
        if name in self._entries:
            self._choice.setCurrentIndex(list(self._entries).index(name))
            self._show_hint()

    def _show_hint(self) -> None:
        hint = _hint(self.entry)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))

    def _on_activated(self) -> None:
        self._show_hint()
        self.chosen.emit(self.entry.name)


def _title(entry: Entry) -> str:
    if entry.bundled:
        return f"{entry.name} (included)"
    if entry.repo is None:
        return f"{entry.name} (yours)"
    return f"{entry.name} ({_version(entry)})"


def _version(entry: Entry) -> str:
    return "SAM 2.1" if (entry.config_name or "").startswith("sam2.1") else "SAM 2.0"


def _hint(entry: Entry) -> str:
    if entry.repo is None:
        return ""
    megabytes = (entry.parameters or 0) * _BYTES_PER_PARAMETER / 1e6
    return f"Downloads {megabytes:.0f} MB the first time, from {entry.repo} ({entry.licence})."
