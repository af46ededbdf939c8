"""Apple's graphics chips know no float64 and lack some resizing; nothing of it may reach them.

There is none here. So a model stands on the "meta" device, which computes nothing, and every
operation on its tensors is looked at; the rest happens on the CPU, as it would beside MPS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_sam2.model import Sam2
from napari_sam2.model.refiner import REFINED_SIZE, Refiner
from napari_sam2.session.preprocess import to_model_input
from tests.session.conftest import TINY, make_tiny_model

DOUBTFUL = ("_aa", "float64")  # antialiased resizing has no kernel on MPS
ON_DEVICE = "meta"


class Witness(TorchDispatchMode):
    """Notes operations with tensors on the device, and the dtypes there."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: set[str] = set()
        self.dtypes: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in _flat((args, kwargs or {}, out)) if t.device.type == ON_DEVICE]
        if tensors:
            self.operations.add(str(func))
            self.dtypes.update(tensor.dtype for tensor in tensors)
        return out


def _flat(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _flat(tuple(value.values()))
    elif isinstance(value, (tuple, list)):
        for each in value:
            yield from _flat(each)


@contextmanager
def witnessed() -> Iterator[Witness]:
    with torch.inference_mode(), Witness() as witness:
        yield witness
    assert witness.operations, "nothing was computed there"
    assert torch.float64 not in witness.dtypes
    assert not [name for name in witness.operations if any(word in name for word in DOUBTFUL)]


@pytest.fixture
def model() -> Sam2:
    return make_tiny_model().to(ON_DEVICE)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_what_goes_to_the_device_is_prepared_on_the_cpu_in_float32(dtype: Any) -> None:
    plane = np.random.default_rng(0).integers(0, 200, (60, 90)).astype(dtype)
    square = to_model_input(plane, TINY.image_size)
    assert (square.device.type, square.dtype) == ("cpu", torch.float32)


def test_embedding_needs_nothing_that_mps_lacks(model: Sam2) -> None:
    with witnessed() as witness:
        model.embed(torch.zeros(1, 3, TINY.image_size, TINY.image_size, device=ON_DEVICE))
    # Without antialiasing: MPS has it since torch 2.1, older than what we ask for.
    assert any("bicubic2d" in name for name in witness.operations)


@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_decoding_needs_nothing_that_mps_lacks(model: Sam2, count: int, with_mask: bool) -> None:
    side = TINY.image_size
    with torch.inference_mode():
        features = model.embed(torch.zeros(1, 3, side, side, device=ON_DEVICE))
    with witnessed():
        model.decode(
            features,
            torch.zeros(1, count, 2, device=ON_DEVICE),
            torch.ones(1, count, dtype=torch.int32, device=ON_DEVICE),
            torch.zeros(1, 1, side // 4, side // 4, device=ON_DEVICE) if with_mask else None,
            multimask=True,
        )


def test_refining_needs_nothing_that_mps_lacks() -> None:
    """What is resized for it is so on the CPU, see `refinement`."""
    refiner = Refiner((8, 16)).to(ON_DEVICE)
    size = REFINED_SIZE, REFINED_SIZE
    with witnessed():
        refiner(
            *(
                torch.zeros(*shape, device=ON_DEVICE)
                for shape in ((2, 8, *size), (2, 1, *size), (2,))
            )
        )


def test_prompts_reach_the_device_in_float32() -> None:
    from napari_sam2.session.prompts import Prompts

    prompts = Prompts(((20.0, 30.0),), (1,), (10.0, 15.0, 40.0, 70.0))
    coords_xy, labels = prompts.as_model_inputs((0, 0, 60, 90), TINY.image_size)
    assert coords_xy.dtype == np.float32
    assert labels.dtype == np.int32
