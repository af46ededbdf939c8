"""How the table of objects looks, and which keys it hears."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import QItemSelectionModel, QSize, Qt
from qtpy.QtGui import QKeyEvent, QKeySequence, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_sam2.widget.object_model import AREA, CLASS, ID, NAME, PLANES, SCORE, SiftedModel

DELETE_KEYS = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
_ENTER_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)
_MOVES = (
    *(Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown),
    *(Qt.Key.Key_Home, Qt.Key.Key_End),
)
_ROW = 22
_ROWS = 6  # in view: whole ones
_WIDTHS = {CLASS: 66, SCORE: 33, AREA: 46, PLANES: 44}  # the name has the rest
_ID_WIDTH, _DIGIT_WIDTH = 22, 7  # the swatch and the margins, and each digit
_STYLE = """
QTableView { font-size: 11px; }
QHeaderView::section { font-size: 10px; border: none; padding: 2px 3px; }
QScrollBar:vertical { max-width: 8px; margin: 0px; }
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical { height: 0px; }
QHeaderView::up-arrow, QHeaderView::down-arrow { width: 7px; }
"""


class ObjectView(QTableView):
    """A quiet table: rows are selected whole, and its keys are told instead of done.

    Parameters
    ----------
    model : SiftedModel
        What it shows.

    Attributes
    ----------
    empty_text : str
        Shown when there is no row.
    """

    key_pressed = Signal(int)  # Delete, Backspace, Enter or F2

    def __init__(self, model: SiftedModel) -> None:
        super().__init__()
        self.empty_text = ""
        self._digits = 0
        self.setModel(model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setIconSize(QSize(9, 9))
        self.setMinimumHeight(4 * _ROW)
        self.setStyleSheet(_STYLE)
        self._set_columns()
        self.set_digits(2)
        self.setSortingEnabled(True)
        self.sortByColumn(ID, Qt.SortOrder.AscendingOrder)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Give a height for whole rows."""
        columns = self.horizontalHeader()
        assert columns is not None
        height = columns.sizeHint().height() + _ROWS * _ROW + 2 * self.frameWidth()
        return QSize(240, height)

    def selection(self) -> QItemSelectionModel:
        """Give what is selected."""
        selection = self.selectionModel()
        assert selection is not None
        return selection

    def set_digits(self, digits: int) -> None:
        """Make room for ids of so many digits, and no more: names need it."""
        if digits != self._digits:
            self._digits = digits
            self.setColumnWidth(ID, _ID_WIDTH + _DIGIT_WIDTH * max(digits, 2))

    def redraw(self) -> None:
        """Draw what is in view, such as colours, which no model tells of."""
        viewport = self.viewport()
        assert viewport is not None
        viewport.update()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802
        """Tell of the keys that mean something here, and leave the others to napari's canvas."""
        assert event is not None
        if event.key() in (*DELETE_KEYS, *_ENTER_KEYS, Qt.Key.Key_F2):
            self.key_pressed.emit(event.key())
        elif event.key() in _MOVES or event.matches(QKeySequence.StandardKey.SelectAll):
            super().keyPressEvent(event)
        else:
            event.ignore()  # a table would search for the letter

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Say why there is nothing."""
        super().paintEvent(event)
        model, viewport = self.model(), self.viewport()
        assert model is not None
        assert viewport is not None
        if model.rowCount() == 0:
            painter = QPainter(viewport)
            painter.setOpacity(0.6)
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            painter.drawText(
                viewport.rect().adjusted(8, 8, -8, -8),
                int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap),
                self.empty_text,
            )
            painter.end()

    def _set_columns(self) -> None:
        rows, columns = self.verticalHeader(), self.horizontalHeader()
        assert rows is not None
        assert columns is not None
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # or thousands of rows are measured
        rows.setDefaultSectionSize(_ROW)
        columns.setHighlightSections(False)
        columns.setMinimumSectionSize(24)
        for column, width in _WIDTHS.items():
            columns.resizeSection(column, width)
        columns.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
