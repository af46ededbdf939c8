"""Follow the object through a stack or a movie: where, how, how far it is, how good it became."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from psygnal import Signal
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QRangeSlider

from napari_sam2.session.track_plan import Cell, Reach
from napari_sam2.session.tracks import NEVER_STOP, PropagationOptions, StopRules
from napari_sam2.widget.folding import FoldingGroup
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.look import BAR, PRIMARY, leave_focus, quiet, small, wrapping_label
from napari_sam2.widget.score_strip import ScoreStrip

_DIRECTIONS = {"both": "both ways", "forward": "forward", "backward": "backward"}
_OBJECTS = {False: "the one at work", True: "kept ones here, too"}
_METHODS = {"auto": "auto", "memory": "memory", "carry": "carry the mask on"}
_MAX_PATIENCE = 50
_MOST_ENDS = 2  # one each way
_INSET = 12  # pixels
_STRIP_TIP = "Blue planes are yours. Others are as high as their score. A click goes to the plane."
_OBJECTS_TIP = (
    "Kept objects that are on the plane on screen can be followed as well, "
    "where they are not drawn yet."
)
_METHOD_TIP = (
    "Memory is SAM 2's own way: it compares with the planes before. Carrying asks about each "
    "plane with the mask of the one before. Auto takes the memory if it was trained."
)
_EVERYTHING_TIP = (
    "Follow from all planes that are yours. Otherwise, on a plane of yours, only planes up to "
    "the next ones of yours change."
)
_LINK_TIP = "Between two planes of yours, go both ways and take the mask with the better score."
_JUMP_TIP = "End where the area doubles or falls to a tenth from one plane to the next."
_AWAY_TIP = "End where the mask does not overlap with the one before. Off for objects that travel."
_GONE_TIP = "End where the model finds no object any more."
_FADES_TIP = (
    "End where the object's contrast to what is around it falls below 70 % of what it was, as at "
    "the upper and lower end of an object in a stack."
)
_PATIENCE_TIP = "So many bad planes in a row may pass; the gap is closed if the object comes back."
_WHY_CARRY = "{} carries the mask on: its memory is not trained."
_WHY_MEMORY = "{} follows by its memory."
_ASKED_FOR = "{} carries the mask on, as you chose."


class Axis(NamedTuple):
    """An axis with a slider.

    Attributes
    ----------
    axis : int
        Of the data.
    name : str
        For people.
    length : int
        Planes along it.
    """

    axis: int
    name: str
    length: int


class PropagationPanel(QWidget):
    """Asks to follow, and shows what came of it; `show_...` changes what is seen without an echo.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.

    Attributes
    ----------
    strip : ScoreStrip
        What is known of each plane.
    """

    requested = Signal()
    stop_requested = Signal(bool)  # whether to take back what is done
    accept_requested = Signal()
    tracks_requested = Signal()
    table_requested = Signal()
    plane_chosen = Signal(int)
    axis_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axes: tuple[Axis, ...] = ()
        self.strip = ScoreStrip()
        self.strip.setToolTip(_STRIP_TIP)
        self._summary = small(wrapping_label())
        self._weakest = IconButton("find", "Weakest", "Go to the plane with the lowest score")
        self._accept = IconButton(
            "keep", "Accept", "These masks are right: following leaves them as they are from now on"
        )
        self._axis = leave_focus(QComboBox())
        self._axis_label = QLabel("Along")
        self._direction = _choice(_DIRECTIONS.values(), "Which way from the planes of yours")
        self._range = leave_focus(QRangeSlider(Qt.Orientation.Horizontal))  # type: ignore[no-untyped-call]
        self._range.setToolTip("No plane outside is changed")
        self._span = small(QLabel())
        self._objects = _choice(_OBJECTS.values(), _OBJECTS_TIP)
        self._method = _choice(_METHODS.values(), _METHOD_TIP)
        self._why = quiet(wrapping_label())
        self._gone = _check("is gone", _GONE_TIP)
        self._jumps = _check("changes its size", _JUMP_TIP)
        self._away = _check("jumps away", _AWAY_TIP)
        self._fades = _check("fades", _FADES_TIP)
        self._patience = leave_focus(QSpinBox())
        self._patience.setRange(0, _MAX_PATIENCE)
        self._patience.setSuffix(" bad planes pass")
        self._patience.setToolTip(_PATIENCE_TIP)
        self._link = _check("Better of both ways in between", _LINK_TIP)
        self._everything = _check("All planes anew", _EVERYTHING_TIP, is_on=False)
        self._start = leave_focus(QPushButton("Propagate"))
        self._start.setStyleSheet(PRIMARY)
        self._stop = IconButton("keep", "Stop", "What is done stays; one undo takes it back")
        self._revert = IconButton("undo", "Take back", "Stop, and leave all planes as they were")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setStyleSheet(BAR)
        self._bar.setFixedHeight(4)
        self._speed = small(QLabel())
        self._tracks = IconButton("scribble", "Tracks", "Show the middle of all objects as tracks")
        self._table = IconButton(
            "export", "Table...", "Write object, plane, centroid, area and score as CSV"
        )
        self._lay_out()
        self._connect()
        self.show_axes((), None)
        self.show_progress(0, 0, 0.0)
        self.show_cells((), None)

    @property
    def axis(self) -> int | None:
        """The axis of the data along which to go; None if there is none."""
        at = self._axis.currentIndex()
        return self._axes[at].axis if 0 <= at < len(self._axes) else None

    @property
    def reach(self) -> Reach:
        """Which planes may change."""
        first, last = self._span_now
        return Reach(
            direction=list(_DIRECTIONS)[self._direction.currentIndex()],  # type: ignore[arg-type]
            first=first,
            last=last,
            everything=self._everything.isChecked(),
            kept=bool(self._objects.currentIndex()),
        )

    @property
    def _rules(self) -> tuple[QCheckBox, ...]:
        return self._gone, self._jumps, self._away, self._fades

    @property
    def options(self) -> PropagationOptions:
        """How to follow."""
        usual, patience = StopRules(), self._patience.value()
        jumps = self._jumps.isChecked()
        stop = StopRules(
            min_object_score=usual.min_object_score if self._gone.isChecked() else None,
            max_growth=usual.max_growth if jumps else None,
            max_shrinkage=usual.max_shrinkage if jumps else None,
            min_overlap=usual.min_overlap if self._away.isChecked() else None,
            min_contrast=usual.min_contrast if self._fades.isChecked() else None,
            patience=patience,
        )
        is_on = any(part.isChecked() for part in self._rules)
        return PropagationOptions(
            method=list(_METHODS)[self._method.currentIndex()],  # type: ignore[arg-type]
            stop=stop if is_on else NEVER_STOP,
            close_gaps=patience > 0,
            link=self._link.isChecked(),
        )

    def show_axes(self, axes: Sequence[Axis], chosen: int | None) -> None:
        """Show along which axes of the data one can go."""
        if tuple(axes) != self._axes:
            before, self._axes = self.axis if chosen is None else chosen, tuple(axes)
            with QSignalBlocker(self._axis):
                self._axis.clear()
                self._axis.addItems([f"{one.name} ({one.length} planes)" for one in axes])
                for at, one in enumerate(axes):
                    if one.axis == before:
                        self._axis.setCurrentIndex(at)
            self._show_length()
        for part in (self._axis, self._axis_label):
            part.setVisible(len(axes) > 1)

    def show_cells(self, cells: Sequence[Cell], here: int | None) -> None:
        """Show what is known of the object at work, plane by plane, and which one is on screen."""
        self.strip.show_cells(cells, here)
        weakest = self.strip.weakest
        self._weakest.setEnabled(weakest is not None)
        self._accept.setEnabled(weakest is not None)
        self._summary.setText(_in_words(cells, weakest))

    def show_method(self, method: str, model: str, *, has_memory: bool) -> None:
        """Say which method is used, and why."""
        why = _WHY_MEMORY if method == "memory" else _ASKED_FOR if has_memory else _WHY_CARRY
        self._why.setText(why.format(model))
        self._why.show()

    def show_progress(self, done: int, total: int, seconds: float) -> None:
        """Show how far it is; a total of 0 ends it."""
        runs = total > 0
        self._bar.setRange(0, max(total, 1))
        self._bar.setValue(done)
        for part in (self._bar, self._speed, self._stop, self._revert):
            part.setVisible(runs)
        self._start.setVisible(not runs)
        self._speed.setText(_speed(done, total, seconds))

    def allow(self, *, start: bool, output: bool) -> None:
        """Allow to begin, and to give tracks and a table."""
        self._start.setEnabled(start)
        for part in (self._tracks, self._table):
            part.setEnabled(output)

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setColumnStretch(1, 1)
        grid.setVerticalSpacing(4)
        span = QWidget()
        planes = QHBoxLayout(span)
        planes.setContentsMargins(0, 0, 0, 0)
        planes.addWidget(self._range, stretch=1)
        planes.addWidget(self._span)
        rows: tuple[tuple[QLabel, QWidget], ...] = (
            (self._axis_label, self._axis),
            (QLabel("Go"), self._direction),
            (QLabel("Planes"), span),
            (QLabel("Follow"), self._objects),
        )
        for row, (label, part) in enumerate(rows):
            grid.addWidget(label, row, 0)
            grid.addWidget(part, row, 1)
        buttons = QHBoxLayout()
        for button in (self._start, self._stop, self._revert):
            buttons.addWidget(button)
        below = QGridLayout()
        below.setSpacing(5)
        for at, part in enumerate((self._weakest, self._accept, self._tracks, self._table)):
            below.addWidget(part, at // 2, at % 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(grid)
        layout.addWidget(self._why)
        layout.addWidget(self._bar)
        layout.addWidget(self._speed)
        layout.addLayout(buttons)
        layout.addWidget(self.strip)
        layout.addWidget(self._summary)
        layout.addLayout(below)
        layout.addWidget(self._make_more())
        self._why.hide()

    def _make_more(self) -> QWidget:
        """Make what is seldom changed: a group inside the group."""
        more, holder = QWidget(), QWidget()
        inset = QVBoxLayout(holder)
        inset.setContentsMargins(_INSET, 0, 0, 0)
        inset.addWidget(FoldingGroup("How it follows, where it ends", more, folded=True))
        grid = QGridLayout(more)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        grid.setVerticalSpacing(4)
        grid.addWidget(QLabel("Method"), 0, 0)
        grid.addWidget(self._method, 0, 1)
        grid.addWidget(QLabel("End where it"), 1, 0)
        for row, part in enumerate((*self._rules, self._patience), start=1):
            grid.addWidget(part, row, 1)
        grid.addWidget(self._link, 5, 0, 1, 2)
        grid.addWidget(self._everything, 6, 0, 1, 2)
        return holder

    def _connect(self) -> None:
        self._start.clicked.connect(lambda: self.requested.emit())
        self._stop.clicked.connect(lambda: self.stop_requested.emit(False))
        self._revert.clicked.connect(lambda: self.stop_requested.emit(True))
        self._accept.clicked.connect(lambda: self.accept_requested.emit())
        self._tracks.clicked.connect(lambda: self.tracks_requested.emit())
        self._table.clicked.connect(lambda: self.table_requested.emit())
        self._weakest.clicked.connect(self._on_weakest_clicked)
        self._axis.currentIndexChanged.connect(self._on_axis_changed)
        self._range.valueChanged.connect(lambda _: self._show_span())
        self.strip.chosen.connect(self.plane_chosen.emit)

    @property
    def _span_now(self) -> tuple[int, int]:
        first, last = (int(value) for value in self._range.value())  # type: ignore[var-annotated]
        return first, last

    def _on_weakest_clicked(self) -> None:
        if self.strip.weakest is not None:
            self.plane_chosen.emit(self.strip.weakest)

    def _on_axis_changed(self) -> None:
        self._show_length()
        self.axis_changed.emit()

    def _show_length(self) -> None:
        at = self._axis.currentIndex()
        length = self._axes[at].length if 0 <= at < len(self._axes) else 1
        self._range.setRange(0, max(length - 1, 1))
        self._range.setValue((0, max(length - 1, 0)))
        self._show_span()

    def _show_span(self) -> None:
        first, last = self._span_now
        self._span.setText(f"{first} to {last}")


def _in_words(cells: Sequence[Cell], weakest: int | None) -> str:
    ends = [f"Ends at plane {at}: {cell.stop}." for at, cell in enumerate(cells) if cell.stop]
    if ends:
        return "\n".join(ends[:_MOST_ENDS])
    if weakest is not None:
        return f"Weakest: plane {weakest}, score {cells[weakest].score:.2f}"
    return ""


def _speed(done: int, total: int, seconds: float) -> str:
    if not done or not seconds:
        return "Starting ..."
    minutes, rest = divmod(round(seconds / done * (total - done)), 60)
    return f"Plane {done} of {total}, {done / seconds:.1f} a second, {minutes}:{rest:02} left"


def _choice(titles: Iterable[str], tip: str) -> QComboBox:
    box = leave_focus(QComboBox())
    box.addItems(list(titles))
    box.setToolTip(tip)
    return box


def _check(title: str, tip: str, *, is_on: bool = True) -> QCheckBox:
    box = leave_focus(QCheckBox(title))
    box.setChecked(is_on)
    box.setToolTip(tip)
    return box
