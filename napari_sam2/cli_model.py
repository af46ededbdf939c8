"""The model that a command works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from napari_sam2.cli_output import say, show_bytes

if TYPE_CHECKING:
    from napari_sam2.session.image_segmenter import ImageSegmenter


def load_segmenter(model: str, device: str) -> ImageSegmenter:
    """Load what --model and --device name, and say so.

    Raises
    ------
    typer.BadParameter
        If there is no such device.
    WeightsError
        If the model cannot be had.
    """
    from napari_sam2.session.device import choose_device, load_model
    from napari_sam2.session.image_segmenter import ImageSegmenter

    try:
        choose_device(device)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--device") from error
    say(f"Loading {model} ...")
    return ImageSegmenter(load_model(model, device, progress=show_bytes))
