from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.session.overlay import (
    BOX_COLOUR,
    MASK_COLOURS,
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    draw_overlay,
)
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.results import Prediction

SIDE = 800  # large enough to be drawn at its own size
NO_PROMPTS = Prompts()
MASK = np.zeros((SIDE, SIDE), bool)
MASK[200:400, 300:600] = True


def predicted(image: np.ndarray, mask: np.ndarray, prompts: Prompts = NO_PROMPTS) -> Prediction:
    plane = PlaneImage.of("key", image)
    return Prediction.of_masks(
        Request(plane, prompts),
        masks=mask[None],
        iou_predictions=np.ones(1, np.float32),
        low_res_masks=np.zeros((1, 4, 4), np.float32),
        object_score=1.0,
    )


def drawn(prompts: Prompts = NO_PROMPTS, mask: np.ndarray = MASK, level: int = 51) -> np.ndarray:
    image = np.full(mask.shape, level, np.uint8)
    return draw_overlay(predicted(image, mask, prompts), image)


def as_uint8(colour: tuple[float, float, float]) -> list[int]:
    return [round(255 * value) for value in colour]


def test_outside_mask_and_prompts_the_image_shows_unchanged() -> None:
    picture = drawn()
    assert picture.shape == (SIDE, SIDE, 3)
    assert picture.dtype == np.uint8
    assert (picture[~MASK] == 51).all()


def test_the_mask_is_tinted_and_outlined_inside_its_own_edge() -> None:
    picture = drawn()
    assert picture[200, 450].tolist() == as_uint8(MASK_COLOURS[0])
    tinted = 51 * 0.7 + 0.3 * np.array(as_uint8(MASK_COLOURS[0]))
    np.testing.assert_allclose(picture[300, 450], tinted, atol=1.5)


def test_an_object_cut_by_the_border_is_outlined_there() -> None:
    assert drawn(mask=np.ones((SIDE, SIDE), bool))[0, 400].tolist() == as_uint8(MASK_COLOURS[0])


def test_an_empty_mask_draws_nothing() -> None:
    assert (drawn(mask=np.zeros((SIDE, SIDE), bool)) == 51).all()


def test_points_show_their_polarity_by_colour_and_by_sign() -> None:
    picture = drawn(Prompts(((100, 100), (100, 200)), (1, 0)))
    # Beside the sign's bars, the colour; on the upright of the plus, white.
    assert picture[97, 103].tolist() == as_uint8(POSITIVE_COLOUR)
    assert picture[97, 203].tolist() == as_uint8(NEGATIVE_COLOUR)
    assert (picture[102, 100] > 240).all()
    assert picture[103, 200].tolist() == as_uint8(NEGATIVE_COLOUR)
    assert (picture[100, [100, 200]] > 200).all()


def test_points_on_the_border_are_cut_not_refused() -> None:
    picture = drawn(Prompts(((0, 0), (SIDE, SIDE), (0, SIDE)), (1, 1, 0)))
    assert (picture[0, 0] > 200).all()
    assert not (picture[-3:, -3:] == 51).all()


def test_a_box_is_a_line_on_its_corners() -> None:
    picture = drawn(Prompts(box=(50, 60, 150, 700)))
    for y, x in ((50, 300), (150, 300), (100, 60), (100, 700)):
        assert picture[y, x].tolist() == as_uint8(BOX_COLOUR)
    assert (picture[100, 300] == 51).all()


@pytest.mark.parametrize("shape", [(32, 48), (48, 32), (1, 1)])
def test_small_pictures_are_enlarged_by_a_whole_factor(shape: tuple[int, int]) -> None:
    image = np.arange(shape[0] * shape[1], dtype=np.uint8).reshape(shape)
    picture = draw_overlay(predicted(image, np.zeros(shape, bool)), image)
    zoom = picture.shape[0] // shape[0]
    assert picture.shape == (shape[0] * zoom, shape[1] * zoom, 3)
    assert max(picture.shape) == 768
    np.testing.assert_array_equal(picture[::zoom, ::zoom, 0], image)


def test_a_prompt_stays_on_its_pixel_when_enlarged() -> None:
    image = np.zeros((48, 48), np.uint8)  # 16 times
    prompts = Prompts(((10, 20),), (1,))
    picture = draw_overlay(predicted(image, np.zeros((48, 48), bool), prompts), image)
    painted = np.argwhere(picture.any(axis=2))
    np.testing.assert_allclose(painted.mean(axis=0), (10.5 * 16 - 0.5, 20.5 * 16 - 0.5), atol=0.6)


def test_a_dim_16_bit_plane_is_drawn_as_bright_as_the_model_saw_it() -> None:
    image = np.linspace(0, 300, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    picture = draw_overlay(predicted(image, np.zeros((SIDE, SIDE), bool)), image)
    assert picture.max() == 255


def test_colours_are_kept_and_alpha_is_dropped() -> None:
    image = np.full((SIDE, SIDE, 4), (10, 20, 30, 0), np.uint8)
    picture = draw_overlay(predicted(image, np.zeros((SIDE, SIDE), bool)), image)
    assert (picture == (10, 20, 30)).all()
