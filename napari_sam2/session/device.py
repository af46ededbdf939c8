"""Where the model computes, and putting it there."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from napari_sam2.errors import DeviceError, MemoryFullError
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.device_errors import Trouble, trouble_of
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


def list_devices() -> dict[str, str]:
    """Give the titles of the devices that are here by name, "auto" first, the CPU last."""
    best = choose_device()
    titles = {}
    for kind in DEVICE_TYPES:
        count = _count(kind)
        for index in range(count):
            name = kind if count == 1 else f"{kind}:{index}"
            titles[name] = _title(torch.device(name))
    return {"auto": f"Automatic: {_title(best)}", **titles}


def device_here(name: str) -> str:
    """Give the name of a device, or "auto" if it is not here: computers lose and change cards."""
    try:
        choose_device(name)
    except ValueError:
        return "auto"
    return name


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
    DeviceError
        If the device has too little memory, or no longer works.
    """
    where = choose_device(device)  # first: a wrong name should not cost a download
    model = load_weights(name, progress=progress)
    with memory_errors(where):
        return model.to(where)


@contextmanager
def memory_errors(device: torch.device) -> Iterator[None]:
    """Turn "out of memory" and lost devices into a sentence, and free what can be freed.

    A smaller region of the plane would need no less: the model's input always has the same size.

    Raises
    ------
    MemoryFullError
        If the work inside needs more memory than the device, or the computer, has left.
    DeviceError
        If the device no longer works.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        trouble = None if isinstance(error, DeviceError) else trouble_of(error)
        if trouble is None:
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what was computed so far
        free_memory(device)
        raise _as_sentence(error, trouble, device) from error


def wait_for(device: torch.device) -> None:
    """Wait until a graphics card has finished what it was given, so that timings are true."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def free_memory(device: torch.device) -> None:
    """Give a graphics card's unused memory back to the system; one that is lost has none."""
    with suppress(RuntimeError):
        if device.type == "cuda":
            torch.cuda.empty_cache()
        elif device.type == "mps":
            torch.mps.empty_cache()


def _title(device: torch.device) -> str:
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return "Apple graphics" if device.type == "mps" else "CPU"


def _as_sentence(error: Exception, trouble: Trouble, device: torch.device) -> DeviceError:
    name = describe_device(device)
    if trouble == "host memory":
        return MemoryFullError(
            "The memory of this computer is full. Close other programs, or choose a smaller model "
            "or a smaller part of the image."
        )
    if trouble == "device memory":
        return MemoryFullError(
            f"The memory of {name} is full. Close other programs that use it, or choose a smaller "
            "model or the device cpu.",
            name,
        )
    reason = str(error).partition("\n")[0]
    return DeviceError(
        f"{name} no longer works ({reason}). Choose the device cpu to go on, and start the program "
        "anew to use it again."
    )


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
