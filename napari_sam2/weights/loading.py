"""From a name to a model that is ready to predict, strictly: every tensor in its place, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from napari_sam2.errors import WeightsError
from napari_sam2.model.config import Sam2Config, named_config
from napari_sam2.model.sam2 import Sam2, build_sam2, memory_keys
from napari_sam2.weights.files import Checkpoint, read_checkpoint, write_checkpoint
from napari_sam2.weights.hub import Progress, fetch
from napari_sam2.weights.integrity import content_hash
from napari_sam2.weights.recognise import recognise
from napari_sam2.weights.registry import Entry, find_entry
from napari_sam2.weights.transformers_keys import from_transformers, is_transformers

_SHOWN = 4  # names in a message


def load_weights(
    name: str | Path, *, progress: Progress | None = None, offline: bool | None = None
) -> Sam2:
    """Load a model, downloading it first if need be.

    Parameters
    ----------
    name : str or Path
        A registered name ("micro", "tiny", ..., "sam2_large"), the path of a .pt, .pth or
        .safetensors file, or "owner/repo:file" on the Hugging Face Hub.
    progress : callable, optional
        Called with (bytes done, bytes in all) while downloading.
    offline : bool, optional
        Never use the network; None leaves it to the variable HF_HUB_OFFLINE.

    Returns
    -------
    Sam2
        On the CPU, in float32 and in eval mode. `name` is what was asked for, `weights_hash` the
        blake2b of the file, and `has_memory` tells whether it had the weights for propagation.

    Raises
    ------
    WeightsError
        If the file cannot be found, downloaded, trusted or fitted to a model.
    """
    entry = find_entry(name)
    path = fetch(entry, progress=progress, offline=offline)
    model = model_from(read_checkpoint(path), path)
    _check_is_as_registered(model.config, entry, path)
    model.name = entry.name
    model.weights_hash = content_hash(path)
    return model


def save_weights(
    model: Sam2,
    path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    *,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write a model to a file that tells its own configuration, to be read by `load_weights`.

    The memory's weights are left out if the model has none.

    Parameters
    ----------
    model : Sam2
        On any device.
    path : str or Path
        Ends in .safetensors; a file that is there is replaced.
    metadata : mapping, optional
        What else to tell, as JSON: licence, training data, ...
    dtype : torch.dtype
        `torch.float16` halves the file; the weights are rounded.

    Raises
    ------
    WeightsError
        If the path has another ending.
    """
    if Path(path).suffix != ".safetensors":
        raise WeightsError(f"Weights are saved as a .safetensors file, got {str(path)!r}.")
    state = model.state_dict()
    left_out = set() if model.has_memory else memory_keys(state)
    tensors = {
        key: tensor.detach().to("cpu", dtype).contiguous()
        for key, tensor in state.items()
        if key not in left_out
    }
    told = {**(metadata or {}), "memory": model.has_memory}
    write_checkpoint(Path(path), Checkpoint(tensors, told), model.config)


def model_from(checkpoint: Checkpoint, source: object) -> Sam2:
    """Build the model that a checkpoint is of, and put the weights in; `source` is for messages."""
    tensors = checkpoint.tensors
    if is_transformers(tensors):
        tensors = from_transformers(tensors)
    config = checkpoint.config or recognise({key: tuple(t.shape) for key, t in tensors.items()})
    with torch.device("meta"):  # random weights would be thrown away
        model = build_sam2(config)
    model.has_memory = checkpoint.memory
    expected = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    absent = set() if model.has_memory else memory_keys(expected)
    _check_fit(tensors, {key: expected[key] for key in expected if key not in absent}, source)
    weights = {key: tensor.to(torch.float32) for key, tensor in tensors.items()}
    weights |= {key: torch.zeros(expected[key]) for key in absent}  # never used
    model.load_state_dict(weights, assign=True)
    return model


def _check_fit(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]], source: object
) -> None:
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    common = [key for key in expected if key in tensors]
    reshaped = [
        f"{key} {tuple(tensors[key].shape)} instead of {expected[key]}"
        for key in common
        if tuple(tensors[key].shape) != expected[key]
    ]
    not_real = [f"{key} {tensors[key].dtype}" for key in common if not _is_plain(tensors[key])]
    problems = {
        "missing": missing,
        "unexpected": unexpected,
        "of wrong shape": reshaped,
        "not plain floating point": not_real,
    }
    told = [f"{len(keys)} {what}: {_some(keys)}" for what, keys in problems.items() if keys]
    if told:
        raise WeightsError(
            f"{source} does not fit its model; tensors {'; '.join(told)}. It is incomplete or of "
            "another kind: use the original file."
        )


def _check_is_as_registered(config: Sam2Config, entry: Entry, path: Path) -> None:
    sam2 = replace(config, refiner_widths=())  # a refiner comes on top
    if entry.config_name is not None and sam2 != named_config(entry.config_name):
        raise WeightsError(
            f"{path} should hold {entry.config_name}, but holds another model ({config}). "
            "Remove the file, and try again."
        )


def _is_plain(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and tensor.is_cpu and tensor.layout is torch.strided


def _some(keys: Iterable[str]) -> str:
    keys = list(keys)
    rest = f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + rest
