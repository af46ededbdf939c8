"""The kept objects as a Qt model that changes only where the state has changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from psygnal import Signal
from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QSortFilterProxyModel,
    Qt,
)
from qtpy.QtGui import QColor

from napari_sam2.session.objects import ObjectClass, ObjectRecord, State
from napari_sam2.widget.object_filter import accepting

ID, NAME, CLASS, SCORE, AREA, PLANES = range(6)
SORT_ROLE = Qt.ItemDataRole.UserRole
_HEADERS = ("id", "name", "class", "score", "pixels", "plane")
_TIPS = (
    "The object's label value",
    "Rename with F2",
    "The object's class",
    "What the model believes its mask is worth, from 0 to 1",
    "Pixels, on all planes together",
    "The planes that it lies on",
)
_ALIGNED_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_ALIGNED_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_NUMERIC = (SCORE, AREA, PLANES)

ColorOf = Callable[[int], Any]


class ObjectModel(QAbstractTableModel):
    """One row for each object that was kept.

    Records are compared by identity: what is the same value is the same row, so that a commit
    among thousands of objects costs one row.

    Parameters
    ----------
    parent : QObject, optional
        As in Qt.
    """

    name_edited = Signal(int, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._ids: list[int] = []
        self._row_of: dict[int, int] = {}
        self._records: Mapping[int, ObjectRecord] = {}
        self._classes: tuple[ObjectClass, ...] = ()
        self._class_colors: dict[str, QColor] = {}
        self._color_of: ColorOf = lambda _object_id: "gray"

    def show_state(self, state: State, color_of: ColorOf) -> None:
        """Take over what has changed."""
        self._color_of = color_of
        before, self._records = self._records, state.objects
        if state.objects is not before:
            self._remove([object_id for object_id in before if object_id not in state.objects])
            added = [object_id for object_id in state.objects if object_id not in before]
            changed = changed_records(before, state.objects)
            self._insert(added)
            self._tell_changed(changed)
        if state.classes != self._classes:
            self._classes = state.classes
            self._class_colors = {each.name: QColor(each.color) for each in state.classes}
            self._tell_column(CLASS)

    def record(self, row: int) -> ObjectRecord:
        """Give the object of a row."""
        return self._records[self._ids[row]]

    def row_of(self, object_id: int) -> int | None:
        """Give the row of an object; None if there is none."""
        return self._row_of.get(object_id)

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Give the number of objects."""
        return 0 if parent is not None and parent.isValid() else len(self._ids)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Give the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_HEADERS)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let names be edited."""
        flags = super().flags(index)
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == NAME else flags

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Give a column's title or tooltip."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _ALIGNED_RIGHT if section in _NUMERIC else _ALIGNED_LEFT
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS[section]
        return _HEADERS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Give what a cell shows, or what it is sorted by."""
        record, column = self.record(index.row()), index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return _TEXT_OF[column](record)
        if role == SORT_ROLE:
            return _SORT_BY[column](record)
        if role == Qt.ItemDataRole.DecorationRole:
            return self._decoration(record, column)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in _NUMERIC:
            return _ALIGNED_RIGHT
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TEXT_OF[column](record) or None
        return None

    def setData(  # noqa: N802
        self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole
    ) -> bool:
        """Tell of a name that was typed; it is shown when the state has it."""
        record, name = self.record(index.row()), str(value).strip()
        if role == Qt.ItemDataRole.EditRole and index.column() == NAME and name != record.name:
            self.name_edited.emit(record.object_id, name)
        return False

    def _decoration(self, record: ObjectRecord, column: int) -> QColor | None:
        if column == ID:
            return as_color(self._color_of(record.object_id))
        return self._class_colors.get(record.class_name) if column == CLASS else None

    def _remove(self, gone: list[int]) -> None:
        runs = list(_runs(sorted(self._row_of[object_id] for object_id in gone)))
        for first, last in reversed(runs):
            self.beginRemoveRows(QModelIndex(), first, last)
            del self._ids[first : last + 1]
            self.endRemoveRows()
        if gone:
            self._row_of = {object_id: row for row, object_id in enumerate(self._ids)}

    def _insert(self, added: list[int]) -> None:
        if added:
            first = len(self._ids)
            self.beginInsertRows(QModelIndex(), first, first + len(added) - 1)
            self._ids += added
            self._row_of.update(zip(added, range(first, len(self._ids)), strict=True))
            self.endInsertRows()

    def _tell_changed(self, changed: Iterable[int]) -> None:
        for first, last in _runs(sorted(self._row_of[object_id] for object_id in changed)):
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(_HEADERS) - 1))

    def _tell_column(self, column: int) -> None:
        if self._ids:
            self.dataChanged.emit(self.index(0, column), self.index(len(self._ids) - 1, column))


