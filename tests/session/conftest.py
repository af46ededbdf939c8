"""A model that answers in milliseconds: SAM 2's own shape, with fixed random weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_sam2.model import Sam2, build_sam2
from tests import configs

TINY = replace(configs.TINY, image_size=128, window_spec=(4, 4, 4, 4))


def make_tiny_model(seed: int = 0) -> Sam2:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_sam2(TINY)


@pytest.fixture(scope="session")
def tiny_model() -> Sam2:
    return make_tiny_model()
