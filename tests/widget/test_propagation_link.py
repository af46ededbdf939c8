"""The panel of propagation on a stack: what a user does with it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Tracks

from napari_sam2.widget.propagation_panel import PropagationPanel
from tests.widget.desk import Desk, desk_on
from tests.widget.dialogs import FakeDialogs


@pytest.fixture
def desk(qapp) -> Iterator[Desk]:
    viewer = ViewerModel()
    viewer.add_image(
        np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5), translate=(0, 10, 20), name="cells"
    )
    viewer.dims.set_current_step(0, 2)
    with desk_on(viewer) as desk:
        yield desk.annotate()


def part(desk: Desk) -> PropagationPanel:
    return desk.panel.panel.propagation


def follow(desk: Desk) -> None:
    part(desk)._start.click()
    desk.runner.finish_all()


def kinds(desk: Desk) -> list[str]:
    return [cell.kind for cell in part(desk).strip._cells]


def test_the_strip_fills_plane_by_plane(desk: Desk) -> None:
    desk.click(2, 20, 20)
    assert kinds(desk) == ["", "", "own", "", ""]
    part(desk)._start.click()
    desk.runner.step(2)
    assert kinds(desk) == ["tracked", "", "own", "", ""]
    assert part(desk)._speed.text().startswith("Plane 1 of 5")
    desk.runner.finish_all()
    assert kinds(desk) == ["tracked", "tracked", "own", "tracked", "tracked"]
    assert part(desk)._stop.isHidden()
    assert part(desk)._why.text() == "micro carries the mask on: its memory is not trained."


def test_to_the_weakest_plane_correct_and_follow_again(desk: Desk) -> None:
    desk.predict.track_scores = {4: 0.3}
    desk.click(2, 20, 20)
    follow(desk)
    part(desk)._weakest.click()
    desk.settle()
    assert desk.viewer.dims.current_step[0] == 4
    desk.click(4, 30, 40)
    assert kinds(desk)[4] == "own"
    follow(desk)
    assert desk.mask.data[4, 30, 40] == 1


def test_stop_keeps_and_take_back_reverts(desk: Desk) -> None:
    desk.click(2, 20, 20)
    part(desk)._start.click()
    desk.runner.step(3)
    part(desk)._stop.click()
    desk.runner.finish_all()
    assert kinds(desk) == ["tracked", "tracked", "own", "", ""]
    assert "Stopped. 2 planes followed" in desk.panel.panel.status.text
    desk.controller.undo()
    desk.settle()
    part(desk)._start.click()
    desk.runner.step(3)
    part(desk)._revert.click()
    desk.runner.finish_all()
    assert kinds(desk) == ["", "", "own", "", ""]


def test_accepted_planes_are_the_users(desk: Desk) -> None:
    desk.click(2, 20, 20)
    follow(desk)
    part(desk)._accept.click()
    assert kinds(desk) == ["own"] * 5
    desk.controller.undo()
    assert kinds(desk).count("own") == 1


def test_tracks_lie_on_the_image_and_are_made_once(desk: Desk) -> None:
    desk.click(2, 20, 20)
    follow(desk)
    part(desk)._tracks.click()
    part(desk)._tracks.click()
    (tracks,) = (layer for layer in desk.viewer.layers if isinstance(layer, Tracks))
    np.testing.assert_array_equal(tracks.data[:, 1], range(5))
    np.testing.assert_array_equal(tracks.data[2], [1, 2, 20, 20])
    np.testing.assert_allclose(tracks.scale, (2, 0.5, 0.5))
    np.testing.assert_allclose(tracks.translate, (0, 10, 20))


def test_a_table_is_written(desk: Desk, tmp_path: Path) -> None:
    desk.panel.dialogs = FakeDialogs(tmp_path / "tracks.csv")  # type: ignore[assignment]
    desk.click(2, 20, 20)
    follow(desk)
    part(desk)._table.click()
    with (tmp_path / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["role"]) for row in rows] == [
        ("0", "tracked"),
        ("1", "tracked"),
        ("2", "prompted"),
        ("3", "tracked"),
        ("4", "tracked"),
    ]
    assert {row["area"] for row in rows} == {"49"}


def test_seen_from_another_side_it_follows_along_that(desk: Desk) -> None:
    desk.look_along(1, 0, 2)
    assert [one.axis for one in part(desk)._axes] == [1]
    assert part(desk).reach.last == 39


def test_a_single_plane_has_no_such_group(qapp) -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((40, 60)), name="cells")
    with desk_on(viewer) as desk:
        desk.annotate()
        assert desk.panel.panel.groups["propagate"].isHidden()
