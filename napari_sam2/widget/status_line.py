"""The line that always says what is going on."""

from __future__ import annotations

from napari.utils import progress
from qtpy.QtCore import Qt
from qtpy.QtGui import QPainter, QPaintEvent
from qtpy.QtWidgets import QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_sam2.widget.look import BAR, delayed
from napari_sam2.widget.sentence import Sentence

_BUSY_AFTER_MS = 150  # what is quicker than this should not flicker
_TEXT_HEIGHT = 36  # two lines, so that a longer sentence seldom moves what is below
_STAGES = {
    "starting": "Starting ...",
    "loading": "Loading the model ...",
    "downloading": "Downloading the model ...",
    "embedding": "Looking at the image ...",
    "decoding": "Drawing the mask ...",
}
_LONG_STAGES = ("loading", "downloading", "embedding")  # shown in napari's activity dock as well
_SHORT_STAGES = ("starting", "decoding")  # not worth a word, and a repaint, unless they last


class StatusLine(QWidget):
    """A sentence, and a bar that moves while the worker is busy.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = Sentence(_TEXT_HEIGHT)
        self._bar = QProgressBar()
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._bar.setStyleSheet(BAR)
        self._bar.setFixedHeight(4)
        policy = self._bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # so that nothing jumps
        self._bar.setSizePolicy(policy)
        self._bar.hide()
        self._delay = delayed(self, _BUSY_AFTER_MS, self._show_busy)
        self._stage = ""  # what to say of it
        self._activity: progress | None = None
        self._kind = ""  # of the stage that the activity shows
        self._detail = _ElidedLabel()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self._text)
        layout.addWidget(self._bar)
        layout.addWidget(self._detail)

    @property
    def text(self) -> str:
        """What the line says."""
        return self._text.text

    @property
    def detail(self) -> str:
        """What is below it."""
        return str(self._detail.text())

    def say(self, text: str) -> None:
        """Say what is going on."""
        self._text.say(text)

    def complain(self, text: str) -> None:
        """Say what went wrong."""
        self._text.say(text, is_complaint=True)

    def show_detail(
        self, model: str = "", device: str = "", embedding: str = "", seconds: float | None = None
    ) -> None:
        """Show quietly what computes, and how the last step went; what is empty is left out.

        Parameters
        ----------
        model, device : str
            Their names, for people.
        embedding : str
            Such as "embedding cached", "embedding computing" or "embedding ready".
        seconds : float, optional
            Time of the last step.
        """
        step = "" if seconds is None else _duration(seconds)
        self._detail.setText(" · ".join(part for part in (model, device, embedding, step) if part))

    def show_stage(self, stage: str) -> None:
        """Show that the worker is busy with a stage; at rest if it is empty."""
        if not stage:
            self.rest()
            return
        kind, _, share = stage.partition(" ")  # "downloading 35 %"
        self._stage = f"{_STAGES[kind]} {share}".rstrip()
        if self._bar.isVisible() or kind not in _SHORT_STAGES:
            self.say(self._stage)
        if not self._bar.isVisible() and not self._delay.isActive():
            self._delay.start()
        percent = int(share.split()[0]) if share else None
        self._bar.setRange(0, 0 if percent is None else 100)
        self._bar.setValue(percent or 0)
        self._show_activity(kind, percent)

    def _show_busy(self) -> None:
        self._bar.show()
        self.say(self._stage)

    def _show_activity(self, kind: str, percent: int | None) -> None:
        if kind != self._kind:
            self._end_activity()
            self._kind = kind
            if kind in _LONG_STAGES:
                self._begin_activity(kind, 0 if percent is None else 100)
        if self._activity is not None and percent is not None:
            self._activity.update(percent - self._activity.n)

    def _begin_activity(self, kind: str, total: int) -> None:
        activity = progress(total=total, desc=f"SAM 2: {_STAGES[kind]}", file=_Nowhere())
        # napari has let Qt work meanwhile, so the next stage may have been shown already.
        if kind == self._kind:
            self._activity = activity
        else:
            activity.close()

    def rest(self) -> None:
        """Stop the bar, and napari's."""
        self._delay.stop()
        self._bar.hide()
        self._end_activity()

    def _end_activity(self) -> None:
        if self._activity is not None:
            self._activity.close()
            self._activity = None
        self._kind = ""


class _ElidedLabel(QLabel):
    """One line that ends in dots where there is no room; the tooltip has it all.

    It keeps the text itself: a `QLabel` lays everything around it out again, see `Sentence`.
    """

    def __init__(self) -> None:
        super().__init__(" ")  # as high as a line
        self._line = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setStyleSheet("QLabel { font-size: 10px; }")

    def setText(self, text: str | None) -> None:  # noqa: N802
        self._line = text or ""
        self.setToolTip(self._line)
        self.update()

    def text(self) -> str:
        """Give the whole line."""
        return self._line

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.setOpacity(0.7)
        metrics, room = self.fontMetrics(), self.contentsRect().adjusted(4, 0, 0, 0)
        text = metrics.elidedText(self._line, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter), text)
        painter.end()


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


class _Nowhere:
    """A file that forgets: without a window, napari's progress prints to the terminal."""

    def write(self, _text: str) -> None: ...

    def flush(self) -> None: ...
