"""The group "Train on my objects": what is asked for, and how it goes."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.training.tuning import (
    DEFAULT_STEPS,
    FEWEST_OBJECTS,
    MODES,
    Outcome,
    Progress,
    Recipe,
)
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.learning_curve import LearningCurve
from napari_sam2.widget.look import BAR, leave_focus, quiet, small, wrapping_label

_TITLES = {"head": "Quick: how it draws", "full": "Thorough: how it sees, too"}
_MODE_TIP = "Quick works without a graphics card; thorough takes many times as long there"
_NAME_TIP = "Under this name the new model appears in the list of models"
_RUNS = "Go on annotating meanwhile; answers take longer."
_MOST_STEPS = 100_000


class TrainPanel(QWidget):
    """Asks for a training; what is shown is changed by `show_...` without an echo.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    start_requested = Signal(str, object)  # the name, and a Recipe
    resume_requested = Signal()
    stop_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hint = quiet(wrapping_label())
        self._name = QLineEdit("mine")
        self._name.setToolTip(_NAME_TIP)
        self._mode = leave_focus(QComboBox())
        self._mode.addItems([_TITLES[mode] for mode in MODES])
        self._mode.setToolTip(_MODE_TIP)
        self._steps = QSpinBox()
        self._steps.setRange(1, _MOST_STEPS)
        self._steps.setSingleStep(50)
        self._steps.setValue(DEFAULT_STEPS)
        self._steps.setToolTip("More take longer and learn more")
        self._start = IconButton("predict", "Train", "Make a model of your own that knows these")
        self._go_on = IconButton("redo", "Go on", "Go on with the training that was stopped")
        self._stop = IconButton("cancel", "Stop", "What was learnt so far is kept: go on later")
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setStyleSheet(BAR)
        self._bar.setFixedHeight(4)
        self._stage = small(QLabel())
        self._curve = LearningCurve()
        self._figures = small(wrapping_label())
        self._is_allowed = self._can_go_on = self._runs = False
        self._step, self._offer = 0, ""
        self._lay_out()
        self._start.clicked.connect(self._on_start_clicked)
        self._go_on.clicked.connect(lambda: self.resume_requested.emit())
        self._stop.clicked.connect(lambda: self.stop_requested.emit())
        self.show_kept(0, "micro")
        self._curve.hide()
        self._figures.hide()
        self._show_state()

    def show_kept(self, count: int, base: str) -> None:
        """Show what could be learnt from, and what the training would begin with."""
        self._is_allowed = count >= FEWEST_OBJECTS
        if self._is_allowed:
            text = f"Makes a copy of {base} learn your {count} kept objects. A fifth of them is "
            self._offer = f"{text}held out to see whether it helps."
        else:
            self._offer = (
                f"Keep at least {FEWEST_OBJECTS} objects to train on, {count} so far. Twenty or "
                "more are better."
            )
        self._show_state()

    def show_begin(self, steps: int, is_new: bool) -> None:
        """Show that a training runs, of which nothing is known yet."""
        self._runs, self._can_go_on = True, False
        if is_new:
            self._step = 0
            self._curve.begin(steps)
            self._figures.hide()
        self._curve.show()
        self._bar.setRange(0, 0)
        self._stage.setText("loading the model")
        self._show_state()

    def show_progress(self, progress: Progress) -> None:
        """Show how far it is."""
        self._bar.setRange(0, progress.total)
        self._bar.setValue(progress.done)
        self._stage.setText(_stage(progress))
        if progress.stage == "training" and progress.loss is not None:
            self._step = progress.done
            self._curve.add_loss(progress.done, progress.loss)
        if progress.figures is not None:
            self._curve.add_iou(self._step, progress.figures.mean)

    def show_end(self, outcome: Outcome | None, can_go_on: bool = False) -> None:
        """Show that no training runs any more, and what has come of it."""
        self._runs, self._can_go_on = False, can_go_on
        if outcome is not None:
            before, after = outcome.before, outcome.after
            self._figures.setText(
                f"IoU on {outcome.held_out} held-out objects:\none click {before.click:.2f} → "
                f"{after.click:.2f}, box {before.box:.2f} → {after.box:.2f}"
            )
            self._figures.show()
        self._show_state()

    def show_name(self, name: str) -> None:
        """Propose a name."""
        self._name.setText(name)

    def _show_state(self) -> None:
        self._hint.setText(_RUNS if self._runs else self._offer)
        for part in (self._bar, self._stage, self._stop):
            part.setVisible(self._runs)
        for field in (self._name, self._mode, self._steps):
            field.setEnabled(not self._runs)
        self._start.setVisible(not self._runs)
        self._start.setEnabled(self._is_allowed)
        self._go_on.setVisible(self._can_go_on and not self._runs)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        form.setVerticalSpacing(4)
        form.addRow("Name", self._name)
        form.addRow("Train", self._mode)
        form.addRow("Steps", self._steps)
        buttons = QHBoxLayout()
        for button in (self._start, self._go_on, self._stop):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._hint)
        layout.addLayout(form)
        layout.addLayout(buttons)
        for part in (self._bar, self._stage, self._curve, self._figures):
            layout.addWidget(part)

    def _on_start_clicked(self) -> None:
        recipe = Recipe(MODES[self._mode.currentIndex()], self._steps.value())
        self.start_requested.emit(self._name.text().strip(), recipe)


def _stage(progress: Progress) -> str:
    what = {
        "looking": "looking at the pictures",
        "checking": "checking what is held out",
        "training": "step",
    }[progress.stage]
    return f"{what}, {progress.done} of {progress.total}".replace("step,", "step")
