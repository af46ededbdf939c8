from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.shape_prompts import (
    ellipse_outline,
    fill,
    interior_points,
    points_along,
    shape_prompts,
)

SHAPE = (40, 60)
NOWHERE = PackedMask(SHAPE)
BOX = np.array([(5, 6), (5, 26), (15, 26), (15, 6)], float)
DIAMOND = np.array([(10, 20), (15, 25), (20, 20), (15, 15)], float)
LASSO = np.array([(4.5, 9.5), (4.5, 29.5), (19.5, 29.5), (24.5, 14.5)])
KINDS = ["rectangle", "ellipse", "polygon"]


def block(y0: int, x0: int, y1: int, x1: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def around(box: tuple[float, float, float, float]) -> np.ndarray:
    y0, x0, y1, x1 = box
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], float)


# ---- masks of outlines


@settings(max_examples=40)
@given(st.lists(st.tuples(*[st.integers(-160, 640)] * 2), min_size=3, max_size=8))
def test_a_pixel_is_filled_if_the_line_turns_around_its_centre(
    vertices: list[tuple[int, int]],
) -> None:
    outline = np.array(vertices) / 8 + (0.03, 0.04)
    mask = fill(outline, SHAPE).to_array()
    y, x = np.indices(SHAPE)
    angles = np.array([np.arctan2(v[0] - y, v[1] - x) for v in outline])
    steps = (np.roll(angles, -1, axis=0) - angles + np.pi) % (2 * np.pi) - np.pi
    turns = np.round(steps.sum(axis=0) / (2 * np.pi))
    beside = (np.abs(np.abs(steps) - np.pi) > 1e-6).all(axis=0)  # not on the line itself
    assert np.array_equal(mask[beside], turns[beside] != 0)


def test_a_figure_of_eight_has_no_hole() -> None:
    eight = np.array([(9.5, 9.5), (20.5, 40.5), (20.5, 9.5), (9.5, 40.5)])
    mask = fill(eight, SHAPE).to_array()
    assert mask[11, 25]
    assert mask[19, 25]


def test_an_end_drawn_past_the_beginning_leaves_no_hole() -> None:
    """A lasso's two ends overlap."""
    once = around((9.5, 9.5, 20.5, 20.5))
    twice = np.concatenate([once, once[:3]])
    assert fill(twice, SHAPE) == fill(once, SHAPE)


@pytest.mark.parametrize(
    "box", [(-9, -9, -3, 70), (45, 5, 50, 9), (5, 61, 9, 70), (-9, 3, -0.1, 9), (5.2, 5.2, 5.8, 9)]
)
def test_what_goes_around_no_pixel_of_the_plane_is_empty(box: tuple[float, ...]) -> None:
    assert fill(around(box), SHAPE) == NOWHERE


def test_a_line_around_the_plane_fills_it() -> None:
    assert fill(around((-99, -99, 99, 99)), SHAPE).area == 40 * 60


def test_an_ellipse_touches_the_sides_of_its_turned_box() -> None:
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    corners = around((-5, -12, 5, 12)) @ turn.T + (20, 30)
    outline = (ellipse_outline(corners) - (20, 30)) @ turn
    np.testing.assert_allclose((outline / (5, 12) ** np.array(1)) ** 2 @ [1, 1], 1)


# ---- what each kind asks for


def test_a_rectangle_is_a_box() -> None:
    assert shape_prompts("rectangle", BOX, 1, SHAPE) == Prompts(box=(5, 6, 15, 26))


def test_a_rectangle_on_the_background_is_a_box_as_well() -> None:
    assert shape_prompts("rectangle", BOX, 0, SHAPE) == Prompts(box=(5, 6, 15, 26))


def test_a_turned_rectangle_is_the_box_around_it() -> None:
    assert shape_prompts("rectangle", DIAMOND, 1, SHAPE).box == (10, 15, 20, 25)


