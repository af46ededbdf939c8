"""What the documents promise is what the code has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_sam2._sample_data import read_sample
from napari_sam2.widget.keys import COMMAND, KEYS

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_guide_lists_every_key() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"`((?:Ctrl\+)?(?:Shift\+)?[A-Z])`", guide))
    assert listed == {key.key.replace(COMMAND, "Ctrl") for key in KEYS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/export.md"])
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader types them, on a picture of nuclei."""
    monkeypatch.chdir(tmp_path)
    image = read_sample("nuclei_fluorescence")
    names: dict[str, Any] = {"image": image, "labels": np.eye(8, dtype=np.uint8)}
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    assert examples
    for example in examples:
        exec(example, names)


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    assert [path.name for path in pictures if path.stat().st_size > 400_000] == []
