"""Snapshots for tests: one by hand, any by Hypothesis, and whether two are the same."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from napari_sam2.session.identity import ImageIdentity
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import (
    RECTANGLE,
    Answer,
    AtWork,
    ObjectClass,
    ObjectRecord,
    Original,
    PlacedPoint,
    PlacedPrompts,
    PlacedShape,
    PlaneWork,
    State,
)
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import LowResMask, Prompts
from napari_sam2.session.snapshot import Snapshot

SHAPE = (2, 5, 7)
IMAGE = ImageIdentity("nuclei", SHAPE, "uint16", "/data/nuclei.tif", "0123456789abcdef")
PLANES = [
    Plane((1, 2), (0,)),
    Plane((1, 2), (1,)),
    Plane((2, 1), (1,)),  # as if the axes were transposed
    Plane((0, 2), (3,)),  # as if they were rolled
]


def identical(one: Any, other: Any) -> bool:
    """Tell whether two values are the same to the bit; NaN is NaN."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(
            identical(getattr(one, name), getattr(other, name)) for name in names
        )
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(identical, one, other))
    return bool(one == other)


def same_content(one: Snapshot, other: Snapshot) -> bool:
    """Tell whether two snapshots hold the same, whatever they were written by and when."""
    indices = {*one.labels, *other.labels}
    return all(
        identical(getattr(one, name), getattr(other, name))
        for name in ("state", "label_shape", "label_dtype", "image", "settings")
    ) and all(identical(one.read_block(index), other.read_block(index)) for index in indices)


def answer(shape: tuple[int, int], score: float = 0.75) -> Answer:
    """Make an answer with two candidates."""
    masks = np.zeros((2, *shape), bool)
    masks[0, 1:3, 2:5] = True
    masks[1, 1:4, 1:6] = True
    logits = LowResMask.of(np.linspace(-8, 8, 12, dtype=np.float32).reshape(3, 4))
    return Answer(
        prompts=Prompts(((1.5, 2.0),), (1,), (1.0, 1.0, 4.0, 5.5), logits),
        candidates=tuple(PackedMask.of(mask) for mask in masks),
        scores=(score, 0.5),
        logits=(logits, logits),
        chosen=1,
        model="micro",
        weights_hash="00ff" * 8,
    )


def work(object_id: int, score: float = 0.75) -> AtWork:
    """Make work on one object, on one plane, with a correction by the brush."""
    removed = np.zeros(SHAPE[1:], bool)
    removed[1, 2] = True
    plane = PlaneWork(SHAPE[1:], answer(SHAPE[1:], score), None, PackedMask.of(removed))
    prompts = PlacedPrompts(
        (PlacedPoint((0.0, 1.5, 2.0)), PlacedPoint((0.0, 4.0, 6.0), 0)),
        (PlacedShape(RECTANGLE, ((0.0, 1.0, 1.0), (0.0, 4.0, 5.5))),),
    )
    return AtWork(object_id, prompts, {PLANES[0]: plane})


def record(object_id: int, score: float = 0.75) -> ObjectRecord:
    """Make an object that was kept."""
    return ObjectRecord(
        object_id, 14, (0, 1, 1), (1, 4, 6), score, "Anna's", "nucleus", work(object_id, score)
    )


def snapshot(*object_ids: int, at_work: int = 99, **changes: Any) -> Snapshot:
    """Make a snapshot with some objects, each a plane-wide row of labels."""
    labels = np.zeros(SHAPE, np.int32)
    for object_id in object_ids:
        labels[object_id % 2, object_id % 5] = object_id
    values: dict[str, Any] = {
        "state": State(
            at_work=work(at_work),
            objects={object_id: record(object_id) for object_id in object_ids},
            classes=(ObjectClass("nucleus", "#ff8800"),),
            strays={200: ObjectRecord(200, 1, (0, 0, 0), (1, 1, 1))},
            highest=200,
        ),
        "labels": {(index,): plane for index, plane in enumerate(labels) if plane.any()},
        "label_shape": SHAPE,
        "label_dtype": np.dtype(np.int32),
        "image": IMAGE,
        "settings": {"contrast_limits": [12.5, 255], "layer": {"scale": [2, 0.5, 0.5]}},
    }
    return Snapshot(**{**values, **changes})


# Any snapshot.

