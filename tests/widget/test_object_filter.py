from __future__ import annotations

import pytest

from napari_sam2.widget.object_filter import accepting
from tests.widget.samples import record

RECORDS = (
    record(1, score=0.9, area=50, name="Left lobe", class_name="nucleus"),
    record(12, score=0.4, area=500, name="", class_name="red cell"),
    record(3, area=100, name="nucleus?", class_name=""),
)


@pytest.mark.parametrize(
    ("text", "passing"),
    [
        ("", {1, 12, 3}),
        ("nucleus", {1, 3}),
        ("NUCL", {1, 3}),
        ("1", {1, 12}),
        ("class:nucleus", {1}),
        ("class:", {1, 12, 3}),
        ("name:lobe", {1}),
        ('class:"red cell"', {12}),
        ('"left lobe"', {1}),
        ("red cell", {12}),
        ("score<0.8", {12}),
        ("score>=.4", {1, 12}),
        ("score<0.8 score>0.5", set()),
        ("area>100", {12}),
        ("area>=100", {12, 3}),
        ("AREA=50", {1}),
        ("id=1", {1}),
        ("score<0.8.1", set()),
        ("score<", set()),
        ('"', {1, 12, 3}),
    ],
)
def test_every_term_must_hold(text: str, passing: set[int]) -> None:
    accept = accepting(text)
    assert {each.object_id for each in RECORDS if accept(each)} == passing