class SiftedModel(QSortFilterProxyModel):
    """The objects that pass the filter, in the order that the user wants.

    Parameters
    ----------
    source : ObjectModel
        All objects.
    """

    def __init__(self, source: ObjectModel) -> None:
        super().__init__(source)
        self._objects = source
        self._accept = accepting("")
        self._only: Collection[int] | None = None
        self.setSortRole(SORT_ROLE)
        self.setSourceModel(source)

    def set_text(self, text: str) -> None:
        """Take a filter as `object_filter.accepting` reads it."""
        self._accept = accepting(text)
        self.invalidateFilter()

    def show_state(self, state: State, color_of: ColorOf, only: Collection[int] | None) -> None:
        """Take over what has changed; objects that are not among `only` are left out."""
        before = self._objects._records
        was, self._only = self._only, only
        self._objects.show_state(state, color_of)
        if _other_rows_pass(was, only, before, state.objects):
            self.invalidateFilter()

    def filterAcceptsRow(self, row: int, _parent: QModelIndex) -> bool:  # noqa: N802
        """Tell whether an object is shown."""
        record = self._objects.record(row)
        is_here = self._only is None or record.object_id in self._only
        return is_here and self._accept(record)


def changed_records(
    before: Mapping[int, ObjectRecord], after: Mapping[int, ObjectRecord]
) -> list[int]:
    """Name the objects of both that have another record now."""
    return [
        object_id
        for object_id, record in after.items()
        if (old := before.get(object_id)) is not None and old is not record
    ]


def as_color(color: Any) -> QColor:
    """Make a colour of what Qt takes for one, or of red, green, blue (and alpha) in [0, 1]."""
    if isinstance(color, (str, QColor, Qt.GlobalColor)):
        return QColor(color)
    return QColor.fromRgbF(*(float(part) for part in color))


def describe_planes(record: ObjectRecord) -> str:
    """Give the indices along the axes before the last two, such as "3" or "12-18"."""
    ranges = zip(record.start[:-2], record.stop[:-2], strict=True)
    return ", ".join(str(a) if b == a + 1 else f"{a}\u2013{b - 1}" for a, b in ranges)


def _other_rows_pass(
    was: Collection[int] | None,
    now: Collection[int] | None,
    before: Mapping[int, ObjectRecord],
    after: Mapping[int, ObjectRecord],
) -> bool:
    """Tell whether another filter concerns rows that Qt does not ask about anyway."""
    if was is None or now is None:
        return was is not now
    turned = set(was) ^ set(now)
    return any(before.get(object_id) is after.get(object_id) for object_id in turned)


def _runs(rows: list[int]) -> Iterator[tuple[int, int]]:
    """Give the first and the last of each run of rows, which are sorted."""
    start = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end] != rows[end - 1] + 1:
            yield rows[start], rows[end - 1]
            start = end


_TEXT_OF: tuple[Callable[[ObjectRecord], str], ...] = (
    lambda record: str(record.object_id),
    lambda record: record.name,
    lambda record: record.class_name,
    lambda record: "" if math.isnan(record.score) else f"{record.score:.2f}",
    lambda record: f"{record.area:,}".replace(",", "\u2009"),
    describe_planes,
)
_SORT_BY: tuple[Callable[[ObjectRecord], int | float | str], ...] = (
    lambda record: record.object_id,
    lambda record: record.name.casefold(),
    lambda record: record.class_name.casefold(),
    lambda record: -1.0 if math.isnan(record.score) else record.score,
    lambda record: record.area,
    lambda record: ",".join(f"{start:09}" for start in record.start[:-2]),
)
