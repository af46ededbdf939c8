"""From brightness and colour to the square RGB tensor that the model reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.session.pixels import to_unit, value_range

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's RGB channels, on which SAM 2's trunk was trained
STD = (0.229, 0.224, 0.225)


def to_model_input(
    plane: NDArray[Any], image_size: int, contrast_limits: tuple[float, float] | None = None
) -> Tensor:
    """Give the tensor that the image encoder takes of one grey or RGB plane; see `normalised`.

    Parameters
    ----------
    plane : array, shape (H, W) or (H, W, 3)
        Output of `pixels.as_plane`.
    image_size : int
        Side S of the square model input.
    contrast_limits : (low, high), optional
        What is black and what is white; otherwise `pixels.value_range` chooses.

    Returns
    -------
    Tensor, shape (3, S, S), float32

    Raises
    ------
    PromptError
        If the contrast limits cannot be used.
    """
    limits = value_range(plane, contrast_limits)
    channels = [plane] if plane.ndim == 2 else [plane[..., c] for c in range(3)]
    return normalised((to_unit(channel, limits) for channel in channels), image_size)


def normalised(channels: Iterable[NDArray[np.float32]], image_size: int) -> Tensor:
    """Squeeze what the model sees into its square input, on the CPU.

    The aspect ratio is not kept: the model was trained on pictures squeezed into a square.

    Parameters
    ----------
    channels : iterable of float32, shape (H, W), in [0, 1]
        Grey, or red, green and blue; each is let go of before the next is asked for.
    image_size : int
        Side S of the square model input.

    Returns
    -------
    Tensor, shape (3, S, S), float32
        Normalised by `MEAN` and `STD`.
    """
    squares = [_to_square(channel, image_size) for channel in channels]
    rgb = torch.cat(squares).expand(3, image_size, image_size)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return (rgb - mean) / std


def as_picture(square: Tensor) -> NDArray[np.float32]:
    """Turn what `normalised` gives, (3, S, S), back into colours: (S, S, 3), in [0, 1]."""
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    picture: NDArray[np.float32] = (square * std + mean).clamp(0, 1).permute(1, 2, 0).numpy()
    return np.ascontiguousarray(picture)


def _to_square(channel: NDArray[np.float32], size: int) -> Tensor:
    pixels = torch.from_numpy(channel)[None, None]  # (1, 1, H, W)
    square = F.interpolate(
        pixels, (size, size), mode="bilinear", align_corners=False, antialias=True
    )
    return square[0]  # (1, S, S)
