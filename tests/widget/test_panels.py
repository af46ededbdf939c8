"""The small parts of the panel, each alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from unittest.mock import Mock, call

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_sam2.session.objects import ObjectClass
from napari_sam2.session.prompts import NEGATIVE, POSITIVE
from napari_sam2.session.regions import MODES
from napari_sam2.widget.class_editor import PALETTE, ClassEditor, next_color
from napari_sam2.widget.files_panel import FilesPanel
from napari_sam2.widget.folder_choice import FolderChoice
from napari_sam2.widget.folding import FoldingGroup
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.keys import COMMAND, DEFAULT_KEYS
from napari_sam2.widget.keys_table import KeysTable
from napari_sam2.widget.objects_panel import ObjectsPanel
from napari_sam2.widget.options_panel import OptionsPanel
from napari_sam2.widget.prompt_panel import TOOLS, PromptPanel
from napari_sam2.widget.recovery_banner import RecoveryBanner, describe_offer
from napari_sam2.widget.settings import POLICIES, RULES, Settings
from napari_sam2.widget.view_panel import ViewPanel
from tests.widget.samples import DEBRIS, NUCLEUS

FORMATS = {"tiff": "Label image", "geojson": "GeoJSON for QuPath"}
DOCK = 280  # pixels inside a dock of 300


@pytest.fixture
def shown(qtbot: QtBot) -> Callable[[QWidget], QWidget]:
    def show(widget: QWidget) -> QWidget:
        qtbot.addWidget(widget)
        widget.show()
        return widget

    return show


def button(widget: QWidget, title: str) -> QPushButton:
    return next(b for b in widget.findChildren(QPushButton) if b.text().startswith(title))


def texts(widget: QWidget) -> list[str]:
    return [label.text() for label in widget.findChildren(QLabel) if label.isVisibleTo(widget)]


@pytest.mark.parametrize(
    "make",
    [
        PromptPanel,
        ObjectsPanel,
        OptionsPanel,
        ViewPanel,
        ClassEditor,
        KeysTable,
        RecoveryBanner,
        lambda: FilesPanel(FORMATS),
    ],
)
def test_it_fits_a_narrow_dock_and_leaves_the_keyboard_to_the_canvas(
    shown, make: Callable[[], QWidget]
) -> None:
    widget = shown(make())
    assert widget.minimumSizeHint().width() <= DOCK
    for each in [*widget.findChildren(QPushButton), *widget.findChildren(QComboBox)]:
        assert each.focusPolicy() == Qt.FocusPolicy.NoFocus
        assert each.toolTip()


def test_a_group_folds_with_a_click_and_tells(shown) -> None:
    content, heard = QLabel("inside"), Mock()
    group = shown(FoldingGroup("Keys", content))
    group.folded_changed.connect(heard)
    assert content.isVisible()
    button(group, "Keys").click()
    assert not content.isVisible()
    button(group, "Keys").click()
    assert heard.mock_calls == [call(True), call(False)]


def test_a_group_is_folded_from_outside_without_an_echo(shown) -> None:
    content, heard = QLabel("inside"), Mock()
    group = shown(FoldingGroup("Keys", content, folded=True))
    group.folded_changed.connect(heard)
    assert not content.isVisible()
    group.folded = False
    assert content.isVisible()
    heard.assert_not_called()


def test_tool_and_polarity_are_shown_and_asked_for(shown) -> None:
    panel, tool, polarity = shown(PromptPanel()), Mock(), Mock()
    panel.tool_chosen.connect(tool)
    panel.polarity_chosen.connect(polarity)
    panel.show_tool("scribble", NEGATIVE)
    pressed = {b.text() for b in panel.findChildren(QPushButton) if b.isChecked()}
    assert pressed == {"Scribble", "Background"}
    for title in ("Points", "Box", "Ellipse", "Lasso", "Scribble"):
        button(panel, title).click()
    assert tool.mock_calls == [call(name) for name in TOOLS]
    button(panel, "Object").click()
    button(panel, "Background").click()
    assert polarity.mock_calls == [call(POSITIVE), call(NEGATIVE)]
    pressed = {b.text() for b in panel.findChildren(QPushButton) if b.isChecked()}
    assert pressed == {"Scribble", "Background"}  # pressed is what is so


def test_no_tool_is_shown_as_none(shown) -> None:
    panel = shown(PromptPanel())
    panel.show_tool("box", POSITIVE)
    panel.show_tool("", None)
    assert not any(b.isChecked() for b in panel.findChildren(QPushButton))


def test_undo_and_redo_say_what_they_would_do(shown) -> None:
    panel = shown(ObjectsPanel())
    undo, redo = panel.findChildren(QPushButton)[2:]
    assert not undo.isEnabled()
    assert undo.toolTip() == f"Nothing to undo ({COMMAND}+Z)"
    panel.show_history("keep object 3", "")
    assert undo.isEnabled()
    assert not redo.isEnabled()
    assert undo.toolTip() == f"Undo: keep object 3 ({COMMAND}+Z)"


def test_the_object_is_kept_and_dropped(shown) -> None:
    panel, heard = shown(ObjectsPanel()), Mock()
    panel.commit_requested.connect(heard.commit)
    panel.cancel_requested.connect(heard.cancel)
    panel.undo_requested.connect(heard.undo)
    panel.redo_requested.connect(heard.redo)
    panel.show_history("a", "b")
    for each in panel.findChildren(QPushButton):
        each.click()
    assert heard.mock_calls == [call.commit(), call.cancel(), call.undo(), call.redo()]
    panel.allow_commit(False)
    panel.allow_cancel(False)
    assert not button(panel, "Keep").isEnabled()
    assert not button(panel, "Cancel").isEnabled()


@pytest.mark.parametrize("make", [PromptPanel, ObjectsPanel, OptionsPanel])
def test_other_keys_are_shown(shown, make: Callable[[], QWidget]) -> None:
    panel = shown(make())
    panel.show_keys({action: f"F{n}" for n, action in enumerate(DEFAULT_KEYS, start=1)})
    tips = [b.toolTip() for b in panel.findChildren(IconButton)]
    assert tips
    assert all("(F" in tip for tip in tips)


def test_every_option_changes_its_setting(shown) -> None:
    panel, heard = shown(OptionsPanel()), Mock()
    panel.changed.connect(heard)
    settings = Settings()
    live, each, clicked, holes = panel.findChildren(QCheckBox)
    field, rule, policy, *_ = panel.findChildren(QComboBox)
    area, smooth = panel.findChildren(QSpinBox)
    steps = (
        (live.click, {"live": False}),
        (each.click, {"each_shape": True}),
        (clicked.click, {"only_clicked": False}),
        (holes.click, {"fill_holes": True}),
        (lambda: field.activated.emit(MODES.index("visible")), {"field_of_view": "visible"}),
        (lambda: rule.activated.emit(RULES.index("same")), {"rule": "same"}),
        (lambda: policy.activated.emit(POLICIES.index("empty")), {"policy": "empty"}),
        (lambda: area.setValue(40), {"min_area": 40}),
        (lambda: smooth.setValue(2), {"smooth": 2}),
    )
    for act, change in steps:
        act()
        settings = replace(settings, **change)
        assert heard.call_args == call(settings)
    assert heard.call_count == len(steps)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("policy", POLICIES)
def test_settings_are_shown_without_an_echo(shown, rule: str, policy: str) -> None:
    panel, heard = shown(OptionsPanel()), Mock()
    panel.changed.connect(heard)
    settings = Settings(False, rule, policy, False, True, 7, 3, True, "fixed", folded=("x",))
    panel.show_settings(settings)
    boxes = [box.isChecked() for box in panel.findChildren(QCheckBox)]
    assert boxes == [False, True, False, True]
    assert [box.value() for box in panel.findChildren(QSpinBox)] == [7, 3]
    assert [choice.currentIndex() for choice in panel.findChildren(QComboBox)][:3] == [
        MODES.index("fixed"),
        RULES.index(rule),
        POLICIES.index(policy),
    ]
    heard.assert_not_called()
    panel.findChildren(QCheckBox)[0].click()
    heard.assert_called_once_with(replace(settings, live=True))  # and the rest as it was


def test_a_folder_for_large_labels_is_chosen_and_taken_back(shown) -> None:
    panel, heard, requested = shown(OptionsPanel()), Mock(), Mock()
    panel.changed.connect(heard)
    panel.folder_requested.connect(requested)
    (choice,) = panel.findChildren(FolderChoice)
    assert choice.currentText() == "in a temporary folder"
    choice.activated.emit(choice.count() - 1)
    requested.assert_called_once()
    heard.assert_not_called()
    panel.show_settings(Settings(labels_folder="/scratch/labels"))
    assert choice.currentText() == "labels"
    choice.activated.emit(choice.count() - 1)
    assert choice.currentText() == "labels"
    choice.activated.emit(0)
    heard.assert_called_once_with(Settings())


def test_the_model_is_asked_with_a_button(shown) -> None:
    panel, heard = shown(OptionsPanel()), Mock()
    panel.predict_requested.connect(heard)
    button(panel, "Ask now").click()
    heard.assert_called_once_with()


def test_scrolling_the_panel_changes_no_number(shown) -> None:
    panel, heard = shown(OptionsPanel()), Mock()
    panel.changed.connect(heard)
    spin = panel.findChildren(QSpinBox)[0]
    none, phase = Qt.MouseButton.NoButton, Qt.ScrollPhase.NoScrollPhase
    wheel = QWheelEvent(
        *(QPointF(5, 5), QPointF(5, 5), QPoint(0, 120), QPoint(0, 120)),
        *(none, Qt.KeyboardModifier.NoModifier, phase, False),
    )
    QApplication.sendEvent(spin, wheel)
    heard.assert_not_called()


def test_files_are_asked_for(shown) -> None:
    panel, heard = shown(FilesPanel(FORMATS)), Mock()
    panel.save_requested.connect(heard.save)
    panel.open_requested.connect(heard.open)
    panel.import_requested.connect(heard.labels)
    panel.methods_requested.connect(heard.methods)
    panel.export_requested.connect(heard.export)
    assert not button(panel, "Save").isEnabled()
    panel.allow_output(True)
    for title in ("Save", "Open", "Import", "Copy"):
        button(panel, title).click()
    menu = panel.export_menu()
    assert [action.text() for action in menu.actions()] == list(FORMATS.values())
    menu.actions()[1].trigger()
    assert heard.mock_calls == [
        call.save(),
        call.open(),
        call.labels(),
        call.methods(),
        call.export("geojson"),
    ]


def test_unsaved_work_is_offered_once(shown) -> None:
    banner, heard = shown(RecoveryBanner()), Mock()
    banner.hide()
    banner.restore_requested.connect(heard.restore)
    banner.discard_requested.connect(heard.discard)
    for title in ("Restore", "Discard"):
        banner.offer(datetime.now(), 12)
        assert banner.isVisible()
        button(banner, title).click()
        assert not banner.isVisible()
    assert heard.mock_calls == [call.restore(), call.discard()]


@pytest.mark.parametrize(
    ("today", "objects", "text"),
    [
        (date(2026, 3, 7), 12, "Unsaved work on this image from 14:03, 12 objects."),
        (date(2026, 3, 7), 0, "Unsaved work on this image from 14:03, one object not kept yet."),
        (date(2026, 3, 8), 1, "Unsaved work on this image from 7 March 2026, 14:03, 1 object."),
    ],
)
def test_an_offer_says_when_and_how_much(today: date, objects: int, text: str) -> None:
    assert describe_offer(datetime(2026, 3, 7, 14, 3), objects, today) == text


@pytest.fixture
def classes(shown) -> ClassEditor:
    editor = shown(ClassEditor(ask=lambda color, parent: "#123456"))
    editor.show_classes((NUCLEUS, DEBRIS))
    return editor


def heard_by(editor: ClassEditor) -> Mock:
    heard = Mock()
    editor.classes_changed.connect(heard.changed)
    editor.renamed.connect(heard.renamed)
    return heard


def edits(editor: ClassEditor) -> list[QLineEdit]:
    """The names' edits, and last the one for a new class."""
    QApplication.processEvents()  # Qt shows what is new, and deletes what is gone, a little later
    found = [each for each in editor.findChildren(QLineEdit) if each.isVisible()]
    return sorted(found, key=lambda edit: edit.mapTo(editor, QPoint()).y())


