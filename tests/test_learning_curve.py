"""The picture of how a model learnt."""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "learning_curve.py"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def curve() -> ModuleType:
    spec = importlib.util.spec_from_file_location("learning_curve", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def entries(count: int) -> list[dict[str, float]]:
    """The encoder alone first, then IoUs of 0.4 and 0.7, on windows that grow half-way."""
    start = [{"step": 50, "side": 256, "loss": 3.0}]
    sides = [256 if index < count // 2 else 512 for index in range(count)]
    return start + [
        {"step": 100 + 50 * i, "side": side, "click": 0.4, "box2": 0.7}
        for i, side in enumerate(sides)
    ]


def words(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter(f"{SVG}text")]


def test_each_line_has_its_name_and_where_it_ends(curve: ModuleType) -> None:
    picture = curve.draw(entries(40))
    assert words(picture)[-2:] == ["box, corrected 0.70", "one click 0.40"][::-1]
    lines = list(ET.fromstring(picture).iter(f"{SVG}polyline"))
    assert len(lines) == 2
    heights = {place.split(",")[1] for place in lines[0].attrib["points"].split()}
    assert heights == {f"{curve.Chart(1).y(0.4):.1f}"}


def test_steps_and_sizes_of_windows_are_told(curve: ModuleType) -> None:
    told = words(curve.draw(entries(40)))
    assert [word for word in told if word.endswith(" px")] == ["256 px", "512 px"]
    assert told[6:11] == ["0", "500", "1\u202f000", "1\u202f500", "2\u202f000"]


def test_names_of_lines_that_end_together_do_not_overlap(curve: ModuleType) -> None:
    together = [{"step": 50 * i, "click": 0.5, "box": 0.5, "box2": 0.501} for i in range(1, 9)]
    texts = list(ET.fromstring(curve.draw(together)).iter(f"{SVG}text"))[-3:]
    places = sorted(float(text.attrib["y"]) for text in texts)
    assert min(b - a for a, b in itertools.pairwise(places)) >= 13


def test_a_long_log_makes_no_large_picture(curve: ModuleType) -> None:
    assert len(curve.draw(entries(20_000))) < 60_000


@pytest.mark.parametrize("last", [7, 50, 99, 100, 101, 1999, 11950, 300_000])
def test_ticks_are_round_and_neither_few_nor_many(curve: ModuleType, last: int) -> None:
    ticks = curve.ticks(last)
    assert 4 <= len(ticks) <= 11
    assert ticks[0] == 0
    assert ticks[-1] <= last


def test_a_log_is_read_and_its_picture_written(
    curve: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, picture = tmp_path / "log.jsonl", tmp_path / "mine.svg"
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries(3)))
    monkeypatch.setattr("sys.argv", ["learning_curve.py", str(log), str(picture)])
    curve.main()
    assert "one click 0.40" in picture.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["micro", "micro-memory", "micro-refiner"])
def test_the_pictures_in_the_documents_are_those_of_the_logs_beside_them(
    curve: ModuleType, name: str
) -> None:
    (pair,) = (pair for pair in curve.LOGS.items() if pair[0].stem == f"{name}-log")
    log = [json.loads(line) for line in pair[0].read_text(encoding="utf-8").splitlines()]
    assert pair[1].read_text(encoding="utf-8") == curve.draw(log)
