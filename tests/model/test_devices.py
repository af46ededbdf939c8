"""What the model asks of a device, known without having one."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_sam2.model import Sam2, build_sam2
from tests import configs

SIZE = configs.TINY.image_size
NATIVE = "packaged/ATen/native/native_functions.yaml"  # of torchgen: which operator is there where
ATTENTION = "_scaled_dot_product"  # of which each kind of device has its own


class Recorder(TorchDispatchMode):
    """Notes the operators that are called, and the types and devices of what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: set[str] = set()
        self.dtypes: dict[torch.dtype, set[str]] = defaultdict(set)
        self.devices: dict[str, set[str]] = defaultdict(set)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        outputs = func(*args, **(kwargs or {}))
        name = func.name().removeprefix("aten::")
        self.operators.add(name)
        for output in outputs if isinstance(outputs, (tuple, list)) else [outputs]:
            if isinstance(output, torch.Tensor):
                self.dtypes[output.dtype].add(name)
                self.devices[output.device.type].add(name)
        return outputs


@cache
def record(device: str) -> Recorder:
    """Embed a picture, and decode a box, points and a mask."""
    model = build_sam2(configs.TINY).to(device)
    coords_xy = torch.zeros(1, 3, 2, device=device)
    labels = torch.tensor([[2, 3, 1]], dtype=torch.int32).to(device)
    logits = torch.zeros(1, 1, SIZE // 4, SIZE // 4, device=device)
    pixels = torch.zeros(1, 3, SIZE, SIZE, device=device)
    with torch.no_grad(), Recorder() as recorder:  # not inference mode, which hides small parts
        features = model.embed(pixels)
        for mask in (None, logits):
            model.decode(features, coords_xy, labels, mask, multimask=True)
            model.decode(features, coords_xy, labels, mask, multimask=False)
    return recorder


def test_nothing_is_computed_in_doubles() -> None:
    """MPS has no float64 (micro-sam 733, 1193)."""
    assert record("cpu").dtypes.keys() & {torch.float64, torch.complex64, torch.complex128} == set()


def test_everything_is_computed_where_the_model_is() -> None:
    """The meta device raises when a tensor of another device is mixed in."""
    assert record("meta").devices.keys() == {"meta"}


def test_each_operator_is_there_on_apples_graphics() -> None:
    """An operator that is missing ends the work on a Mac (micro-sam 1193)."""
    known = operators_of_torch()
    assert "linear" in known
    missing = {
        name
        for name in record("cpu").operators
        if not name.startswith(ATTENTION) and not is_on_mps(known[name], known)
    }
    assert missing == set()
    assert not is_on_mps(known["mkldnn_linear"], known)


def is_on_mps(entry: dict[str, Any], known: dict[str, dict[str, Any]]) -> bool:
    """Tell whether an operator has code for MPS, or is put together from others."""
    owner = known.get(entry.get("structured_delegate", ""), entry)
    keys = ",".join(owner.get("dispatch", {"CompositeImplicitAutograd": ""}))
    return "MPS" in keys or "Composite" in keys


@cache
def operators_of_torch() -> dict[str, dict[str, Any]]:
    """Read torch's own list of operators."""
    torchgen = pytest.importorskip("torchgen")
    yaml = pytest.importorskip("yaml")
    path = Path(torchgen.__file__).parent / NATIVE
    if not path.exists():
        pytest.skip("this torch came without its list of operators")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    entries = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # it is safe
    return {entry["func"].partition("(")[0]: entry for entry in entries}


def test_the_position_embedding_is_placed_on_the_device_of_the_model() -> None:
    model: Sam2 = build_sam2(configs.TINY).to("meta")
    assert model.image_encoder.trunk.position_embedding(16, 16).device.type == "meta"