def shown_by_tip(editor: ClassEditor, tip: str) -> list[QPushButton]:
    QApplication.processEvents()
    found = [b for b in editor.findChildren(QPushButton) if b.toolTip().startswith(tip)]
    found = [each for each in found if each.isVisible()]
    return sorted(found, key=lambda each: each.mapTo(editor, QPoint()).y())


def test_a_class_is_added_with_a_colour_of_its_own(qtbot: QtBot, classes: ClassEditor) -> None:
    heard = heard_by(classes)
    edits(classes)[-1].setText(" mitotic ")
    qtbot.keyClick(edits(classes)[-1], Qt.Key.Key_Return)
    new = ObjectClass("mitotic", "#56b4e9")
    assert heard.mock_calls == [call.changed((NUCLEUS, DEBRIS, new))]
    assert edits(classes)[-1].text() == ""


def test_a_class_is_renamed_recoloured_and_removed(classes: ClassEditor) -> None:
    heard = heard_by(classes)
    edits(classes)[0].setText("cell")
    edits(classes)[0].editingFinished.emit()
    cell = replace(NUCLEUS, name="cell")
    assert heard.mock_calls == [call.renamed("nucleus", "cell"), call.changed((cell, DEBRIS))]
    heard.reset_mock()
    shown_by_tip(classes, "Change the colour")[0].click()
    blue = replace(cell, color="#123456")
    assert heard.mock_calls == [call.changed((blue, DEBRIS))]
    shown_by_tip(classes, "Remove")[1].click()
    assert heard.mock_calls[1:] == [call.changed((blue,))]


