"""Where the model looks, as the user meets it: the frame, the option, the camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Shapes
from pytestqt.qtbot import QtBot

from napari_sam2.session.prompts import Prompts
from napari_sam2.widget.settings import Settings, load_settings
from tests.widget.desk import Desk, desk_on

pytestmark = pytest.mark.usefixtures("qapp")
REGION = (4, 8, 20, 32)


@pytest.fixture(autouse=True)
def settings_of_this_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_sam2.widget.settings.settings_path", lambda: tmp_path / "it.json")


@pytest.fixture
def desk(viewer: ViewerModel, stack: object) -> Iterator[Desk]:
    """A panel that annotates a stack of 5 x 40 x 60."""
    with desk_on(viewer) as desk:
        desk.annotate().predict.region = REGION
        desk.go_to(2)
        yield desk


def frame(desk: Desk) -> Shapes:
    return desk.viewer.layers[f"{desk.image.name}: region"]


def zoom_to(desk: Desk, y: float, x: float) -> None:
    """Look at 10 pixels around one."""
    desk.viewer.canvas.size = (600, 600)
    camera = desk.viewer.scene.camera
    camera.center, camera.zoom = (0, 0.5 * y, 0.5 * x), 120


def choose(desk: Desk, **settings: str) -> None:
    options = desk.panel.panel.options
    options.changed.emit(Settings(**settings))


def test_the_frame_is_around_what_the_model_saw_of_the_object(desk: Desk) -> None:
    assert frame(desk).nshapes == 0
    desk.click(2, 10, 20)
    (corners,) = frame(desk).data
    assert corners.min(axis=0).tolist() == [2, 3.5, 7.5]
    assert corners.max(axis=0).tolist() == [2, 19.5, 31.5]
    desk.controller.undo()
    assert frame(desk).nshapes == 0
    desk.controller.redo()
    assert frame(desk).nshapes == 1
    desk.controller.commit()
    assert frame(desk).nshapes == 0


def test_the_frame_is_not_selected_and_no_prompt(desk: Desk) -> None:
    desk.click(2, 10, 20)
    assert desk.viewer.layers.selection.active == desk.points
    assert desk.predict.asked[-1].prompts == Prompts(((10, 20),), (1,))


def test_a_frame_that_was_deleted_ends_nothing(desk: Desk) -> None:
    desk.viewer.layers.remove(frame(desk))
    assert desk.keep(2, 10, 20) == 1


def test_closing_the_panel_takes_the_frame_off(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.panel.close()
    assert frame(desk).nshapes == 0
    assert not frame(desk).keymap


def test_in_3d_there_is_no_frame(desk: Desk) -> None:
    desk.click(2, 10, 20)
    desk.viewer.dims.ndisplay = 3
    desk.controller.refresh()
    assert frame(desk).nshapes == 0


def test_the_keys_work_on_the_frame(desk: Desk) -> None:
    bound = {str(key) for key in frame(desk).keymap}
    assert bound == {str(key) for key in desk.points.keymap}


def test_once_the_camera_rests_what_is_on_screen_is_embedded(desk: Desk, qtbot: QtBot) -> None:
    asked = len(desk.predict.asked)
    for x in range(10, 50, 5):
        zoom_to(desk, 20, x)
    assert not desk.runner.busy
    qtbot.waitUntil(lambda: desk.runner.busy)
    desk.runner.finish_all()
    (request,) = desk.predict.asked[asked:]
    assert request.field.box == (15, 40, 26, 51)


def test_the_choice_is_followed_and_remembered(desk: Desk) -> None:
    desk.click(2, 10, 20)
    choose(desk, field_of_view="whole")
    desk.runner.finish_all()
    assert desk.predict.asked[-1].field.mode == "whole"
    assert load_settings().field_of_view == "whole"


def test_a_fixed_region_is_of_one_image(desk: Desk) -> None:
    desk.click(2, 10, 20)
    choose(desk, field_of_view="fixed")
    desk.controller.commit()
    assert frame(desk).nshapes == 1
    other = desk.viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5), name="others")
    desk.choose(other)
    desk.annotate()
    assert desk.controller.field_mode == "fixed"
    assert frame(desk).nshapes == 0
    desk.click(2, 10, 20)
    assert desk.predict.asked[-1].field.mode == "auto"
    desk.controller.commit()
    assert frame(desk).nshapes == 1
