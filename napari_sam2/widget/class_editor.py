"""The classes that objects may have, with their colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from psygnal import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_sam2.session.objects import ObjectClass
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.look import BACKGROUND, leave_focus, quiet, wrapping_label

# Okabe and Ito's colours, which people with any colour vision can tell apart; grey for their black,
# which nobody would see on a dark image.
PALETTE = (
    *("#56b4e9", "#e69f00", "#009e73", "#cc79a7"),
    *("#f0e442", "#d55e00", "#0072b2", "#999999"),
)
AskColor = Callable[[str, QWidget], "str | None"]


def ask_color(color: str, parent: QWidget) -> str | None:
    """Let the user choose a colour; None if he does not."""
    chosen = QColorDialog.getColor(QColor(color), parent, "Colour of the class")
    return str(chosen.name()) if chosen.isValid() else None


def next_color(classes: tuple[ObjectClass, ...]) -> str:
    """Give the first colour of the palette that is least used."""
    used = [each.color for each in classes]
    return min(PALETTE, key=used.count)


class ClassEditor(QWidget):
    """One row for each class, and one to add another.

    Parameters
    ----------
    ask : callable
        Asks for a colour, given the present one.
    parent : QWidget, optional
        As in Qt.
    """

    classes_changed = Signal(tuple)  # of ObjectClass
    renamed = Signal(str, str)  # before `classes_changed`: the name that was, and that is

    def __init__(self, ask: AskColor = ask_color, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ask = ask
        self._classes: tuple[ObjectClass, ...] = ()
        self._problem = quiet(wrapping_label())
        self._problem.setStyleSheet(f"QLabel {{ color: {BACKGROUND}; font-size: 11px; }}")
        self._new = QLineEdit()
        self._new.setPlaceholderText("new class, such as nucleus")
        self._new.returnPressed.connect(self._on_add)
        add = IconButton("add", tip="Add the class (Enter)")
        add.clicked.connect(self._on_add)
        last = QHBoxLayout()
        last.setSpacing(4)
        last.addWidget(self._new, stretch=1)
        last.addWidget(add)
        self._rows = QVBoxLayout()
        self._rows.setSpacing(3)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(self._rows)
        layout.addLayout(last)
        layout.addWidget(self._problem)
        self._complain("")

    def show_classes(self, classes: tuple[ObjectClass, ...]) -> None:
        """Show classes; nothing is emitted."""
        if classes == self._classes:
            return
        self._classes = classes
        while (item := self._rows.takeAt(0)) is not None:
            if (row := item.widget()) is not None:
                row.hide()
                row.deleteLater()
        for each in classes:
            self._rows.addWidget(self._row(each))

    def _row(self, each: ObjectClass) -> QWidget:
        row = QWidget()
        swatch, name = leave_focus(QPushButton()), QLineEdit(each.name)
        swatch.setFixedSize(24, 24)
        swatch.setStyleSheet(f"QPushButton {{ background: {each.color}; border-radius: 3px; }}")
        swatch.setToolTip("Change the colour")
        swatch.clicked.connect(lambda: self._on_recolor(each))
        name.setToolTip("Rename the class; Enter when done")
        name.editingFinished.connect(lambda: self._on_rename(each, name))
        remove = IconButton("cancel", tip="Remove the class; its objects stay, without a class")
        remove.clicked.connect(lambda: self._on_remove(each))
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(swatch)
        layout.addWidget(name, stretch=1)
        layout.addWidget(remove)
        return row

    def _on_add(self) -> None:
        name = self._new.text().strip()
        problem = self._problem_with(name)
        self._complain(problem)
        if not problem:
            self._new.clear()
            self._change((*self._classes, ObjectClass(name, next_color(self._classes))))

    def _on_rename(self, each: ObjectClass, edit: QLineEdit) -> None:
        name = edit.text().strip()
        if name == each.name or each not in self._classes:
            return
        problem = self._problem_with(name)
        self._complain(problem)
        if problem:
            edit.setText(each.name)
            return
        self.renamed.emit(each.name, name)
        self._swap(each, replace(each, name=name))

    def _on_recolor(self, each: ObjectClass) -> None:
        color = self._ask(each.color, self)
        if color is not None and color != each.color:
            self._swap(each, replace(each, color=color))

    def _on_remove(self, each: ObjectClass) -> None:
        self._complain("")
        self._change(tuple(other for other in self._classes if other != each))

    def _swap(self, old: ObjectClass, new: ObjectClass) -> None:
        self._change(tuple(new if each == old else each for each in self._classes))

    def _change(self, classes: tuple[ObjectClass, ...]) -> None:
        self.show_classes(classes)
        self.classes_changed.emit(classes)

    def _problem_with(self, name: str) -> str:
        if not name:
            return "A class needs a name, got none. Type one."
        if any(name == each.name for each in self._classes):
            return f"There is a class '{name}' already. Choose another name."
        return ""

    def _complain(self, problem: str) -> None:
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))
