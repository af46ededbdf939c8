"""What a run was made of: the command, the data's hash, the versions."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PACKAGES = ("napari-sam2", "torch", "numpy", "scipy", "pillow")


def data_hash(folder: Path, split: str) -> str:
    """Hash the names and the bytes of a split's files, in the order of its list: SHA-256, hex."""
    digest = hashlib.sha256()
    for name in (folder / f"{split}.txt").read_text().split():
        for part in ("image", "label"):
            file = f"{name}_{part}.png"
            digest.update(file.encode())
            digest.update((folder / file).read_bytes())
    return digest.hexdigest()


def beginning(
    command: Sequence[str], folder: Path, split: str, weights: str, step: int
) -> dict[str, Any]:
    """Tell how a run begins or goes on.

    Parameters
    ----------
    command : sequence of str
        Its options.
    folder, split : Path, str
        Of the pictures.
    weights : str
        Hash of those that it starts from, empty for none.
    step : int
        The step that it goes on from.
    """
    return {
        "step": step,
        "command": list(command),
        "data": data_hash(folder, split),
        "weights": weights,
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
    }
