"""What the documents promise is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
