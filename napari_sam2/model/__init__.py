"""SAM 2 in PyTorch: mathematics only. Importing this package does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_sam2.model.config import CONFIGS, Sam2Config, named_config

if TYPE_CHECKING:
    from napari_sam2.model.sam2 import Sam2, build_sam2

__all__ = ["CONFIGS", "Sam2", "Sam2Config", "build_sam2", "named_config"]


def __getattr__(name: str) -> Any:
    if name in ("Sam2", "build_sam2"):
        from napari_sam2.model import sam2

        return getattr(sam2, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
