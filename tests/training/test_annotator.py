from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.session.prompts import NEGATIVE, POSITIVE, Prompts
from napari_sam2.training.annotator import correction, loosened, most_interior, random_inside
from tests.training.drawn import SHAPE, rectangle


def test_the_most_interior_pixel() -> None:
    assert most_interior(rectangle(4, 10, 13, 31)) in {(8, x) for x in range(14, 27)}
    assert most_interior(rectangle(5, 7, 6, 8)) == (5, 7)
    assert most_interior(rectangle(29, 39, 30, 40)) == (29, 39)


def test_the_pictures_edge_is_an_edge_of_the_object() -> None:
    assert most_interior(rectangle(0, 0, 9, 9)) == (4, 4)
    assert most_interior(rectangle(21, 31, 30, 40)) == (25, 35)
    assert most_interior(np.ones((7, 7), bool)) == (3, 3)


def test_the_most_interior_pixel_of_a_ring_is_on_the_ring() -> None:
    ring = rectangle(4, 4, 20, 20) & ~rectangle(8, 8, 17, 17)
    y, x = most_interior(ring)
    assert ring[y, x]
    assert y in (5, 6) or x in (5, 6), "on a broad side, not on a narrow one"


def test_a_random_pixel_is_anywhere_inside() -> None:
    ring = rectangle(4, 4, 8, 8) & ~rectangle(5, 5, 7, 7)
    rng = np.random.default_rng(0)
    found = {random_inside(ring, rng) for _ in range(300)}
    assert found == {(int(y), int(x)) for y, x in np.argwhere(ring)}


def test_a_loosened_box_is_off_by_about_a_tenth_of_its_size_and_a_fifth_at_most() -> None:
    rng, box = np.random.default_rng(0), (10.0, 10.0, 20.0, 30.0)
    errors = np.array([np.subtract(loosened(box, SHAPE, rng), box) for _ in range(400)])
    parts = errors / [10, 20, 10, 20]
    assert np.allclose(parts.std(axis=0), 0.09, atol=0.015)
    assert np.abs(parts).max() == pytest.approx(0.2)
    assert np.abs(parts.mean(axis=0)).max() < 0.02, "inwards as often as outwards"


@pytest.mark.parametrize("box", [(29.0, 39.0, 30.0, 40.0), (0.0, 0.0, 30.0, 40.0), (0, 0, 30, 1)])
def test_a_loosened_box_stays_in_the_picture(box: tuple[float, float, float, float]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        Prompts(box=loosened(box, SHAPE, rng)).check(SHAPE)


def test_missing_object_is_clicked_positive() -> None:
    (y, x), kind = correction(rectangle(2, 2, 11, 30), rectangle(2, 2, 11, 15))
    assert kind == POSITIVE
    assert 15 < x < 29
    assert y == 6


def test_too_much_is_clicked_negative() -> None:
    (y, x), kind = correction(rectangle(2, 2, 11, 15), rectangle(2, 2, 11, 30))
    assert kind == NEGATIVE
    assert 15 < x < 29
    assert y == 6


def test_only_the_largest_error_counts() -> None:
    truth = rectangle(2, 2, 8, 8) | rectangle(12, 2, 17, 7) | rectangle(12, 12, 17, 17)
    shown = rectangle(2, 2, 8, 8) | rectangle(20, 20, 26, 26)
    # 50 pixels are missing, but in two parts of 25; the part too much has 36
    assert correction(truth, shown)[1] == NEGATIVE
    assert correction(truth, rectangle(2, 2, 8, 8) | rectangle(20, 20, 24, 24))[1] == POSITIVE


def test_a_perfect_mask_is_clicked_in_its_middle() -> None:
    mask = rectangle(4, 10, 13, 19)
    assert correction(mask, mask) == ((8, 14), POSITIVE)


def test_an_error_of_one_pixel_is_clicked() -> None:
    truth = rectangle(4, 10, 13, 19)
    assert correction(truth, truth | rectangle(29, 39, 30, 40)) == ((29, 39), NEGATIVE)
    assert correction(truth | rectangle(0, 0, 1, 1), truth) == ((0, 0), POSITIVE)
