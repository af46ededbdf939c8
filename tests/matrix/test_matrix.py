"""The matrix: a fast part by default, all of it with `--whole-matrix`."""

from __future__ import annotations

import re

import pytest

from tests.matrix.__main__ import PAGE
from tests.matrix.cases import (
    COLOUR_AXES,
    COMPANIES,
    DTYPES,
    GREY_AXES,
    KINDS,
    ORDERS,
    PLACINGS,
    PROMPTS,
    Case,
    all_cases,
    fast_cases,
)
from tests.matrix.trial import run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = all_cases() if metafunc.config.option.whole_matrix else fast_cases()
        metafunc.parametrize("case", cases, ids=str)


def test_a_click_is_right_to_half_a_pixel(case: Case) -> None:
    assert run(case) == ""


@pytest.mark.parametrize("choose", [all_cases, fast_cases])
def test_each_value_is_tried(choose) -> None:
    for name, values in {
        "axes": (*GREY_AXES, *COLOUR_AXES),
        "dtype": DTYPES,
        "kind": KINDS,
        "placing": PLACINGS,
        "order": ORDERS,
        "company": COMPANIES,
        "prompts": PROMPTS,
    }.items():
        assert {getattr(case, name) for case in choose()} == set(values)


def test_the_documented_matrix_is_the_present_one() -> None:
    """Run `python -m tests.matrix` after changing the cases."""
    page = PAGE.read_text(encoding="utf-8")
    listed = re.findall(r"^right: (.*)$", page, re.MULTILINE)
    assert listed == [str(case) for case in all_cases()]
    assert len(listed) >= 400
