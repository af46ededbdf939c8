from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam2.errors import PromptError
from napari_sam2.session.prompt_table import read_prompt_table
from napari_sam2.session.prompts import Prompts

HEADER = "object,frame,kind,y,x,polarity,y0,x0,y1,x1\n"


def test_prompts_of_one_frame_go_together(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text(
        f"{HEADER}2,5,point,10.5,20,,,,,\n2,5,point,1,2,0,,,,\n2,5,box,,,,0,1,12,24\n4,0,,7,8,,,,,\n"
    )
    assert read_prompt_table(path) == {
        2: {5: Prompts(((10.5, 20), (1, 2)), (1, 0), (0, 1, 12, 24))},
        4: {0: Prompts(((7, 8),), (1,))},
    }


def test_excel_begins_its_files_with_a_mark(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("\ufeffobject,plane,y,x\n1,3,4,5\n", encoding="utf-8")
    assert read_prompt_table(path) == {1: {3: Prompts(((4, 5),), (1,))}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "holds no prompts"),
        ("0,5,point,1,2,1,,,,\n", "row 2: an object must be a label above 0, got 0"),
        ("1,half,point,1,2,1,,,,\n", "row 2: frame must be a number, got 'half'"),
        ("1,1.5,point,1,2,1,,,,\n", "row 2: frame must be a whole number"),
        ("1,5,circle,1,2,1,,,,\n", "kind must be point or box, got 'circle'"),
        ("1,5,point,1,2,7,,,,\n", "polarity must be 1 (object) or 0 (background), got '7'"),
        ("1,5,point,1,,1,,,,\n", "x must be a number, got ''"),
        ("1,5,box,,,,1,2,3,4\n1,5,box,,,,1,2,3,4\n", "row 3: an object takes one box"),
    ],
)
def test_a_row_that_says_nothing_is_named(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text(HEADER + rows)
    with pytest.raises(PromptError) as caught:
        read_prompt_table(path)
    assert message in str(caught.value)