@pytest.mark.parametrize(("name", "says"), [("nucleus", "already"), ("  ", "needs a name")])
def test_a_name_that_cannot_be_is_refused(classes: ClassEditor, name: str, says: str) -> None:
    heard = heard_by(classes)
    edits(classes)[1].setText(name)
    edits(classes)[1].editingFinished.emit()
    assert edits(classes)[1].text() == "red debris"
    assert any(says in text for text in texts(classes))
    edits(classes)[-1].setText(name)
    shown_by_tip(classes, "Add the class")[0].click()
    assert heard.mock_calls == []


def test_showing_classes_has_no_echo(classes: ClassEditor) -> None:
    heard = heard_by(classes)
    classes.show_classes((DEBRIS,))
    assert [edit.text() for edit in edits(classes)] == ["red debris", ""]
    assert heard.mock_calls == []


def test_colours_are_used_up_before_one_comes_again() -> None:
    classes: tuple[ObjectClass, ...] = ()
    for number in range(2 * len(PALETTE)):
        classes = (*classes, ObjectClass(str(number), next_color(classes)))
    assert [each.color for each in classes] == [*PALETTE, *PALETTE]


@pytest.fixture
def keys(shown) -> KeysTable:
    return shown(KeysTable())


def cap(keys: KeysTable, key: str) -> QPushButton:
    return next(b for b in keys.findChildren(QPushButton) if b.text() == key)


