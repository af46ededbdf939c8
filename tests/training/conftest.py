"""The smallest model that trains, and pictures whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from napari_sam2.model.config import CONFIGS
from tests.configs import TINY as WEE


@pytest.fixture(autouse=True)
def same_luck() -> Iterator[None]:
    """Prompts and weights are drawn from torch's global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def wee(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the smallest model's configuration, and give its name."""
    monkeypatch.setitem(CONFIGS, "wee", WEE)
    return "wee"