def test_an_outline_is_its_mask_its_box_and_its_most_interior_point() -> None:
    outline = around((4.5, 9.5, 14.5, 29.5))
    prompts = shape_prompts("polygon", outline, 1, SHAPE)
    assert prompts.mask_prompt == PackedMask.of(block(5, 10, 15, 30))
    assert prompts.box == (5, 10, 15, 30)
    assert prompts.polarity == (1,)
    ((y, x),) = prompts.points
    assert y in (9, 10)
    assert 14 <= x <= 25
    prompts.check(SHAPE)


def test_an_ellipse_is_filled() -> None:
    prompts = shape_prompts("ellipse", around((4.5, 9.5, 14.5, 29.5)), 1, SHAPE)
    assert isinstance(prompts.mask_prompt, PackedMask)
    assert prompts.mask_prompt.area == pytest.approx(np.pi * 5 * 10, rel=0.03)
    assert prompts.box == (5, 10, 15, 30)


@pytest.mark.parametrize("kind", ["ellipse", "polygon"])
def test_an_area_of_background_is_points_inside_it(kind: str) -> None:
    prompts = shape_prompts(kind, LASSO, 0, SHAPE)
    assert prompts.box is prompts.mask_prompt is None
    assert 2 <= len(prompts.points) <= 5
    assert set(prompts.polarity) == {0}
    filled = shape_prompts(kind, LASSO, 1, SHAPE).mask_prompt
    assert isinstance(filled, PackedMask)
    inside = filled.to_array()
    assert all(inside[int(y), int(x)] for y, x in prompts.points)


@pytest.mark.parametrize("kind", ["path", "line"])
def test_a_scribble_is_points_along_it(kind: str) -> None:
    prompts = shape_prompts(kind, np.array([(10.0, 4.0), (10.0, 52.0)]), 0, SHAPE)
    assert prompts.polarity == (0,) * 8
    ys, xs = zip(*prompts.points, strict=True)
    assert set(ys) == {10}
    np.testing.assert_allclose(xs, 7 + 6 * np.arange(8), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("polarity", [0, 1])
def test_a_click_with_a_tool_for_areas_is_a_point(kind: str, polarity: int) -> None:
    tiny = around((7.2, 8.2, 7.6, 8.6))
    wanted = 1 if kind == "rectangle" else polarity
    prompts = shape_prompts(kind, tiny, polarity, SHAPE)
    assert prompts.polarity == (wanted,)
    np.testing.assert_allclose(prompts.points, [(7.4, 8.4)])


@pytest.mark.parametrize("vertices", [[(7, 8)], [(7, 8), (9, 30)], [(7, 8), (7, 8), (7, 8)]])
def test_a_polygon_without_three_corners_is_defined(vertices: list[tuple[int, int]]) -> None:
    prompts = shape_prompts("polygon", np.array(vertices, float), 1, SHAPE)
    prompts.check(SHAPE)
    assert len(prompts.points) <= 1
    assert prompts.box is None


@pytest.mark.parametrize("kind", [*KINDS, "path", "line"])
@pytest.mark.parametrize("polarity", [0, 1])
@pytest.mark.parametrize("far", [(-200, 0), (0, 200), (np.nan, 0)])
def test_nothing_comes_of_a_shape_beyond_the_plane(
    kind: str, polarity: int, far: tuple[float, float]
) -> None:
    assert not shape_prompts(kind, LASSO + far, polarity, SHAPE)


@given(
    kind=st.sampled_from([*KINDS, "path", "line"]),
    vertices=st.lists(st.tuples(*[st.floats(-90, 120)] * 2), min_size=4, max_size=4),
    polarity=st.sampled_from([0, 1]),
)
def test_whatever_is_drawn_gives_prompts_inside_the_plane(
    kind: str, vertices: list[tuple[float, float]], polarity: int
) -> None:
    shape_prompts(kind, np.array(vertices), polarity, SHAPE).check(SHAPE)


# ---- drawing direction, beginning, rotation and clipping


@given(
    kind=st.sampled_from(KINDS),
    vertices=st.lists(st.tuples(*[st.integers(-360, 480)] * 2), min_size=4, max_size=4),
    turn=st.integers(0, 3),
    step=st.sampled_from([1, -1]),
    polarity=st.sampled_from([0, 1]),
)
def test_neither_the_beginning_nor_the_direction_of_drawing_matters(
    kind: str, vertices: list[tuple[int, int]], turn: int, step: int, polarity: int
) -> None:
    """napari-SAM4IS issue 19: the box depended on the drawing direction."""
    drawn = np.array(vertices) / 8 + (0.03, 0.04)
    if kind == "ellipse":  # its corners are those of a parallelogram
        drawn[3] = drawn[0] + drawn[2] - drawn[1]
    other = np.roll(drawn, turn, axis=0)[::step]
    assert shape_prompts(kind, other, polarity, SHAPE) == shape_prompts(
        kind, drawn, polarity, SHAPE
    )


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(0, 59)), min_size=2, max_size=9))
def test_a_scribble_is_the_same_from_either_end(vertices: list[tuple[int, int]]) -> None:
    line = np.array(vertices, float)
    forth, back = points_along(line, SHAPE), points_along(line[::-1], SHAPE)
    np.testing.assert_allclose(forth, back[::-1], atol=1e-6)


