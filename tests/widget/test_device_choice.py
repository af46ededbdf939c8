"""The list of devices, by itself and in the panel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot

from napari_sam2.widget.device_choice import DeviceChoice
from napari_sam2.widget.settings import Settings, load_settings, save_settings, settings_path
from tests.widget.desk import Desk, desk_on

ONE_CARD = {"auto": "Automatic: NVIDIA L4", "cuda": "NVIDIA L4", "cpu": "CPU"}
ONLY_CPU = {"auto": "Automatic: CPU", "cpu": "CPU"}
FULL = "The memory of cuda (NVIDIA L4) is full, so the CPU goes on."


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    settings_path().unlink(missing_ok=True)
    yield
    settings_path().unlink(missing_ok=True)


@pytest.fixture
def choice(qtbot: QtBot) -> DeviceChoice:
    choice = DeviceChoice()
    qtbot.addWidget(choice)
    return choice


@pytest.fixture
def desk(qtbot: QtBot, viewer: ViewerModel) -> Iterator[Desk]:
    viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5), name="cells")
    with desk_on(viewer) as desk:
        yield desk


def titles(choice: DeviceChoice) -> list[str]:
    return [choice.itemText(index) for index in range(choice.count())]


def choose(choice: DeviceChoice, title: str) -> None:
    choice.setCurrentText(title)
    choice.activated.emit(choice.currentIndex())


def test_before_torch_is_there_only_what_was_chosen_is_listed(choice: DeviceChoice) -> None:
    assert titles(choice) == ["Automatic"]
    choice.show_device("cuda:1")
    choice.show_devices({})
    assert titles(choice) == ["Automatic", "cuda:1"]
    assert choice.device == "cuda:1"


def test_only_devices_that_are_here_are_listed_by_their_names(choice: DeviceChoice) -> None:
    choice.show_device("cuda")
    choice.show_devices(ONE_CARD)
    assert titles(choice) == list(ONE_CARD.values())
    assert choice.device == "cuda"


def test_a_remembered_device_that_is_gone_is_automatic(choice: DeviceChoice) -> None:
    choice.show_device("cuda")
    choice.show_devices(ONLY_CPU)
    assert choice.device == "auto"
    choice.show_device("cuda")
    assert choice.device == "auto"
    assert "sees no graphics card" in choice.toolTip()


def test_showing_tells_nothing_and_choosing_tells_the_name(choice: DeviceChoice) -> None:
    told: list[str] = []
    choice.chosen.connect(told.append)
    choice.show_devices(ONE_CARD)
    choice.show_device("cpu")
    assert told == []
    choose(choice, "NVIDIA L4")
    assert told == ["cuda"]


def test_the_panel_lists_devices_when_the_worker_knows_them(desk: Desk) -> None:
    desk.predict.devices = {}
    desk.controller.stage_changed.emit("loading")
    assert titles(desk.panel.panel.device) == ["Automatic"]
    desk.predict.devices = ONE_CARD
    desk.controller.stage_changed.emit("embedding")
    assert titles(desk.panel.panel.device) == list(ONE_CARD.values())


def test_a_chosen_device_is_asked_and_remembered_and_the_work_stays(desk: Desk) -> None:
    desk.predict.devices = ONE_CARD
    desk.annotate()
    desk.click(2, 20, 30)
    before, asked = desk.areas_at_work(), len(desk.predict.asked)
    choose(desk.panel.panel.device, "CPU")
    desk.settle()
    assert load_settings().device == "cpu"
    assert [request.device for request in desk.predict.asked[asked:]] == ["cpu"]
    assert desk.areas_at_work() == before
    assert len(desk.points.data) == 1


def test_a_remembered_device_is_asked_from_the_start(qtbot: QtBot, viewer: ViewerModel) -> None:
    save_settings(Settings(device="cpu"))
    viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5))
    with desk_on(viewer) as desk:
        desk.settle()
        assert {request.device for request in desk.predict.asked} == {"cpu"}
        assert desk.panel.panel.device.device == "cpu"


def test_a_full_device_is_said_once_and_the_panel_shows_where_it_goes_on(desk: Desk) -> None:
    desk.predict.devices = ONE_CARD
    desk.annotate()
    desk.predict.note = FULL
    desk.click(2, 20, 30)
    choice = desk.panel.panel.device
    assert desk.panel.panel.status.text == FULL
    assert choice.device == "cpu"
    assert load_settings().device == "auto", "the choice was not the user's"
    assert desk.areas_at_work() == [49]
    desk.click(2, 21, 31)
    assert desk.panel.panel.status.text != FULL
    choose(choice, "Automatic: NVIDIA L4")
    desk.click(2, 22, 32)
    assert desk.predict.asked[-1].device == "auto"
