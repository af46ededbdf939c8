"""Click, and the object's mask is there: SAM 2 annotation for napari, and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from napari_sam2.model import Sam2
    from napari_sam2.session.device import load_model
    from napari_sam2.session.image_segmenter import ImageSegmenter
    from napari_sam2.session.results import Prediction

_HOMES = {
    "ImageSegmenter": "napari_sam2.session.image_segmenter",
    "Prediction": "napari_sam2.session.results",
    "Sam2": "napari_sam2.model",
    "load_model": "napari_sam2.session.device",
}

__all__ = ["ImageSegmenter", "Prediction", "Sam2", "__version__", "load_model"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import napari_sam2` does not import torch."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
