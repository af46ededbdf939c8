"""Where the model looks next, after where it has looked."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.regions import FieldOfView
from napari_sam2.session.results import Prediction
from napari_sam2.session.sight import Sight

SHAPE = (3000, 5000)
WHOLE = (0, 0, *SHAPE)
PLANE = Plane((1, 2), (7,))
SEEN, ELSEWHERE = (0, 0, 500, 600), (2000, 2000, 2500, 2600)
REGION = (0, 0, 512, 512)
CLICK = Prompts(((30.0, 40.0),), (1,))


def request(key: str = "a", model: str = "m") -> Request:
    return Request(PlaneImage(key, SHAPE, lambda *_: ()), model=model)


def answer(region: Box | None, *, has_mask: bool = True, **kwargs: Any) -> Prediction:
    masks = (PackedMask(SHAPE),) if has_mask else ()
    scores = np.zeros(len(masks), np.float32)
    return Prediction(request(**kwargs), masks, scores, np.zeros((0, 4, 4)), 0.0, region=region)


def answered(sight: Sight, region: Box | None, **kwargs: Any) -> None:
    sight.take_in(answer(region, **kwargs))
    sight.follow(answer(region, **kwargs))


def look(
    sight: Sight,
    seen: Box | None = SEEN,
    prompts: Prompts = CLICK,
    plane: Plane = PLANE,
    goes_on: bool = False,
) -> FieldOfView:
    sight.look(plane, prompts, seen, goes_on=goes_on)
    return sight.field


def test_what_is_on_screen_belongs_to_the_question() -> None:
    assert look(Sight()) == FieldOfView("auto", SEEN)


def test_the_question_stays_when_the_camera_moves_on() -> None:
    sight = Sight()
    first = look(sight)
    assert look(sight, ELSEWHERE) == first
    assert look(sight, ELSEWHERE, Prompts(((9.0, 9.0),), (1,))).box == ELSEWHERE


def test_without_prompts_what_is_on_screen_now_counts() -> None:
    sight = Sight()
    assert look(sight, SEEN, Prompts()).box == SEEN
    assert look(sight, ELSEWHERE, Prompts()).box == ELSEWHERE


def test_told_so_it_takes_note_again() -> None:
    sight = Sight()
    look(sight)
    sight.take_in(answer(REGION, has_mask=False))
    assert look(sight).at_hand == ()
    sight.look_anew()
    assert look(sight).at_hand == (REGION,)


def test_the_region_of_an_answer_is_near_and_what_was_looked_at_ahead_is_at_hand() -> None:
    sight = Sight()
    sight.take_in(answer(None, has_mask=False))
    assert look(sight) == FieldOfView("auto", SEEN, None, (WHOLE,))
    answered(sight, REGION)
    sight.look_anew()
    assert look(sight) == FieldOfView("auto", SEEN, REGION, (REGION, WHOLE))


def test_of_another_plane_or_model_nothing_is_at_hand() -> None:
    for other in ({"key": "b"}, {"model": "n"}):
        sight = Sight()
        answered(sight, REGION)
        sight.take_in(answer(None, has_mask=False, **other))
        assert look(sight) == FieldOfView("auto", SEEN, REGION, (WHOLE,))


def test_few_regions_are_remembered() -> None:
    """The features of older ones are no longer kept."""
    sight = Sight()
    for x in range(20):
        answered(sight, (0, x, 512, 512 + x))
    assert len(look(sight).at_hand) == 8
    assert look(sight).at_hand[0] == (0, 19, 512, 531)


@pytest.mark.parametrize("seen", [SEEN, None])
def test_whole_and_visible_know_no_region_before(seen: Box | None) -> None:
    sight = Sight()
    answered(sight, REGION)
    sight.use("whole", None)
    assert look(sight, seen) == FieldOfView("whole")
    sight.use("visible", None)
    assert look(sight, seen).mode == "visible"
    assert look(sight, seen).box == seen


def test_a_region_that_is_there_is_fixed() -> None:
    sight = Sight()
    sight.use("fixed", REGION)
    assert look(sight) == FieldOfView("fixed", REGION)
    answered(sight, WHOLE)
    assert look(sight, ELSEWHERE, Prompts()) == FieldOfView("fixed", REGION)


def test_without_one_the_next_answer_fixes_its_region() -> None:
    sight = Sight()
    sight.use("fixed", None)
    assert look(sight).mode == "auto"
    sight.take_in(answer(None, has_mask=False))  # ahead
    assert sight.fixed is None
    answered(sight, REGION)
    assert sight.fixed == REGION
    assert look(sight) == FieldOfView("fixed", REGION)


def test_another_mode_lets_go_of_the_fixed_region() -> None:
    sight = Sight()
    sight.use("fixed", REGION)
    sight.use("auto", REGION)
    assert sight.fixed is None
    assert look(sight) == FieldOfView("auto", SEEN)


def test_regions_of_other_axes_mean_nothing() -> None:
    sight = Sight()
    look(sight)
    sight.use("fixed", REGION)
    answered(sight, REGION)
    assert look(sight, plane=Plane((0, 2), (7,))) == FieldOfView("auto", SEEN)
    assert sight.mode == "fixed"


def test_another_image_begins_anew() -> None:
    sight = Sight()
    look(sight)
    answered(sight, REGION)
    sight.forget()
    assert look(sight) == FieldOfView("auto", SEEN)


def test_an_object_that_goes_on_is_looked_for_where_it_was() -> None:
    sight = Sight()
    look(sight)
    answered(sight, REGION)
    next_plane = Plane((1, 2), (8,))
    assert look(sight, SEEN, Prompts(), next_plane, goes_on=True).box == REGION
    assert look(sight, SEEN, Prompts(), next_plane).box == SEEN
    assert look(sight, ELSEWHERE, Prompts(), next_plane, goes_on=True).box == ELSEWHERE


def test_what_is_on_screen_is_ready_once_it_was_looked_at() -> None:
    sight = Sight()
    look(sight, SEEN, Prompts())
    assert not sight.is_ready(request())
    sight.take_in(answer(REGION, has_mask=False))
    look(sight, SEEN, Prompts())
    assert sight.is_ready(request())
    assert not sight.is_ready(request(model="n"))
    look(sight, ELSEWHERE, Prompts())
    assert not sight.is_ready(request())
    assert sight.has_seen(request())
    sight.take_in(answer(None, has_mask=False))
    look(sight, (2000, 2000, 3000, 3600), Prompts())
    assert sight.is_ready(request())


def test_pixels_are_not_kept_alive() -> None:
    """Memory was not released when an image was closed (OCTRON 24)."""

    class Read:
        def __call__(self, *_: Any) -> tuple[()]:
            return ()

    sight, read = Sight(), Read()
    asked = Request(PlaneImage("a", SHAPE, read))
    sight.take_in(Prediction(asked, (), np.zeros(0), np.zeros((0, 4, 4)), 0.0))
    gone = weakref.ref(read)
    del asked, read
    gc.collect()
    assert gone() is None
