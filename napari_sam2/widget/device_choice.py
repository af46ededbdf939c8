"""Where the model computes."""

from __future__ import annotations

from collections.abc import Mapping

from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QSizePolicy, QWidget

_AUTO = {"auto": "Automatic"}
_TIP = "Where the model computes. Automatic takes the fastest that there is."
_NO_CARD = "PyTorch sees no graphics card here that it could use."


class DeviceChoice(QComboBox):
    """A list of the devices of this computer.

    Which there are, torch knows, and that is imported later: until then there is "Automatic", and
    what was chosen before.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._titles: dict[str, str] = {}
        self._are_known = False
        # A long name is cut, rather than that the dock gets wider.
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.activated.connect(self._on_activated)
        self._fill(_AUTO, "auto")
        self.setToolTip(_TIP)

    @property
    def device(self) -> str:
        """The name of the device that is shown."""
        return list(self._titles)[self.currentIndex()]

    def show_device(self, name: str) -> None:
        """Show a device, without a signal; one that is not here is shown as automatic."""
        if not self._are_known and name not in self._titles:
            self._fill({**self._titles, name: name}, name)
        self.setCurrentIndex(self._index(name))

    def show_devices(self, titles: Mapping[str, str]) -> None:
        """Show which devices there are, by name; none means that it is not known yet."""
        if titles and titles != self._titles:
            self._are_known = True
            self._fill(titles, self.device)
            has_card = any(name not in ("auto", "cpu") for name in titles)
            self.setToolTip(_TIP if has_card else f"{_TIP}\n{_NO_CARD}")

    def _fill(self, titles: Mapping[str, str], current: str) -> None:
        self._titles = dict(titles)
        self.clear()
        self.addItems(list(self._titles.values()))
        self.setCurrentIndex(self._index(current))

    def _index(self, name: str) -> int:
        return list(self._titles).index(name if name in self._titles else "auto")

    def _on_activated(self) -> None:
        self.chosen.emit(self.device)
