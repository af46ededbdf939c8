"""Where the model computes, and putting it there."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from napari_sam2.errors import Sam2Error
from napari_sam2.model.sam2 import Sam2
from napari_sam2.weights.loading import load_weights

DEVICE_TYPES = ("cuda", "mps", "cpu")  # in the order in which "auto" tries them


def choose_device(name: str | torch.device = "auto") -> torch.device:
    """Choose where to compute.

    Parameters
    ----------
    name : str or torch.device
        "auto" takes the first of cuda, mps and cpu that this computer has; otherwise one of
        these, or one of several graphics cards, such as "cuda:1".

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    name = str(name)
    if name == "auto":
        return torch.device(next(kind for kind in DEVICE_TYPES if _count(kind)))
    kind, _, index = name.partition(":")
    if kind not in DEVICE_TYPES or (":" in name and not index.isdecimal()):
        raise ValueError(f"Device must be auto, cuda, mps or cpu, got {name!r}.")
    count = _count(kind)
    if count == 0:
        raise ValueError(
            f"Device {name!r} is not available here: {_WHY_MISSING[kind]} "
            "Choose auto, which takes the fastest that there is."
        )
    if index and int(index) >= count:
        raise ValueError(f"Device {name!r} does not exist: there are {count}, counted from 0.")
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """Name a device for people, such as "cuda (NVIDIA H200)" or "cpu (2 threads)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return f"mps ({platform.machine()})"
    return f"cpu ({torch.get_num_threads()} threads)"


def load_model(
    name: str | Path = "micro",
    device: str | torch.device = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Sam2:
    """Load a model and put it where it will compute.

    Parameters
    ----------
    name : str or Path
        A name from the registry ("micro", "tiny", "small", "base_plus", "large", ...), a path
        to a checkpoint, or "owner/repo:file" on the Hugging Face hub.
    device : str or torch.device
        As for `choose_device`.
    progress : callable, optional
        Called with (bytes done, bytes in all) while weights are downloaded.

    Raises
    ------
    ValueError
        If there is no such device.
    WeightsError
        If the checkpoint cannot be found, downloaded, trusted or fitted to a model.
    Sam2Error
        If the device has too little memory.
    """
    where = choose_device(device)  # first: a wrong name should not cost a download
    model = load_weights(name, progress=progress)
    with memory_errors(where):
        return model.to(where)


@contextmanager
def memory_errors(device: torch.device) -> Iterator[None]:
    """Turn "out of memory" of a graphics card into a sentence, and free what can be freed.

    Raises
    ------
    Sam2Error
        If the work inside needs more memory than the card has left.
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        free_memory(device)
        raise Sam2Error(
            f"The memory of {describe_device(device)} is full. Close other programs that use it, "
            "or choose a smaller model or the device cpu."
        ) from error


def wait_for(device: torch.device) -> None:
    """Wait until a graphics card has finished what it was given, so that timings are true."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def free_memory(device: torch.device) -> None:
    """Give a graphics card's unused memory back to the system."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


_WHY_MISSING = {
    "cuda": "torch sees no NVIDIA graphics card, or was installed without CUDA.",
    "mps": "torch sees no Apple graphics chip.",
}


def _count(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1