@pytest.mark.parametrize(
    ("key", "modifier", "spelled"),
    [
        (Qt.Key.Key_Y, Qt.KeyboardModifier.ShiftModifier, "Shift+Y"),
        (Qt.Key.Key_F5, Qt.KeyboardModifier.NoModifier, "F5"),
        (Qt.Key.Key_PageUp, Qt.KeyboardModifier.NoModifier, "PageUp"),
    ],
)
def test_a_key_is_changed_by_pressing_another(
    qtbot: QtBot, keys: KeysTable, key, modifier, spelled: str
) -> None:
    heard = Mock()
    keys.changed.connect(heard)
    cap(keys, "W").click()
    qtbot.keyClick(cap(keys, "W"), Qt.Key.Key_Shift)  # alone it is none
    qtbot.keyClick(cap(keys, "W"), key, modifier)
    heard.assert_called_once_with({"commit": spelled})
    assert cap(keys, spelled)


@pytest.mark.parametrize(
    ("key", "says"), [(Qt.Key.Key_N, "taken by 'next mask'"), (Qt.Key.Key_P, "belongs to napari")]
)
def test_a_key_that_is_taken_is_refused(qtbot: QtBot, keys: KeysTable, key, says: str) -> None:
    heard = Mock()
    keys.changed.connect(heard)
    cap(keys, "W").click()
    qtbot.keyClick(cap(keys, "W"), key)
    heard.assert_not_called()
    assert any(says in text for text in texts(keys))
    keys.show_keys(DEFAULT_KEYS)
    assert not any(says in text for text in texts(keys))


@pytest.mark.parametrize("how", ["escape", "second click"])
def test_a_change_can_be_left(qtbot: QtBot, keys: KeysTable, how: str) -> None:
    heard = Mock()
    keys.changed.connect(heard)
    cap(keys, "W").click()
    if how == "escape":
        qtbot.keyClick(cap(keys, "W"), Qt.Key.Key_Escape)
    else:
        cap(keys, "W").click()
    qtbot.keyClick(cap(keys, "W"), Qt.Key.Key_F5)
    heard.assert_not_called()


def test_the_default_keys_come_back(keys: KeysTable) -> None:
    heard = Mock()
    keys.changed.connect(heard)
    reset = button(keys, "Default keys")
    assert not reset.isVisible()
    keys.show_keys({**DEFAULT_KEYS, "commit": "F5"})
    heard.assert_not_called()
    reset.click()
    heard.assert_called_once_with({})
    assert cap(keys, "W")
