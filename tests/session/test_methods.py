from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from napari_sam2.session.identity import ImageIdentity
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.methods import CITATIONS, methods_text, models_of
from napari_sam2.session.objects import (
    ELLIPSE,
    PATH,
    RECTANGLE,
    Answer,
    AtWork,
    ObjectRecord,
    PlacedPoint,
    PlacedPrompts,
    PlacedShape,
    PlaneWork,
    State,
)
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts

IMAGE = ImageIdentity("nuclei", (30, 64, 64), "uint16", None, "")
VERSIONS = {"napari-sam2": "0.1.0", "torch": "2.13.0", "napari": "0.9.2", "numpy": "2.4.6"}
MASK = PackedMask((64, 64), (1, 1, 2, 2), b"\x80")


def point(z: int, polarity: int = 1) -> PlacedPoint:
    return PlacedPoint((float(z), 1.0, 1.0), polarity)


def shape(kind: str, polarity: int = 1) -> PlacedShape:
    return PlacedShape(kind, ((0.0, 1.0, 1.0), (0.0, 2.0, 2.0)), polarity)


def kept(
    object_id: int,
    *prompts: PlacedPoint | PlacedShape,
    score: float = 0.9,
    model: tuple[str, str] = ("micro", "0123456789abcdef"),
    added: PackedMask | None = None,
) -> ObjectRecord:
    placed = PlacedPrompts(
        tuple(prompt for prompt in prompts if isinstance(prompt, PlacedPoint)),
        tuple(prompt for prompt in prompts if isinstance(prompt, PlacedShape)),
    )
    answer = Answer(Prompts(), (MASK,), (score,), model=model[0], weights_hash=model[1])
    planes = {Plane((1, 2), (0,)): PlaneWork((64, 64), answer, added)}
    corner = (0, 0, 0)
    return ObjectRecord(object_id, 1, corner, corner, score, work=AtWork(object_id, placed, planes))


def painted(object_id: int) -> ObjectRecord:
    return ObjectRecord(object_id, 1, (0, 0, 0), (1, 1, 1))


def text(
    *records: ObjectRecord,
    versions: Mapping[str, str] = VERSIONS,
    settings: Mapping[str, Any] | None = None,
    models: Any = None,
) -> str:
    state = State(AtWork(99), {record.object_id: record for record in records})
    return methods_text(
        state, image=IMAGE, models=models, versions=versions, settings=settings or {}
    )


def test_whole_text() -> None:
    written = text(
        kept(1, point(0), point(0, 0), point(1), score=0.8),
        kept(2, shape(RECTANGLE), shape(PATH, 0), added=MASK),
        kept(3, shape(RECTANGLE), score=1.0),
        painted(4),
        settings={"contrast_limits": [12.5, 4000]},
    )
    assert written == (
        '4 objects were annotated in the image "nuclei" (30 x 64 x 64, uint16) with napari-sam2 '
        "0.1.0 (PyTorch 2.13.0, napari 0.9.2, NumPy 2.4.6). Masks were predicted from interactive "
        "prompts by the Segment Anything Model 2 (SAM 2; Ravi et al., 2024), model micro (weights "
        "0123456789ab). Grey values were scaled linearly from the contrast limits 12.5 to 4000 and "
        "cut off beyond. The prompts were 3 points (2 positive, 1 negative), 2 boxes and 1 "
        "scribble (0 positive, 1 negative); after the first prompt on a plane, 0.7 further prompts "
        "per object corrected the mask on average. The mean IoU that the model predicted was 0.90 "
        "(range 0.80 to 1.00; 3 objects). 1 mask was corrected with a brush. 1 object was drawn by "
        "hand or imported, not predicted.\n\n" + "\n".join(CITATIONS)
    )


def test_one_object_is_not_many() -> None:
    written = text(kept(1, point(0)))
    assert written.startswith("1 object was annotated")
    assert "1 point (1 positive, 0 negative)" in written
    assert "The IoU that the model predicted was 0.90." in written
    assert "range" not in written


def test_several_are_many() -> None:
    written = text(
        kept(1, shape(ELLIPSE), shape(ELLIPSE), added=MASK),
        kept(2, shape(RECTANGLE), added=MASK),
        painted(3),
        painted(4),
    )
    assert "2 ellipses and 1 box;" in written
    assert "2 masks were corrected with a brush." in written
    assert "2 objects were drawn by hand or imported" in written


def test_what_is_not_known_is_not_mentioned() -> None:
    written = text(painted(1), versions={})
    paragraph = written.split("\n\n")[0]
    assert paragraph == (
        '1 object was annotated in the image "nuclei" (30 x 64 x 64, uint16) with napari-sam2. '
        "1 object was drawn by hand or imported, not predicted."
    )


@pytest.mark.parametrize("limits", [None, "auto", [1], [1, None], {"low": 1}, ["a", "b"]])
def test_contrast_that_cannot_be_read_is_not_mentioned(limits: Any) -> None:
    assert "contrast" not in text(painted(1), settings={"contrast_limits": limits})


def test_no_objects_is_a_text_too() -> None:
    assert text().startswith("0 objects were annotated")


def test_every_model_that_was_used_is_named_once() -> None:
    records = [
        kept(1, model=("micro", "aa")),
        kept(2, model=("tiny", "")),
        kept(3, model=("micro", "aa")),
        kept(4, model=("micro", "bb")),
    ]
    assert "models micro (weights aa), tiny and micro (weights bb)." in text(*records)
    assert "model large." in text(*records, models=[("large", "")])


def test_labels_without_a_model_name_no_model() -> None:
    state = State(AtWork(9), {1: kept(1, model=("", ""))})
    assert models_of(state) == ()


def test_prompts_of_the_object_at_work_do_not_count() -> None:
    state = State(replace(kept(9, point(0)).work or AtWork(9)), {1: painted(1)})
    written = methods_text(state, image=IMAGE, versions={}, settings={})
    assert "prompt" not in written
