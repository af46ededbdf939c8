"""The smallest model that trains, and pictures whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from napari_sam2.model import Sam2Config
from napari_sam2.model.config import CONFIGS

WEE = Sam2Config(
    image_size=64,
    embed_dim=8,
    stages=(1, 1, 1, 1),
    global_att_blocks=(2,),
    window_spec=(8, 4, 4, 2),
    d_model=32,
    memory_dim=8,
    memory_layers=1,
    memory_feedforward=16,
)


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
