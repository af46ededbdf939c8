from __future__ import annotations

from unittest.mock import Mock, call

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QEvent, QItemSelectionModel, Qt
from qtpy.QtGui import QColor, QKeyEvent
from qtpy.QtWidgets import QLineEdit, QMenu, QTableView

from napari_sam2.session.objects import State
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.object_model import AREA, CLASS, ID, NAME, PLANES, SCORE, as_color
from napari_sam2.widget.object_table import ObjectTable
from tests.widget.samples import DEBRIS, NUCLEUS, added, record, state, without

THREE = state(
    record(3, score=0.7, name="left", class_name="nucleus"),
    record(1, score=0.9, class_name="red debris"),
    record(2),
)


def color_of(object_id: int) -> str:
    return f"#0000{object_id:02x}"


@pytest.fixture
def table(qtbot: QtBot) -> ObjectTable:
    table = ObjectTable()
    qtbot.addWidget(table)
    table.resize(280, 300)
    table.show_state(THREE, color_of)
    return table


def view(table: ObjectTable) -> QTableView:
    return table.findChild(QTableView)


def column(table: ObjectTable, column: int, role=Qt.ItemDataRole.DisplayRole) -> list:
    model = view(table).model()
    return [model.index(row, column).data(role) for row in range(model.rowCount())]


def ids(table: ObjectTable) -> list[int]:
    return [int(text) for text in column(table, ID)]


def choose(table: ObjectTable, *rows: int) -> None:
    """Select rows as the user does."""
    flags = QItemSelectionModel.SelectionFlag
    view(table).clearSelection()
    for row in rows:
        index = view(table).model().index(row, ID)
        view(table).selectionModel().setCurrentIndex(index, flags.Select | flags.Rows)


def button(table: ObjectTable, tip: str) -> IconButton:
    return next(b for b in table.findChildren(IconButton) if b.toolTip().startswith(tip))


def filter_by(table: ObjectTable, text: str) -> None:
    table.findChild(QLineEdit).setText(text)


def changes(table: ObjectTable) -> Mock:
    """What Qt is told of the model."""
    told, model = Mock(), view(table).model().sourceModel()
    model.rowsInserted.connect(lambda _parent, first, last: told.inserted(first, last))
    model.rowsRemoved.connect(lambda _parent, first, last: told.removed(first, last))
    model.dataChanged.connect(lambda first, last: told.changed(first.row(), last.row()))
    for signal in (model.modelReset, model.layoutChanged):
        signal.connect(lambda *_: told.reset())
    return told


def test_a_row_shows_what_is_known_of_the_object(table: ObjectTable) -> None:
    assert ids(table) == [1, 2, 3]
    assert column(table, NAME) == ["", "", "left"]
    assert column(table, CLASS) == ["red debris", "", "nucleus"]
    assert column(table, SCORE) == ["0.90", "", "0.70"]
    assert column(table, AREA) == ["10", "20", "30"]
    decoration = Qt.ItemDataRole.DecorationRole
    assert column(table, ID, decoration) == [QColor(color_of(i)) for i in (1, 2, 3)]
    assert column(table, CLASS, decoration) == [QColor(DEBRIS.color), None, QColor(NUCLEUS.color)]


def test_a_colour_may_be_what_naparis_labels_give() -> None:
    assert as_color((1.0, 0.0, 0.0, 1.0)) == QColor("#ff0000")
    assert as_color("red") == QColor("red")


@pytest.mark.parametrize(
    ("start", "stop", "text"),
    [
        ((3, 0, 0), (4, 5, 5), "3"),
        ((12, 0, 0), (19, 5, 5), "12\u201318"),
        ((1, 12, 0, 0), (2, 19, 5, 5), "1, 12\u201318"),
    ],
)
def test_planes_are_shown_for_stacks(
    table: ObjectTable, start: tuple, stop: tuple, text: str
) -> None:
    assert view(table).isColumnHidden(PLANES)
    table.show_state(state(record(1, start=start, stop=stop)), color_of)
    assert not view(table).isColumnHidden(PLANES)
    assert column(table, PLANES) == [text]


def test_classes_are_hidden_until_there_are_some(table: ObjectTable) -> None:
    assert not view(table).isColumnHidden(CLASS)
    table.show_state(state(record(1), classes=()), color_of)
    assert view(table).isColumnHidden(CLASS)