@given(
    low=st.tuples(st.integers(-30, 38), st.integers(-30, 58)),
    size=st.tuples(st.integers(2, 80), st.integers(2, 80)),
)
def test_clipping_an_outline_is_drawing_it_clipped(
    low: tuple[int, int], size: tuple[int, int]
) -> None:
    y0, x0, y1, x1 = *low, low[0] + size[0], low[1] + size[1]
    mask = block(max(y0, 0), max(x0, 0), max(y1, 0), max(x1, 0))
    outline = around((y0 - 0.5, x0 - 0.5, y1 - 0.5, x1 - 0.5))
    assert fill(outline, SHAPE) == PackedMask.of(mask)


def test_a_box_is_clipped_at_the_border() -> None:
    assert shape_prompts("rectangle", around((-5, 50, 15, 99)), 1, SHAPE).box == (0, 50, 15, 60)


def test_a_scribble_across_the_border_gives_the_points_inside() -> None:
    line = np.array([(20.0, 30.0), (20.0, 200.0)])
    points = points_along(line, SHAPE)
    assert len(points) == 8
    assert max(x for _, x in points) <= 59.5


# ---- points


def test_a_short_scribble_gives_few_points() -> None:
    assert len(points_along(np.array([(5.0, 5.0), (5.0, 12.0)]), SHAPE)) == 2
    assert points_along(np.array([(5.0, 5.0), (5.0, 5.0)]), SHAPE) == ((5, 5),)


def test_the_first_point_is_the_most_interior_and_the_others_keep_away() -> None:
    mask = PackedMask.of(block(5, 5, 16, 16) | block(9, 16, 12, 50))
    points = np.array(interior_points(mask, 5))
    assert points[0].tolist() == [10, 10]
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    assert distance[~np.eye(len(points), dtype=bool)].min() > 3


def test_no_more_points_than_asked_for() -> None:
    mask = PackedMask.of(block(0, 0, 40, 60))
    assert [len(interior_points(mask, count)) for count in (1, 3, 5)] == [1, 3, 5]
    assert interior_points(NOWHERE, 5) == ()


def test_a_thin_line_in_a_large_mask_has_interior_points() -> None:
    mask = np.zeros((1000, 1000), bool)
    mask[np.arange(1, 1000), np.arange(999)] = True
    points = interior_points(PackedMask.of(mask), 3)
    assert points
    assert all(mask[int(y), int(x)] for y, x in points)
