"""Points and shapes as values, and back; and what becomes of them on a plane."""

from __future__ import annotations

from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_sam2.layers.create import ensure_layers
from napari_sam2.layers.prompt_layers import PromptLayers
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import PlacedPoint, PlacedPrompts, PlacedShape
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts
from tests.layers.conftest import SCALED, SHAPE, pixels

PLANE, SIZE = Plane((1, 2), (2,)), SHAPE[1:]
KINDS = {"rectangle": 4, "ellipse": 4, "polygon": 5, "path": 3, "line": 2}


def box(y0: float, x0: float, y1: float, x1: float, z: float = 2) -> PlacedShape:
    return shape("rectangle", (y0, x0), (y0, x1), (y1, x1), (y1, x0), z=z)


def shape(
    kind: str, *vertices: tuple[float, float], z: float = 2, polarity: int = 1
) -> PlacedShape:
    return PlacedShape(kind, tuple((float(z), float(y), float(x)) for y, x in vertices), polarity)


def outline(kind: str = "polygon", polarity: int = 1, z: float = 2) -> PlacedShape:
    """Around rows 5 to 14 and columns 10 to 29."""
    corners = (4.5, 9.5), (4.5, 29.5), (14.5, 29.5), (14.5, 9.5)
    return shape(kind, *corners, polarity=polarity, z=z)


def point(y: float, x: float, polarity: int = 1, z: float = 2) -> PlacedPoint:
    return PlacedPoint((float(z), float(y), float(x)), polarity)


def placed(*content: PlacedPoint | PlacedShape) -> PlacedPrompts:
    return PlacedPrompts(
        tuple(c for c in content if isinstance(c, PlacedPoint)),
        tuple(c for c in content if isinstance(c, PlacedShape)),
    )


def read(prompts: PromptLayers, image: Image, **options: bool) -> Prompts:
    return prompts.read(image, PLANE, SIZE, **options)[0]


# ---- capture and restore

_numbers = st.integers(-80, 800).map(lambda value: value / 8)
_positions = st.tuples(st.integers(0, 4).map(float), _numbers, _numbers)
_polarity = st.sampled_from([0, 1])


@st.composite
def _shapes(draw: st.DrawFn) -> PlacedShape:
    kind = draw(st.sampled_from(list(KINDS)))
    plane = draw(st.integers(0, 4))
    corners = st.lists(
        st.tuples(_numbers, _numbers), min_size=KINDS[kind], max_size=KINDS[kind], unique=True
    )
    polarity = 1 if kind == "rectangle" else draw(_polarity)
    return shape(kind, *draw(corners), z=plane, polarity=polarity)


