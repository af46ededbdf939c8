from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_sam2.training.evaluate_classical import ClassicalScore
from napari_sam2.training.protocols import PROTOCOLS
from napari_sam2.training.report import Evaluation, to_figures, to_markdown
from napari_sam2.training.scores import Score


def scores_of(kind: str, weight: float, chosen: float, best: float) -> list[Score]:
    return [
        Score("p", kind, 1, weight, name, chosen + i / 100, best, 0.5)
        for i, name in enumerate(PROTOCOLS)
    ]


SCORES = [
    *scores_of("fluo", 4.0, 0.5, 0.6),
    *scores_of("fluo", 4.0, 0.7, 0.8),
    *scores_of("bright", 1.0, 0.2, 0.3),
    *scores_of("stack3d", 1.0, 0.9, 0.95),
]
FOLDERS = {"nuclei": ["fluo", "bright"], "stack3d": ["stack3d"]}
PLAIN = Evaluation("micro", {"weights": "abc", "objects": "all"}, FOLDERS, SCORES)

FLOOD = ClassicalScore("fluo", 4.0, "click", "flood with tolerance", 0, 0.1)
WITH_FLOOD = replace(
    PLAIN,
    classical=[
        *(replace(FLOOD, setting=1, iou=iou) for iou in (0.6, 0.8)),
        *(replace(FLOOD, iou=iou) for iou in (0.1, 0.2)),
        replace(FLOOD, kind="bright", weight=1.0, iou=0.15),
        replace(FLOOD, kind="stack3d", weight=1.0, iou=0.3),
    ],
)


def cells(evaluation: Evaluation) -> list[list[str]]:
    lines = to_markdown(evaluation).splitlines()
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line[:1] == "|"]


def test_what_must_be_known_to_repeat_it_stands_above_the_table() -> None:
    assert to_markdown(PLAIN).splitlines()[:2] == ["weights: abc; objects: all", ""]


def test_the_table_has_a_column_for_each_kind_and_for_each_folder_of_several() -> None:
    head, rule, counts, *_ = cells(PLAIN)
    assert head[2:] == ["fluo", "bright", "stack3d", "all nuclei", "mean of kinds"]
    assert rule == ["---", "---", *["---:"] * 5]
    assert counts == ["", "objects", "2 of 8", "1", "1", "3 of 9", "4 of 10"]


def test_one_kind_needs_no_column_for_all() -> None:
    only = replace(PLAIN, scores=SCORES[: len(PROTOCOLS)])
    assert cells(only)[0][2:] == ["fluo"]


def test_a_block_of_rows_tells_of_a_protocol() -> None:
    rows = cells(PLAIN)[3:]
    assert [row[0] for row in rows if row[0]] == list(PROTOCOLS)
    assert len(rows) == 4 * len(PROTOCOLS)
    assert rows[0] == ["click", "**micro**", "0.600", "0.200", "0.900", "0.556", "0.567"]
    assert rows[1][1:4] == ["quartiles", "0.50 0.50 0.70", "0.20 0.20 0.20"]
    assert rows[2][1:] == ["best candidate", "0.700", "0.300", "0.950", "0.656", "0.650"]
    assert rows[3][1:4] == ["calibration error", "0.100", "0.300"]


def test_classical_methods_stand_below_at_their_best_and_the_best_mean_is_bold() -> None:
    rows = cells(WITH_FLOOD)[3:]
    assert len(rows) == 4 * len(PROTOCOLS) + 1
    assert rows[0][2:] == ["0.600", "**0.200**", "**0.900**", "0.556", "**0.567**"]
    assert rows[4][1:] == [
        *("flood with tolerance", "**0.700**", "0.150", "0.300"),
        *("**0.639**", "0.383"),
    ]
    assert not any("**" in cell for row in rows[5:] for cell in row[2:]), "nothing to compare"


def test_figures_for_programs_are_those_of_the_table() -> None:
    told = to_figures(WITH_FLOOD)
    assert json.loads(json.dumps(told)) == told
    assert (told["model"], told["weights"]) == ("micro", "abc")
    assert list(told["figures"]) == ["fluo", "bright", "stack3d", "all nuclei", "mean of kinds"]
    assert list(told["figures"]["fluo"]) == list(PROTOCOLS)
    click = told["figures"]["fluo"]["click"]
    assert click["objects"] == 2
    assert click["mean"] == pytest.approx(0.6)
    assert click["best"] == pytest.approx(0.7)
    assert click["classical"] == {"flood with tolerance": pytest.approx(0.7)}
    assert told["figures"]["fluo"]["box"]["classical"] == {}