def test_only_rows_that_have_changed_are_told(table: ObjectTable) -> None:
    told = changes(table)
    table.show_state(added(THREE, record(4)), color_of)
    assert told.mock_calls == [call.inserted(3, 3)]
    told.reset_mock()
    renamed = added(THREE, record(4), record(1, name="right"))
    table.show_state(added(renamed, record(4)), color_of)
    assert told.mock_calls == [call.changed(1, 1), call.changed(3, 3)]
    told.reset_mock()
    table.show_state(without(renamed, 3, 1, 4), color_of)
    assert told.mock_calls == [call.removed(3, 3), call.removed(0, 1)]
    assert ids(table) == [2]


def test_the_same_state_again_tells_nothing(table: ObjectTable) -> None:
    told = changes(table)
    table.show_state(THREE, color_of)
    table.show_state(State(THREE.at_work, dict(THREE.objects), THREE.classes), color_of)
    assert told.mock_calls == []


def test_taking_back_a_deletion_brings_the_row_back(table: ObjectTable) -> None:
    table.show_state(without(THREE, 1), color_of)
    assert ids(table) == [2, 3]
    table.show_state(THREE, color_of)
    assert ids(table) == [1, 2, 3]


def test_a_commit_among_five_thousand_objects_touches_one_row(table: ObjectTable) -> None:
    many = state(*(record(i, score=i % 100 / 100) for i in range(1, 5001)))
    table.show_state(many, color_of)
    model = view(table).model().sourceModel()
    reset, inserted, changed = Mock(), Mock(), Mock()
    model.modelReset.connect(reset)
    model.rowsInserted.connect(lambda _parent, first, last: inserted(last - first + 1))
    model.dataChanged.connect(lambda first, last: changed(last.row() - first.row() + 1))
    many = added(many, record(5001, score=0.5))
    table.show_state(many, color_of)
    assert inserted.mock_calls == [call(1)]
    changed.assert_not_called()
    table.show_state(added(many, record(70, name="x")), color_of)
    assert changed.mock_calls == [call(1)]
    assert view(table).model().rowCount() == 5001
    reset.assert_not_called()


def test_a_click_on_a_header_sorts(table: ObjectTable) -> None:
    view(table).sortByColumn(SCORE, Qt.SortOrder.DescendingOrder)
    assert ids(table) == [1, 3, 2]
    table.show_state(added(THREE, record(4, score=0.8)), color_of)
    assert ids(table) == [1, 4, 3, 2]
    table.show_state(added(THREE, record(4, score=0.1)), color_of)
    assert ids(table) == [1, 3, 4, 2]


def test_the_filter_leaves_out_rows_and_what_comes_later_is_sifted_too(table: ObjectTable) -> None:
    filter_by(table, "score>0.75")
    assert ids(table) == [1]
    table.show_state(added(THREE, record(4, score=0.8), record(5, score=0.2)), color_of)
    assert ids(table) == [1, 4]
    filter_by(table, "")
    assert ids(table) == [1, 2, 3, 4, 5]


def test_only_some_objects_can_be_shown(table: ObjectTable) -> None:
    table.show_state(THREE, color_of, only={1, 2})
    assert ids(table) == [1, 2]
    table.show_state(added(THREE, record(4)), color_of, only={1, 2, 4})
    assert ids(table) == [1, 2, 4]
    table.show_state(added(THREE, record(4)), color_of, only={3})
    assert ids(table) == [3]
    table.show_state(added(THREE, record(4)), color_of)
    assert ids(table) == [1, 2, 3, 4]


def test_selecting_rows_tells_which(table: ObjectTable) -> None:
    heard = Mock()
    table.selected.connect(heard)
    choose(table, 2)
    heard.assert_called_once_with([3])
    assert table.selected_ids == [3]


def test_selecting_from_outside_has_no_echo(table: ObjectTable) -> None:
    heard = Mock()
    table.selected.connect(heard)
    table.select(2)
    assert table.selected_ids == [2]
    table.select(77)
    assert table.selected_ids == []
    table.select(3)
    table.show_state(without(THREE, 3), color_of)
    assert table.selected_ids == []
    heard.assert_not_called()


def test_the_selection_stays_while_others_come_and_go(table: ObjectTable) -> None:
    table.select(2)
    table.show_state(added(without(THREE, 1), record(4), record(2, name="new")), color_of)
    assert table.selected_ids == [2]


def test_next_and_previous_follow_the_order_of_the_table(table: ObjectTable) -> None:
    view(table).sortByColumn(SCORE, Qt.SortOrder.DescendingOrder)  # 1, 3, 2
    assert table.next_id(1) == 1
    assert table.next_id(-1) == 2
    table.select(3)
    assert (table.next_id(1), table.next_id(-1)) == (2, 1)
    table.select(2)
    assert table.next_id(1) == 1
    filter_by(table, "nothing like this")
    assert table.next_id(1) is None