_placed = st.builds(
    PlacedPrompts,
    st.lists(st.builds(PlacedPoint, _positions, _polarity), max_size=5).map(tuple),
    st.lists(_shapes(), max_size=4).map(tuple),
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(state=_placed, polarity=_polarity)
def test_what_was_captured_is_restored_exactly(
    on_scaled: PromptLayers, state: PlacedPrompts, polarity: int
) -> None:
    points, shapes = on_scaled.points, on_scaled.shapes  # as the example before left them
    on_scaled.polarity = polarity
    points.mode, shapes.mode = "add", "add_path"
    heard = Mock()
    on_scaled.changed.connect(heard, check_nargs=False)
    on_scaled.polarity_changed.connect(heard)
    on_scaled.restore(state)
    assert on_scaled.capture() == state
    wanted = ["cross" if p.polarity else "hbar" for p in state.points]
    assert [str(symbol) for symbol in points.symbol] == wanted
    green_over_red = np.array(shapes.edge_color).reshape(-1, 4)[:, 1::-1]
    assert [g > r for g, r in green_over_red] == [s.polarity == 1 for s in state.shapes]
    assert not points.selected_data
    assert not shapes.selected_data
    assert on_scaled.polarity == polarity
    assert (points.mode, shapes.mode) == ("add", "add_path")
    heard.assert_not_called()


@pytest.mark.parametrize("polarity", [0, 1])
def test_after_restoring_the_next_prompts_are_as_before(
    on_scaled: PromptLayers, polarity: int
) -> None:
    on_scaled.polarity = polarity
    on_scaled.restore(placed(point(5, 5, 0), point(6, 6, 1), outline("ellipse", 0), outline()))
    on_scaled.points.add((2, 7, 7))
    on_scaled.shapes.add_paths([[(2, 7, 7), (2, 9, 9)]])
    assert on_scaled.capture().points[-1].polarity == polarity
    assert on_scaled.capture().shapes[-1].polarity == polarity
    colours = on_scaled.points.face_color[-1], on_scaled.shapes.edge_color[-1]
    assert np.allclose(*colours)


def test_what_is_drawn_after_restoring_is_told(on_scaled: PromptLayers) -> None:
    on_scaled.restore(placed(point(5, 5), outline()))
    heard = Mock()
    on_scaled.changed.connect(heard, check_nargs=False)
    on_scaled.shapes.selected_data = {0}
    on_scaled.shapes.remove_selected()
    assert heard.call_count == 1
    on_scaled.points.add((2, 7, 7))
    assert heard.call_count == 2


def test_columns_of_others_stay_when_prompts_are_restored(on_scaled: PromptLayers) -> None:
    on_scaled.points.add((2, 5, 5))
    on_scaled.points.features = {"polarity": [0], "quality": [0.5]}
    on_scaled.restore(placed(point(5, 5, 1)))
    assert on_scaled.points.features["quality"].tolist() == [0.5]


def test_the_same_table_again_is_no_change(on_scaled: PromptLayers) -> None:
    on_scaled.restore(placed(point(5, 5, 0), outline(polarity=0)))
    heard = Mock()
    on_scaled.changed.connect(heard, check_nargs=False)
    on_scaled.shapes.features = {"polarity": [0]}
    on_scaled.points.features = {"polarity": [0]}
    heard.assert_not_called()
    on_scaled.shapes.features = {"polarity": [1]}
    assert heard.call_count == 1
    assert on_scaled.capture().shapes[0].polarity == 1


def test_shapes_with_another_table_can_be_added_and_are_on_the_object(
    on_scaled: PromptLayers,
) -> None:
    on_scaled.restore(placed(outline("ellipse")))
    on_scaled.shapes.features = {"quality": [0.5]}
    on_scaled.shapes.add_polygons([[(2, 5, 5), (2, 9, 9), (2, 9, 5)]])
    assert [s.polarity for s in on_scaled.capture().shapes] == [1, 1]
    on_scaled.polarity = 0
    on_scaled.shapes.add_polygons([[(2, 5, 5), (2, 9, 9), (2, 9, 5)]])
    assert [s.polarity for s in on_scaled.capture().shapes] == [1, 1, 0]


def test_a_box_is_never_on_the_background(on_scaled: PromptLayers) -> None:
    on_scaled.polarity = 0
    on_scaled.shapes.add_rectangles(np.array([box(5, 6, 15, 26).vertices]))
    assert on_scaled.capture() == placed(box(5, 6, 15, 26))


def test_a_script_that_fails_to_add_a_shape_stops_nothing(on_scaled: PromptLayers) -> None:
    with pytest.raises(KeyError):
        on_scaled.shapes.add([np.zeros((4, 3))], shape_type="triangle")
    on_scaled.restore(placed(outline()))
    assert on_scaled.shapes.nshapes == 1


# ---- what they ask for on a plane


@pytest.mark.parametrize("kind", ["polygon", "ellipse", "path"])
def test_shapes_are_read_through_the_world(prompts: PromptLayers, image: Image, kind: str) -> None:
    """The shapes layer was moved; the outline in the world is where it was drawn."""
    before = outline(kind)
    prompts.restore(placed(before))
    wanted = read(prompts, image)
    prompts.restore(PlacedPrompts())
    world = [image.data_to_world(vertex) for vertex in before.vertices]
    prompts.shapes.scale = (2, 1.5, 1.5)
    prompts.shapes.translate = (0, -7, 3)
    there = np.array([prompts.shapes.world_to_data(at) for at in world])
    prompts.shapes.add([there], shape_type=kind)
    got = read(prompts, image)
    if kind == "path":
        np.testing.assert_allclose(got.points, wanted.points, atol=1e-3)
    else:
        assert got.box == wanted.box == (5, 10, 15, 30)
        masks = [part.mask_prompt for part in (got, wanted)]
        assert all(isinstance(mask, PackedMask) for mask in masks)
        assert np.count_nonzero(masks[0].to_array() ^ masks[1].to_array()) <= 4
    assert wanted


def test_boxes_points_and_scribbles_mix(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.restore(
        placed(
            point(7, 7),
            point(30, 50, 0),
            shape("path", (20, 10), (20, 20), polarity=0),
            box(5, 6, 15, 26),
        )
    )
    prompts = read(on_scaled, scaled)
    assert prompts.box == (5, 6, 15, 26)
    assert prompts.mask_prompt is None
    assert prompts.points[:2] == ((7, 7), (30, 50))
    assert prompts.polarity == (1, 0, 0, 0, 0)
    assert {y for y, _ in prompts.points[2:]} == {20}


def test_several_scribbles_and_areas_of_background_all_count(
    on_scaled: PromptLayers, scaled: Image
) -> None:
    lines = [shape("path", (y, 10), (y, 50), polarity=1) for y in (10, 20)]
    on_scaled.restore(placed(*lines, outline("ellipse", polarity=0)))
    prompts, note = on_scaled.read(scaled, PLANE, SIZE)
    assert prompts.polarity.count(1) == 16
    assert prompts.polarity.count(0) >= 2
    assert prompts.box is prompts.mask_prompt is None
    assert note == ""


def test_of_a_box_and_an_outline_the_newest_counts(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.restore(placed(outline(), box(5, 6, 15, 26)))
    prompts, note = on_scaled.read(scaled, PLANE, SIZE)
    assert prompts == Prompts(box=(5, 6, 15, 26))
    assert note == "Of the 2 shapes, the newest counts."
    on_scaled.restore(placed(box(5, 6, 15, 26), outline()))
    assert read(on_scaled, scaled).mask_prompt is not None


def test_shapes_on_other_planes_do_not_count(on_scaled: PromptLayers, scaled: Image) -> None:
    across = PlacedShape("path", ((1.0, 5.0, 5.0), (2.0, 9.0, 9.0)))
    on_scaled.restore(placed(outline(z=1), outline("ellipse", 0, z=3), across))
    assert on_scaled.read(scaled, PLANE, SIZE) == (Prompts(), "")
    assert on_scaled.count_shapes(scaled, PLANE) == 0
    assert on_scaled.without_first_shape(scaled, PLANE) == on_scaled.capture()


def test_the_same_shape_is_the_same_prompts(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.restore(placed(outline()))
    first = read(on_scaled, scaled)
    assert read(on_scaled, scaled).mask_prompt is first.mask_prompt, "not filled once more"
    on_scaled.shapes.translate = np.add(on_scaled.shapes.translate, (0, 1, 0))
    assert read(on_scaled, scaled) != first


# ---- each shape is an object


def test_each_shape_in_turn_becomes_an_object(on_scaled: PromptLayers, scaled: Image) -> None:
    elsewhere = (point(9, 9, z=1), outline("ellipse", z=3))
    on_scaled.restore(
        placed(
            point(7, 7),
            box(1, 1, 9, 9),
            shape("path", (20, 10), (20, 20), polarity=0),
            outline(),
            box(-9, -9, -2, -3),
            elsewhere[1],
            box(20, 20, 30, 30),
            elsewhere[0],
        )
    )
    assert on_scaled.count_shapes(scaled, PLANE) == 3
    first = read(on_scaled, scaled, each_shape=True)
    assert first.box == (1, 1, 9, 9)
    assert first.polarity == (1, 0, 0, 0)

    on_scaled.restore(on_scaled.without_first_shape(scaled, PLANE))
    assert on_scaled.capture() == placed(elsewhere[0], outline(), elsewhere[1], box(20, 20, 30, 30))
    second = read(on_scaled, scaled, each_shape=True)
    assert second.box == (5, 10, 15, 30)
    assert second.polarity == (1,)

    on_scaled.restore(on_scaled.without_first_shape(scaled, PLANE))
    on_scaled.restore(on_scaled.without_first_shape(scaled, PLANE))
    assert on_scaled.count_shapes(scaled, PLANE) == 0
    assert on_scaled.capture() == placed(*elsewhere)


def test_waiting_shapes_are_not_noted_as_left_out(on_scaled: PromptLayers, scaled: Image) -> None:
    on_scaled.restore(placed(box(1, 1, 9, 9), box(20, 20, 30, 30)))
    assert on_scaled.read(scaled, PLANE, SIZE, each_shape=True)[1] == ""


def test_the_size_of_the_plane_follows_the_order_of_the_axes(
    viewer: ViewerModel,
) -> None:
    image = viewer.add_image(pixels(), **SCALED)
    layers = ensure_layers(viewer, image)
    prompts = PromptLayers(layers.points, layers.shapes)
    flat = [(0.0, 7.0, 30.0), (0.0, 7.0, 50.0), (4.0, 7.0, 50.0), (4.0, 7.0, 30.0)]
    prompts.shapes.add_rectangles([flat])
    side = Plane((2, 0), (7,))
    assert prompts.count_shapes(image, side) == 1
    assert prompts.read(image, side, (60, 5))[0].box == (30, 0, 50, 4)
    prompts.close()
