"""The table of kept objects: find, look at, name, sort out. It asks, and changes nothing itself."""

from __future__ import annotations

from collections.abc import Collection

from psygnal import Signal
from qtpy.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.session.objects import AtWork, ObjectClass, State
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.keys import DEFAULT_KEYS, Keys
from napari_sam2.widget.look import quiet
from napari_sam2.widget.object_menu import Item, add_classes, object_menu
from napari_sam2.widget.object_model import (
    CLASS,
    ID,
    NAME,
    PLANES,
    ColorOf,
    ObjectModel,
    SiftedModel,
)
from napari_sam2.widget.object_view import DELETE_KEYS, ObjectView

_FILTER_TIP = (
    "Part of a name, a class or a number; or class:nucleus, name:left, score<0.8, area>100. "
    "Several terms must all hold."
)


class ObjectTable(QWidget):
    """Shows the objects of a state, and what can be done with those that are selected.

    Parameters
    ----------
    parent : QWidget, optional
        As in Qt.
    """

    selected = Signal(list)  # of object ids; by the user only
    jump_requested = Signal(int)
    renamed = Signal(int, str)
    class_chosen = Signal(list, str)  # object ids, and the name of a class or ""
    delete_requested = Signal(list)
    merge_requested = Signal(list)
    reopen_requested = Signal(int)
    step_requested = Signal(int)  # to the next (1) or the previous (-1) object
    here_only_changed = Signal(bool)  # whether only what lies on the shown plane is wanted

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._objects = ObjectModel(self)
        self._sifted = SiftedModel(self._objects)
        self._view = ObjectView(self._sifted)
        self._selection = self._view.selection()
        self._classes: tuple[ObjectClass, ...] = ()
        self._keep_key = DEFAULT_KEYS["commit"]
        self._is_quiet = False
        self._filter = QLineEdit()
        self._filter.setPlaceholderText("filter: name, class:..., score<0.8")
        self._filter.setToolTip(_FILTER_TIP)
        self._filter.setClearButtonEnabled(True)
        self._here = IconButton("layers", tip="Only objects on the plane that is shown")
        self._here.setCheckable(True)
        self._count = quiet(QLabel())
        self._make_buttons()
        self._lay_out()
        self._connect()
        self.show_keys(DEFAULT_KEYS)
        self.show_state(State(AtWork(1)), lambda _object_id: "gray")

    @property
    def selected_ids(self) -> list[int]:
        """The selected objects, in the order of the table."""
        rows = sorted(index.row() for index in self._selection.selectedRows())
        return [self._id_at(row) for row in rows]

    def show_state(
        self, state: State, color_of: ColorOf, only: Collection[int] | None = None
    ) -> None:
        """Show the objects of a state; only the rows that have changed are touched.

        Parameters
        ----------
        state : State
            Its `objects` and `classes` are shown.
        color_of : callable
            Gives the colour of an object by its id: what Qt takes for one, or RGBA in [0, 1].
        only : collection of int, optional
            The objects to show; all by default.
        """
        self._is_quiet = True  # rows that go take their selection along: no wish of the user
        self._sifted.show_state(state, color_of, only)
        self._is_quiet = False
        self._classes = state.classes
        self._show_columns(state)
        self._show_rest()

    def refresh_colors(self) -> None:
        """Ask for the colours again: `color_of` gives others now."""
        self._view.redraw()

    def select(self, object_id: int) -> None:
        """Select an object's row and bring it into view, without a signal; none if it has none."""
        index = self._index_of(object_id)
        self._is_quiet = True
        if index.isValid():
            flags = QItemSelectionModel.SelectionFlag
            self._selection.setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)
            self._view.scrollTo(index)
        else:
            self._selection.clear()
        self._is_quiet = False
        self._show_rest()

    def next_id(self, step: int) -> int | None:
        """Give the object `step` rows below the selected one, round past either end."""
        count = self._sifted.rowCount()
        if count == 0:
            return None
        rows = [index.row() for index in self._selection.selectedRows()]
        start = rows[0] if rows else (-1 if step > 0 else 0)
        return self._id_at((start + step) % count)

    def show_keys(self, keys: Keys) -> None:
        """Show other keys."""
        self._previous.set_key(keys["previous_object"])
        self._next.set_key(keys["next_object"])
        self._reopen.set_key(keys["reopen"])
        self._keep_key = keys["commit"]
        self._show_rest()
        self._view.redraw()

    def _make_buttons(self) -> None:
        self._previous = IconButton("previous", tip="Look at the previous object", shows_key=False)
        self._next = IconButton("next", tip="Look at the next object", shows_key=False)
        self._reopen = IconButton(
            "reopen", tip="Open the object again, with its own prompts", shows_key=False
        )
        self._tag = IconButton("tag", tip="Give the selected objects a class")
        self._merge = IconButton("merge", tip="Make one object of the selected ones")
        self._delete = IconButton(
            "delete", tip="Delete the selected objects", key="Del", shows_key=False
        )

    def _lay_out(self) -> None:
        find, act = QHBoxLayout(), QHBoxLayout()
        find.setSpacing(3)
        act.setSpacing(3)
        find.addWidget(self._filter, stretch=1)
        find.addWidget(self._here)
        for button in (self._previous, self._next):
            act.addWidget(button)
        act.addWidget(self._count, stretch=1)
        for button in (self._reopen, self._tag, self._merge, self._delete):
            act.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(find)
        layout.addWidget(self._view)
        layout.addLayout(act)

    def _connect(self) -> None:
        self._selection.selectionChanged.connect(self._on_selection_changed)
        self._filter.textChanged.connect(self._on_filter_changed)
        self._filter.returnPressed.connect(self._filter.clearFocus)
        self._here.toggled.connect(lambda is_on: self.here_only_changed.emit(is_on))
        self._objects.name_edited.connect(lambda i, name: self.renamed.emit(i, name))
        self._view.doubleClicked.connect(lambda index: self._jump(index.row()))
        self._view.customContextMenuRequested.connect(self._on_menu_requested)
        self._view.key_pressed.connect(self._on_key_pressed)
        self._previous.clicked.connect(lambda: self.step_requested.emit(-1))
        self._next.clicked.connect(lambda: self.step_requested.emit(1))
        self._reopen.clicked.connect(self._ask_reopen)
        self._merge.clicked.connect(self._ask_merge)
        self._delete.clicked.connect(self._ask_delete)
        self._tag.clicked.connect(self._on_tag_clicked)

    def _show_columns(self, state: State) -> None:
        """Leave out what has nothing to tell."""
        record = next(iter(state.objects.values()), None)
        self._view.setColumnHidden(PLANES, record is None or len(record.start) < 3)
        self._view.set_digits(len(str(max(state.objects, default=1))))
        has_class = bool(state.classes)
        self._view.setColumnHidden(CLASS, not has_class)
        self._tag.setVisible(has_class)

    def _show_rest(self) -> None:
        total, shown = self._objects.rowCount(), self._sifted.rowCount()
        count = len(self._selection.selectedRows())
        self._count.setText(_describe_count(shown, total, count))
        for button in (self._delete, self._tag):
            button.setEnabled(count > 0)
        self._reopen.setEnabled(count == 1)
        self._merge.setEnabled(count > 1)
        for button in (self._previous, self._next):
            button.setEnabled(shown > 0)
        self._view.empty_text = (
            "No object here passes the filter."
            if total
            else f"No objects yet.\nKeep the first one with {self._keep_key}."
        )

    def _id_at(self, row: int) -> int:
        source = self._sifted.mapToSource(self._sifted.index(row, ID))
        return self._objects.record(source.row()).object_id

    def _index_of(self, object_id: int) -> QModelIndex:
        row = self._objects.row_of(object_id)
        if row is None:
            return QModelIndex()
        return self._sifted.mapFromSource(self._objects.index(row, ID))

    def _jump(self, row: int) -> None:
        self.jump_requested.emit(self._id_at(row))

    def _rename(self) -> None:
        current = self._view.currentIndex()
        if current.isValid():
            self._view.edit(self._sifted.index(current.row(), NAME))

    def _ask_delete(self) -> None:
        if self.selected_ids:
            self.delete_requested.emit(self.selected_ids)

    def _ask_merge(self) -> None:
        self.merge_requested.emit(self.selected_ids)

    def _ask_reopen(self) -> None:
        self.reopen_requested.emit(self.selected_ids[0])

    def _on_selection_changed(self) -> None:
        if not self._is_quiet:
            self._show_rest()
            self.selected.emit(self.selected_ids)

    def _on_filter_changed(self, text: str) -> None:
        self._is_quiet = True
        self._sifted.set_text(text)
        self._is_quiet = False
        self._show_rest()

    def _on_key_pressed(self, key: int) -> None:
        current = self._view.currentIndex()
        if key in DELETE_KEYS:
            self._ask_delete()
        elif key == Qt.Key.Key_F2:
            self._rename()
        elif current.isValid():
            self._jump(current.row())

    def _on_tag_clicked(self) -> None:
        menu = object_menu(self, ())
        add_classes(menu, self._classes, self._choose_class)
        menu.popup(self._tag.mapToGlobal(QPoint(0, self._tag.height())))

    def _on_menu_requested(self, at: QPoint) -> None:
        viewport = self._view.viewport()
        if self.selected_ids and viewport is not None:
            self.context_menu().popup(viewport.mapToGlobal(at))

    def context_menu(self) -> QMenu:
        """Make the menu of what can be done with the selected objects."""
        count = len(self.selected_ids)
        rows = [index.row() for index in self._selection.selectedRows()]
        items = (
            Item("Look at it", "Enter", lambda: self._jump(rows[0]), count == 1),
            Item("Open again", self._reopen.key, self._ask_reopen, count == 1),
            Item("Rename", "F2", self._rename, count == 1),
            Item("Merge", "", self._ask_merge, count > 1),
            Item("Delete", "Del", self._ask_delete, count > 0),
        )
        menu = object_menu(self, items)
        if self._classes:
            add_classes(menu.addMenu("Class"), self._classes, self._choose_class)
        return menu

    def _choose_class(self, name: str) -> None:
        self.class_chosen.emit(self.selected_ids, name)


def _describe_count(shown: int, total: int, selected: int) -> str:
    objects = f"{total} object" + ("" if total == 1 else "s")
    text = objects if shown == total else f"{shown} of {objects}"
    return f"{text} · {selected} selected" if selected > 1 else text
