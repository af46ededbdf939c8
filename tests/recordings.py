"""What all recordings of the reference have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sam2.model import CONFIGS, Sam2, Sam2Config, build_sam2
from tests.configs import REDUCED
from tests.fill_rule import digest, fill_state_dict

Arrays = dict[str, NDArray[Any]]

# The limits were measured with AVX-512; other processors add up in another order.
ROUNDS_ALIKE = torch.backends.cpu.get_cpu_capability() == "AVX512"


@dataclass(frozen=True)
class Check:
    """One compared array: what it is, how far off, how far it may be."""

    name: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the error is within the tolerance; NaN is not."""
        return self.error <= self.tolerance


def read(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Give the arrays of a recording, and what it says about them."""
    with np.load(path) as file:
        arrays = dict(file)
    return arrays, json.loads(bytes(arrays.pop("meta")).decode())


def filled_model(name: str, seed: int, wanted_digest: str, **bias: float) -> Sam2:
    """Build a model with the weights of a recording.

    Raises
    ------
    ValueError
        If the seed makes other weights.
    """
    model = build_sam2(config_of(name))
    weights = fill_state_dict(model.state_dict(), seed=seed, **bias)
    if digest(weights) != wanted_digest:
        raise ValueError(
            f"The recording's weights are not those of seed {seed}. Give the seed that it was "
            "recorded with."
        )
    model.load_state_dict(weights)
    return model


def config_of(name: str) -> Sam2Config:
    """Give the configuration that a recording names; the reduced ones are of either version."""
    reduced = {"sam2_reduced": replace(REDUCED, version="2.0"), "sam2.1_reduced": REDUCED}
    return reduced[name] if name in reduced else CONFIGS[name]


def difference(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Give the largest absolute difference; a batch axis of 1 may be missing."""
    if ours.size != theirs.size:
        raise ValueError(f"Shapes {ours.shape} and {theirs.shape} do not hold the same array.")
    return float(np.abs(ours.reshape(theirs.shape) - theirs).max(initial=0.0))
