"""Wounds of other tools that our users know, by the numbers of the threads that tell of them.

Others are where they belong: box directions (napari-SAM4IS 19) in `session/test_shape_prompts.py`,
crashes (nninteractive 17) in `test_crash.py`, keys (napari 7302) in `test_main_widget.py`, tools
that stay (cvat 7134) in `test_gl.py`, other layers and views in `test_workflow.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.errors import WeightsError
from napari_sam2.layers.snapshots import take_snapshot, take_up
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import ObjectClass
from napari_sam2.session.project import load_session, save_session
from tests.session.snapshots import identical
from tests.widget.desk import Desk, desk_on

pytestmark = pytest.mark.usefixtures("qapp")


@pytest.fixture
def desk(viewer: ViewerModel, stack: object) -> Iterator[Desk]:
    """A panel that annotates a stack of 5 x 40 x 60."""
    with desk_on(viewer) as desk:
        desk.annotate()
        desk.go_to(2)
        yield desk


def test_a_new_object_never_overwrites_a_kept_one(desk: Desk) -> None:
    """micro-sam issues 535 and 967: committed objects were overwritten."""
    desk.keep(2, 10, 20)
    kept = desk.objects.data == 1
    desk.keep(2, 12, 22)
    np.testing.assert_array_equal(desk.objects.data == 1, kept)
    assert desk.areas() == desk.counted()
    assert 0 < desk.areas()[2] < 49


def test_two_objects_of_one_place_on_two_planes_stay_two(desk: Desk) -> None:
    """micro-sam issue 967: objects of another plane were overwritten."""
    desk.keep(2, 10, 20)
    desk.go_to(3)
    desk.keep(3, 10, 20)
    assert desk.areas() == desk.counted() == {1: 49, 2: 49}


@pytest.mark.parametrize("layer", ["mask", "objects"])
def test_what_was_painted_is_there_after_keeping(desk: Desk, layer: str) -> None:
    """micro-sam issue 995: edits were lost on commit."""
    desk.click(2, 10, 20)
    desk.brush(getattr(desk.layers, layer), 2, 30, 40, value=1)
    desk.click(2, 11, 20)
    desk.controller.commit()
    assert desk.objects.data[2, 30, 40] == 1
    assert desk.areas() == desk.counted()
    assert desk.areas()[1] > 49


def test_the_eraser_has_the_last_word(desk: Desk) -> None:
    """micro-sam issue 995: edits were lost on commit."""
    desk.click(2, 10, 20)
    desk.brush(desk.mask, 2, 10, 20, value=0)
    desk.click(2, 11, 20)
    desk.controller.commit()
    assert desk.objects.data[2, 10, 20] == 0
    assert desk.areas() == desk.counted()


def test_a_saved_session_is_everything(desk: Desk, tmp_path: Path) -> None:
    """micro-sam issues 406, 408 and 976: prompts were not saved with the masks."""
    document, path = desk.document, tmp_path / "a.sam2session"
    document.set_classes([ObjectClass("cell", "#ff0000"), ObjectClass("debris", "#00ff00")])
    desk.keep(2, 10, 20)
    desk.click(2, 30, 40)
    desk.controller.cycle()
    desk.controller.commit()
    desk.brush(desk.objects, 2, 35, 10, value=2)
    desk.brush(desk.objects, 2, 5, 50, value=77)
    document.set_class([2], "debris")
    document.rename(1, "the first")
    desk.go_to(3)
    desk.click(3, 10, 20)
    desk.click(3, 12, 22, polarity=0)
    desk.brush(desk.mask, 3, 30, 30, value=3)
    save_session(path, take_snapshot(document, desk.image, "known"))
    before, pixels, mask = desk.state, desk.objects.data.copy(), desk.mask.data.copy()

    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 40, 60)), scale=(2, 0.5, 0.5), name="cells")
    with desk_on(viewer) as later:
        later.annotate()
        take_up(later.document, load_session(path), "open")
        later.go_to(3)
        assert identical(later.state, before)
        np.testing.assert_array_equal(later.objects.data, pixels)
        np.testing.assert_array_equal(later.mask.data, mask)
        assert len(later.points.data) == 2
        assert not [request for request in later.predict.asked if request.prompts]
        later.controller.reopen(2)
        assert later.controller.document is not None
        later.controller.undo()
        later.controller.undo()
        later.controller.undo()
        assert not later.objects.data.any(), "opening is one step"


def test_a_session_of_wide_labels_makes_narrow_ones_wide(desk: Desk, tmp_path: Path) -> None:
    """micro-sam issue 671: label ids overflowed."""
    labels = np.zeros((5, 40, 60), np.int64)
    labels[2, :5, :5] = 2**33
    desk.objects.data = labels
    snapshot = take_snapshot(desk.document, desk.image, "known")
    desk.objects.data = np.zeros((5, 40, 60), np.uint8)
    take_up(desk.document, snapshot, "open")
    assert desk.objects.data[2, 0, 0] == 2**33
    assert desk.keep(2, 30, 40) == 2**33 + 1
    assert desk.areas() == desk.counted()


def test_a_label_of_another_layer_is_refined(desk: Desk) -> None:
    """cvat issue 6131, SlicerTomoSAM 12, micro-sam 1315: an existing mask could not be refined."""
    data = np.zeros((5, 40, 60), np.uint16)
    data[2, 8:15, 17:25] = 5
    theirs = desk.viewer.add_labels(data.copy(), name="theirs", scale=(2, 0.5, 0.5))
    theirs.selected_label = 5
    desk.controller.use_label(theirs)
    np.testing.assert_array_equal(desk.mask.data != 0, data != 0)
    desk.click(2, 30, 50)
    prompts = desk.predict.asked[-1].prompts
    assert prompts.mask_prompt == PackedMask.of(data[2] == 5)
    desk.controller.undo()
    desk.settle()
    np.testing.assert_array_equal(desk.mask.data != 0, data != 0)
    np.testing.assert_array_equal(theirs.data, data)


def test_a_kept_object_comes_back_with_its_own_prompts(desk: Desk) -> None:
    """cvat issue 6131, SlicerTomoSAM 12: a finished mask could not be corrected."""
    desk.click(2, 10, 20)
    desk.click(2, 12, 22, polarity=0)
    before = replace(desk.document.at_work)
    desk.controller.commit()
    desk.controller.reopen(1)
    assert desk.document.at_work.prompts == before.prompts
    desk.click(2, 13, 22, polarity=0)
    assert len(desk.document.at_work.prompts.points) == 3
    desk.controller.commit()
    assert set(desk.areas()) == {1}


def test_everything_can_be_taken_back_and_made_again(desk: Desk) -> None:
    """empanada issues 74 and 75: there was no undo."""
    desk.keep(2, 10, 20)
    desk.click(2, 30, 40)
    desk.controller.cycle()
    desk.controller.commit()
    desk.controller.merge([1, 2])
    desk.controller.delete([1])
    desk.controller.undo()
    last = desk.objects.data.copy()
    while desk.document.undo_title:
        desk.controller.undo()
    assert not desk.objects.data.any()
    assert desk.areas() == {}
    for _ in range(6):
        desk.controller.redo()
    np.testing.assert_array_equal(desk.objects.data, last)
    assert desk.areas() == desk.counted()


@pytest.mark.parametrize("layer", ["mask", "objects"])
def test_a_stroke_is_taken_back_after_a_look_at_another_plane(desk: Desk, layer: str) -> None:
    """napari issue 1448: the undo of labels was wiped when the slice changed."""
    desk.brush(getattr(desk.layers, layer), 2, 10, 20, value=1)
    desk.go_to(4)
    desk.go_to(0)
    desk.controller.undo()
    assert not getattr(desk.layers, layer).data.any()
    assert desk.viewer.dims.current_step[0] == 2 or layer == "objects"


def test_what_goes_wrong_is_said_in_the_panel_and_not_in_a_terminal(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    """micro-sam issue 64: messages were printed to a terminal that nobody sees."""
    desk.panel.show()
    desk.predict.error = WeightsError("No network.")
    desk.click(2, 10, 20)
    assert desk.panel.panel.status.text == "No network."
    assert capfd.readouterr() == ("", "")


def test_closing_and_opening_the_panel_makes_no_layer_twice(desk: Desk) -> None:
    """micro-sam issues 929 and 943: layers were duplicated or missing on re-open."""
    names = [layer.name for layer in desk.viewer.layers]
    desk.keep(2, 10, 20)
    desk.panel.close()
    for _ in range(2):
        with desk_on(desk.viewer) as again:
            again.annotate()
            assert again.areas() == {1: 49}
    assert [layer.name for layer in desk.viewer.layers] == names
