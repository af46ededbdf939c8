"""What torch raises when a device cannot go on: memory that is full, or a card that is lost.

Only CUDA's caching allocator has an exception of its own. All else is a `RuntimeError`, and told
by its words.
"""

from __future__ import annotations

from typing import Literal

import torch

Trouble = Literal["host memory", "device memory", "device lost"]

_HOST_FULL = (
    "DefaultCPUAllocator: can't allocate memory",  # Linux, macOS
    "DefaultCPUAllocator: not enough memory",  # Windows
    "std::bad_alloc",
)
_DEVICE_FULL = (
    "out of memory",  # "CUDA error: out of memory", "MPS backend out of memory (MPS allocated ..."
    "Invalid buffer size",  # MPS, of more than one buffer can have
    "STATUS_ALLOC_FAILED",  # cuBLAS, cuDNN, cuSPARSE and cuSOLVER ask for memory of their own
    "CUBLAS_STATUS_NOT_INITIALIZED",  # as cublasCreate says it where there was too little
)
_DEVICE_LOST = (
    "CUDA error",
    "cuDNN error",
    "CUDNN_STATUS",
    "CUBLAS_STATUS",
    "MPS backend",
    "Metal",
)


def trouble_of(error: BaseException) -> Trouble | None:
    """Tell whose memory is full, or that a device is lost; None if it is something else.

    Parameters
    ----------
    error : BaseException
        As torch, numpy or Python has raised it.
    """
    if isinstance(error, MemoryError):
        return "host memory"
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return "device memory"
    if not isinstance(error, RuntimeError):
        return None
    text = str(error)
    if any(words in text for words in _HOST_FULL):
        return "host memory"
    if any(words in text for words in _DEVICE_FULL):
        return "device memory"
    return "device lost" if any(words in text for words in _DEVICE_LOST) else None