floats = st.floats(allow_nan=True, allow_infinity=True)
texts = st.text(max_size=5)
positions = st.tuples(floats, floats, floats)
polarities = st.sampled_from([0, 1])
ids = st.integers(-(2**31), 2**40)


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, int]) -> PackedMask:
    pixels = st.lists(st.booleans(), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
    return PackedMask.of(np.array(draw(pixels)).reshape(shape))


@st.composite
def logits(draw: st.DrawFn) -> LowResMask:
    height, width = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    size = 2 * height * width
    return LowResMask((height, width), draw(st.binary(min_size=size, max_size=size)))


@st.composite
def prompts(draw: st.DrawFn, shape: tuple[int, int]) -> Prompts:
    points = draw(st.lists(st.tuples(floats, floats), max_size=2))
    return Prompts(
        tuple(points),
        tuple(draw(polarities) for _ in points),
        draw(st.none() | st.tuples(floats, floats, floats, floats)),
        draw(st.none() | masks(shape) | logits()),
    )


@st.composite
def answers(draw: st.DrawFn, shape: tuple[int, int]) -> Answer:
    count = draw(st.integers(1, 2))
    return Answer(
        draw(prompts(shape)),
        tuple(draw(masks(shape)) for _ in range(count)),
        tuple(draw(floats) for _ in range(count)),
        tuple(draw(logits()) for _ in range(count)) if draw(st.booleans()) else (),
        draw(st.integers(0, count - 1)),
        draw(texts),
        draw(texts),
    )


@st.composite
def plane_works(draw: st.DrawFn, plane: Plane) -> PlaneWork:
    shape = plane.shape_of(SHAPE)
    mask = st.none() | masks(shape)
    return PlaneWork(shape, draw(st.none() | answers(shape)), draw(mask), draw(mask))


placed_prompts = st.builds(
    PlacedPrompts,
    st.lists(st.builds(PlacedPoint, positions, polarities), max_size=2).map(tuple),
    st.lists(
        st.builds(PlacedShape, texts, st.lists(positions, max_size=2).map(tuple), polarities),
        max_size=2,
    ).map(tuple),
)


@st.composite
def works(draw: st.DrawFn, depth: int = 1) -> AtWork:
    planes = draw(st.lists(st.sampled_from(PLANES), max_size=2, unique=True))
    has_original = depth > 0 and draw(st.booleans())
    return AtWork(
        draw(ids),
        draw(placed_prompts),
        {plane: draw(plane_works(plane)) for plane in planes},
        draw(originals(depth - 1)) if has_original else None,
    )


@st.composite
def originals(draw: st.DrawFn, depth: int) -> Original:
    planes = draw(st.lists(st.sampled_from(PLANES), max_size=2, unique=True))
    masks_of = {plane: draw(masks(plane.shape_of(SHAPE))) for plane in planes}
    return Original(draw(records(draw(ids), depth)), masks_of)


@st.composite
def records(draw: st.DrawFn, object_id: int, depth: int = 0) -> ObjectRecord:
    corners = st.tuples(*(st.integers(0, size) for size in SHAPE))
    return ObjectRecord(
        object_id,
        draw(st.integers(0, 10**12)),
        draw(corners),
        draw(corners),
        draw(floats),
        draw(texts),
        draw(texts),
        draw(st.none() | works(depth)),
    )


@st.composite
def states(draw: st.DrawFn) -> State:
    object_ids = draw(st.lists(ids, max_size=2, unique=True))
    stray_ids = draw(st.lists(ids, max_size=1))
    return State(
        draw(works()),
        {object_id: draw(records(object_id)) for object_id in object_ids},
        tuple(draw(st.lists(st.builds(ObjectClass, texts, texts), max_size=2))),
        {object_id: draw(records(object_id)) for object_id in stray_ids},
        max([draw(st.integers(0, 9)), *object_ids, *stray_ids]),
    )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    dtype = np.dtype(draw(st.sampled_from(["uint8", "int16", "int32", "uint64"])))
    values = st.integers(0, int(np.iinfo(dtype).max))
    indices = draw(st.lists(st.tuples(st.integers(0, SHAPE[0] - 1)), max_size=2, unique=True))
    labels = {
        index: np.array([draw(values), *[0] * 30, *[draw(values)] * 4], dtype).reshape(SHAPE[1:])
        for index in indices
    }
    return Snapshot(
        draw(states()),
        labels,
        SHAPE,
        dtype,
        draw(
            st.builds(
                ImageIdentity,
                texts,
                st.lists(st.integers(0, 2**40), max_size=4).map(tuple),
                texts,
                st.none() | texts,
                texts,
            )
        ),
        draw(st.dictionaries(texts, json_values, max_size=2)),
    )
