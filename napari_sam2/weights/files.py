"""Checkpoint files: tensors and what is told about them, and no code that they may carry.

Our own files are safetensors with a JSON text under the metadata key "napari_sam2":
{"format": 1, "config": {the fields of Sam2Config}, "memory": whether the memory's weights are in,
and what the writer adds, such as how the model was trained}.
"""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_sam2.errors import WeightsError
from napari_sam2.model.config import Sam2Config

METADATA_KEY = "napari_sam2"
FORMAT = 1

# What torch.load raised, besides refusing a pickle, on some thousand files with flipped bytes.
_UNREADABLE = (
    *(AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError),
    *(TypeError, ValueError, struct.error),
)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a file.

    Attributes
    ----------
    tensors : dict of str to Tensor
        On the CPU, in the file's own precision and under its own names.
    metadata : dict
        What a file of ours tells about itself; empty for others.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> Sam2Config | None:
        """The architecture, if the file tells it."""
        fields = self.metadata.get("config")
        return None if fields is None else _parse_config(fields)

    @property
    def memory(self) -> bool:
        """Whether the file should have the memory's weights."""
        return bool(self.metadata.get("memory", True))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a .safetensors, .pt or .pth file.

    Raises
    ------
    WeightsError
        If it is damaged, holds more than tensors, or comes from a newer napari-sam2.
    """
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return Checkpoint(_read_pickle(path))


def write_checkpoint(path: Path, checkpoint: Checkpoint, config: Sam2Config) -> None:
    """Write a file of ours; it appears at `path` whole, or not at all."""
    metadata = {
        **checkpoint.metadata,
        "format": FORMAT,
        "config": asdict(config),
        "memory": checkpoint.memory,
    }
    partial = path.with_name(f"{path.name}.incomplete")
    save_file(checkpoint.tensors, partial, metadata={METADATA_KEY: json.dumps(metadata)})
    partial.replace(path)


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            told = (file.metadata() or {}).get(METADATA_KEY, "{}")
            # Copied: what is read stays as it was if the file is written anew.
            tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path) from error
    return Checkpoint(tensors, _parse_metadata(told, path))


def _parse_metadata(told: str, path: Path) -> dict[str, Any]:
    try:
        metadata = dict(json.loads(told))
        Checkpoint({}, metadata).config  # noqa: B018
    except (ValueError, TypeError) as error:
        raise WeightsError(
            f"{path} tells its configuration in a way that cannot be understood ({error}). Ask its "
            "author for another copy."
        ) from error
    if metadata.get("format", FORMAT) != FORMAT:
        raise WeightsError(
            f"{path} is in format {metadata['format']}, this napari-sam2 knows format {FORMAT} "
            "only. Update napari-sam2."
        )
    return metadata


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} was not opened: it is damaged, or holds more than tensors, which could run "
            "code on this computer. Ask its author for a .safetensors file."
        ) from error
    except _UNREADABLE as error:
        raise _damaged(path) from error
    tensors = content.get("model", content) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping):
        raise WeightsError(
            f"{path} must hold a state dict, or one under 'model', got {type(content).__name__}."
        )
    others = [
        key
        for key, value in tensors.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if others:
        raise WeightsError(
            f"{path} must hold tensors only, got others under {others[:3]}. If this is a training "
            "state, save the model's state dict on its own."
        )
    return dict(tensors)


def _damaged(path: Path) -> WeightsError:
    return WeightsError(
        f"{path} is not a checkpoint, or is damaged or cut short. Fetch it again, or ask its "
        "author for another copy."
    )


def _parse_config(fields: Any) -> Sam2Config:
    """Turn JSON into a configuration; `TypeError` or `ValueError` if it is none."""
    if not isinstance(fields, dict):
        raise TypeError(f"config is {fields!r}")
    values: dict[str, Any] = {}
    for name, value in fields.items():
        values[name] = tuple(value) if isinstance(value, list) else value  # JSON has no tuples
        numbers = value if isinstance(value, list) else [value]
        least = 0 if name == "global_att_blocks" else 1
        if name != "version" and not all(isinstance(n, int) and n >= least for n in numbers):
            raise ValueError(f"{name} is {value!r}")
    return Sam2Config(**values)
