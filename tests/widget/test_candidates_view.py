from __future__ import annotations

from unittest.mock import Mock, call

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor, QImage
from qtpy.QtWidgets import QLabel, QWidget

from napari_sam2.session.cleanup import RAW, Cleanup
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer
from napari_sam2.session.prompts import Prompts
from napari_sam2.widget.candidates_view import CandidatesView, _Strip
from napari_sam2.widget.icon_button import IconButton
from napari_sam2.widget.thumbnails import common_box, pixel_count, thumbnail
from tests.widget.samples import answer, square


@pytest.fixture
def candidates(qtbot: QtBot) -> CandidatesView:
    candidates = CandidatesView()
    qtbot.addWidget(candidates)
    candidates.resize(280, candidates.sizeHint().height())
    candidates.show()
    candidates.set_color("#00ff00")
    return candidates


def strip(candidates: CandidatesView) -> QWidget:
    return candidates.findChild(_Strip)


def text(candidates: CandidatesView) -> str:
    return candidates.findChild(QLabel).text()


def click(qtbot: QtBot, candidates: CandidatesView, share: float) -> None:
    at = QPoint(round(strip(candidates).width() * share), 20)
    qtbot.mouseClick(strip(candidates), Qt.MouseButton.LeftButton, pos=at)


def painted(candidates: CandidatesView) -> QImage:
    candidates.layout().activate()
    return strip(candidates).grab().toImage()


def greens(image: QImage) -> list[int]:
    """How many pixels of each third of the picture are of the object's colour."""
    width = image.width() // 3
    return [
        sum(
            QColor(image.pixel(x, y)).green() > QColor(image.pixel(x, y)).red() + 60
            for x in range(third * width, (third + 1) * width, 2)
            for y in range(0, image.height(), 2)
        )
        for third in range(3)
    ]


def test_no_answer_reads_as_nothing(qtbot: QtBot, candidates: CandidatesView) -> None:
    for nothing in (None, Answer(Prompts(), (), ())):
        candidates.show_answer(nothing)
        assert text(candidates) == "No mask yet"
    heard = Mock()
    candidates.chosen.connect(heard)
    click(qtbot, candidates, 0.5)
    heard.assert_not_called()
    assert greens(painted(candidates)) == [0, 0, 0]


def test_the_chosen_one_is_described(candidates: CandidatesView) -> None:
    candidates.show_answer(answer(chosen=1))
    assert text(candidates) == "Mask 2 of 3 · score 0.80"


def test_what_nobody_predicted_has_no_score(candidates: CandidatesView) -> None:
    candidates.show_answer(Answer(Prompts(), (square(1, 4),), (float("nan"),)))
    assert text(candidates) == "Mask 1 of 1"


def test_a_click_chooses(qtbot: QtBot, candidates: CandidatesView) -> None:
    candidates.show_answer(answer())
    heard = Mock()
    candidates.chosen.connect(heard)
    for share in (0.1, 0.5, 0.9):
        click(qtbot, candidates, share)
    assert heard.mock_calls == [call(0), call(1), call(2)]


def test_arrows_cycle_where_there_is_a_choice(candidates: CandidatesView) -> None:
    heard = Mock()
    candidates.cycled.connect(heard)
    left, right = candidates.findChildren(IconButton)
    assert not right.isEnabled()
    candidates.show_answer(answer())
    right.click()
    left.click()
    assert heard.mock_calls == [call(1), call(-1)]
    assert right.toolTip() == "Next mask (N)"


def test_all_masks_are_drawn_at_one_scale_and_in_the_objects_colour(
    candidates: CandidatesView,
) -> None:
    candidates.show_answer(answer(chosen=2))
    small, middle, large = greens(painted(candidates))
    assert 0 < small < middle < large


def test_the_chosen_one_is_framed(candidates: CandidatesView) -> None:
    candidates.show_answer(answer(chosen=0))
    first = painted(candidates)
    candidates.show_answer(answer(chosen=1))
    assert painted(candidates) != first


def test_a_large_mask_is_never_unpacked_for_a_thumbnail(
    candidates: CandidatesView, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = np.zeros((4096, 4096), bool)
    mask[1:-1, 1:-1] = True
    whole, small = PackedMask.of(mask), PackedMask.of(mask[:300, :300], shape=(4096, 4096))
    monkeypatch.setattr(PackedMask, "crop", Mock(side_effect=AssertionError("unpacked")))
    candidates.show_answer(Answer(Prompts(), (small, whole, small), (0.9, 0.8, 0.7)))
    assert "1 of 3" in text(candidates)


def test_masks_are_shown_and_measured_as_they_will_be_kept(candidates: CandidatesView) -> None:
    mask = np.zeros((16, 16), bool)
    mask[1:5, 1:5] = mask[10:15, 10:15] = True
    clicked = Answer(Prompts(((2.0, 2.0),), (1,)), (PackedMask.of(mask),), (0.9,))
    candidates.show_answer(clicked, Cleanup())
    tidied = painted(candidates)
    candidates.show_answer(clicked, RAW)
    assert painted(candidates) != tidied
    small = Answer(clicked.prompts, (PackedMask.of(mask[:8, :8], shape=(16, 16)),), (0.9,))
    candidates.show_answer(small, RAW)
    assert painted(candidates) == tidied


def test_a_distant_speck_does_not_make_the_object_small() -> None:
    mask = np.zeros((400, 400), bool)
    mask[20:60, 20:60] = True
    mask[390, 390] = True
    y0, x0, y1, x1 = common_box((PackedMask.of(mask),))
    assert 0 <= y0 <= 20
    assert 60 <= y1 < 80
    assert 0 <= x0 <= 20
    assert 60 <= x1 < 80


def test_one_pixel_in_a_corner_has_a_box() -> None:
    assert common_box((PackedMask.of(np.eye(1, dtype=bool), (0, 0), (50, 50)),)) == (0, 0, 2, 2)
    assert common_box((PackedMask((50, 50)),)) == (0, 0, 1, 1)


@pytest.mark.parametrize("samples", [144, 10])
def test_a_thumbnail_is_the_mask_seen_from_afar(samples: int) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((37, 90)) < 0.4
    box = (5, 3, 30, 90)
    seen = thumbnail(PackedMask.of(mask), box, samples)
    if samples > 87:
        np.testing.assert_array_equal(seen, mask[5:30, 3:90] * np.uint8(255))
    assert seen.shape == (25, 87) if samples > 87 else (3, 10)
    assert set(np.unique(seen)) <= {0, 255}


def test_a_thumbnail_shows_what_lies_outside_the_mask_as_empty() -> None:
    seen = thumbnail(square(10, 20), (0, 0, 40, 30))
    assert seen.shape == (40, 30)
    assert seen.sum() == 100 * 255
    assert seen[10:20, 10:20].all()


def test_pixels_are_counted_without_numpy_2(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pixel_count(square(10, 23)) == 169
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert pixel_count(square(10, 23)) == 169
