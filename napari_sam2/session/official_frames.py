"""Frames as the official video predictor prepares them, for comparisons."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from napari_sam2.errors import PromptError
from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.preprocess import MEAN, STD


@torch.inference_mode()
def official_features(model: Sam2, image: PlaneImage) -> ImageFeatures:
    """Embed a frame as the official video predictor does, which is not as it does pictures.

    Raises
    ------
    PromptError
        If the frame is not an RGB picture of 8 bits.
    """
    pixels = official_input(image.pixels(), model.config.image_size)
    features = model.embed(pixels[None].to(model.device, model.no_mem_embed.dtype))
    return features._replace(picture=None)  # nothing is refined


def official_input(plane: NDArray[np.uint8], image_size: int) -> Tensor:
    """Give the model input of a frame (H, W, 3): resized as 8-bit values, bicubic, (3, S, S)."""
    if plane.dtype != np.uint8 or plane.ndim != 3 or plane.shape[2] != 3:
        raise PromptError(
            f"The official predictor takes RGB frames of 8 bits, got {plane.dtype} of shape "
            f"{plane.shape}. Propagate without `official`."
        )
    size = (image_size, image_size)
    square = Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)
    rgb = torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (rgb - mean) / std
