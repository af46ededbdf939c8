"""A model that answers in milliseconds: SAM 2's own shape, with fixed random weights."""

from __future__ import annotations

import pytest
import torch

from napari_sam2.model import Sam2, Sam2Config, build_sam2

TINY = Sam2Config(
    image_size=128,
    embed_dim=8,
    stages=(1, 1, 1, 1),
    global_att_blocks=(2,),
    window_spec=(4, 4, 4, 4),
    d_model=32,
    memory_dim=8,
    memory_layers=1,
    memory_feedforward=16,
)


def make_tiny_model(seed: int = 0) -> Sam2:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_sam2(TINY)


@pytest.fixture(scope="session")
def tiny_model() -> Sam2:
    return make_tiny_model()