@pytest.mark.parametrize("how", ["enter", "double click"])
def test_a_row_is_jumped_to(qtbot: QtBot, table: ObjectTable, how: str) -> None:
    heard = Mock()
    table.jump_requested.connect(heard)
    choose(table, 1)
    if how == "enter":
        qtbot.keyClick(view(table), Qt.Key.Key_Return)
    else:
        at = view(table).visualRect(view(table).model().index(1, AREA)).center()
        qtbot.mouseClick(view(table).viewport(), Qt.MouseButton.LeftButton, pos=at)
        qtbot.mouseDClick(view(table).viewport(), Qt.MouseButton.LeftButton, pos=at)
    heard.assert_called_once_with(2)


def test_f2_renames_and_the_state_decides(qtbot: QtBot, table: ObjectTable) -> None:
    heard = Mock()
    table.renamed.connect(heard)
    choose(table, 0)
    table.show()
    qtbot.keyClick(view(table), Qt.Key.Key_F2)
    editor = view(table).findChild(QLineEdit)
    editor.setText(" apical ")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: heard.called)
    heard.assert_called_once_with(1, "apical")
    assert column(table, NAME)[0] == ""


def test_the_delete_key_deletes_within_the_table(qtbot: QtBot, table: ObjectTable) -> None:
    heard = Mock()
    table.delete_requested.connect(heard)
    qtbot.keyClick(view(table), Qt.Key.Key_Delete)
    heard.assert_not_called()
    choose(table, 0, 2)
    qtbot.keyClick(view(table), Qt.Key.Key_Delete)
    heard.assert_called_once_with([1, 3])


def test_other_keys_are_left_to_the_canvas(table: ObjectTable) -> None:
    """Who has clicked on a row can still keep the object with W."""
    choose(table, 1)
    for key, text, is_ours in (
        (Qt.Key.Key_W, "w", False),
        (Qt.Key.Key_3, "3", False),  # a table would search for it
        (Qt.Key.Key_Left, "", False),
        (Qt.Key.Key_Up, "", True),
    ):
        event = QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier, text)
        event.ignore()
        view(table).keyPressEvent(event)
        assert event.isAccepted() == is_ours
    assert table.selected_ids == [1]


def test_buttons_ask_for_what_the_selection_allows(table: ObjectTable) -> None:
    merged, reopened, deleted, stepped = Mock(), Mock(), Mock(), Mock()
    table.merge_requested.connect(merged)
    table.reopen_requested.connect(reopened)
    table.delete_requested.connect(deleted)
    table.step_requested.connect(stepped)
    merge, reopen = button(table, "Make one"), button(table, "Open the object")
    assert not merge.isEnabled()
    assert not reopen.isEnabled()
    choose(table, 0)
    assert not merge.isEnabled()
    reopen.click()
    reopened.assert_called_once_with(1)
    choose(table, 0, 1)
    assert not reopen.isEnabled()
    merge.click()
    merged.assert_called_once_with([1, 2])
    button(table, "Delete").click()
    deleted.assert_called_once_with([1, 2])
    button(table, "Look at the next").click()
    button(table, "Look at the previous").click()
    assert stepped.mock_calls == [call(1), call(-1)]


def test_classes_are_chosen_in_the_menu(table: ObjectTable) -> None:
    heard = Mock()
    table.class_chosen.connect(heard)
    choose(table, 1, 2)
    menu = table.context_menu()
    classes = next(m for m in menu.findChildren(QMenu) if m.title() == "Class")
    assert [action.text() for action in classes.actions()] == ["nucleus", "red debris", "no class"]
    classes.actions()[0].trigger()
    classes.actions()[2].trigger()
    assert heard.mock_calls == [call([2, 3], "nucleus"), call([2, 3], "")]
    enabled = {a.text().partition("\t")[0] for a in menu.actions() if a.isEnabled()}
    assert enabled == {"Merge", "Delete", "Class"}


def test_the_toggle_asks_for_the_shown_plane_only(table: ObjectTable) -> None:
    heard = Mock()
    table.here_only_changed.connect(heard)
    button(table, "Only objects").click()
    heard.assert_called_once_with(True)


def test_it_fits_a_narrow_dock(table: ObjectTable) -> None:
    assert table.minimumSizeHint().width() <= 280
    assert view(table).horizontalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff


def test_long_ids_have_room(table: ObjectTable) -> None:
    narrow = view(table).columnWidth(ID)
    table.show_state(added(THREE, record(12_345)), color_of)
    assert view(table).columnWidth(ID) > narrow
    table.show_state(THREE, color_of)
    assert view(table).columnWidth(ID) == narrow
