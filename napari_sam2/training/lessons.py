"""Windows to fine-tune on: most of them what the plugin would look at, some widely varied."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.preprocess import MEAN, STD, normalised
from napari_sam2.session.region_grid import RegionGrid
from napari_sam2.training.data import Picture, random_window

_AS_SEEN = 0.75  # share of windows that show what the plugin would, in its colours
_ROOM = (2.0, 8.0)  # sides of such windows, in sides of the object in their middle
_WHOLE = 0.2  # share of these that show the whole picture
_MEAN, _STD = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))


def draw_lesson(
    pictures: Sequence[Picture], rng: np.random.Generator, canvas: int
) -> tuple[Tensor, Tensor]:
    """Draw a window on a random picture, mirrored or turned.

    Parameters
    ----------
    pictures : sequence of Picture
        Each with an object.
    rng : numpy.random.Generator
    canvas : int
        The model's input size S.

    Returns
    -------
    pixels : Tensor, shape (3, S, S), float32
        As the image encoder takes them.
    labels : Tensor, shape (S, S), int64
    """
    picture = pictures[int(rng.integers(len(pictures)))]
    if rng.random() < _AS_SEEN:
        pixels, labels = _as_seen(picture, rng, canvas)
    else:
        pixels, planes = random_window(picture, rng, canvas, canvas)
        pixels, labels = (pixels - _MEAN) / _STD, planes[0]  # no parts, no groups
    turns, flip = int(rng.integers(4)), rng.random() < 0.5
    pixels, labels = (part.rot90(turns, (-2, -1)) for part in (pixels, labels))
    return (pixels.flip(-1), labels.flip(-1)) if flip else (pixels, labels)


def _as_seen(picture: Picture, rng: np.random.Generator, canvas: int) -> tuple[Tensor, Tensor]:
    """Squeeze a region round an object into the square, as a session does."""
    part = _region(picture, rng, canvas)
    image, labels = picture.image[part], picture.labels[part]
    pixels = normalised((np.float32(image[..., c]) / 255 for c in range(3)), canvas)
    plane = torch.from_numpy(labels.astype(np.float32))[None, None]
    squeezed = F.interpolate(plane, (canvas, canvas), mode="nearest-exact")[0, 0]
    return pixels, squeezed.long()


def _region(picture: Picture, rng: np.random.Generator, canvas: int) -> tuple[slice, slice]:
    label = rng.choice(np.unique(picture.labels[picture.labels > 0]))
    y0, x0, y1, x1 = PackedMask.of(picture.labels == label).box
    side = max(y1 - y0, x1 - x0) * np.exp(rng.uniform(*np.log(_ROOM)))
    if rng.random() < _WHOLE:
        side = max(picture.labels.shape)
    height, width = picture.labels.shape
    at = RegionGrid((height, width), canvas, (1.0,))
    y0, x0, y1, x1 = at.around((y0, x0, y1, x1), side)
    return slice(y0, y1), slice(x0, x1)


def digest(pictures: Sequence[Picture]) -> str:
    """Give a hash of what is learnt from, and checked on."""
    told = blake2b(digest_size=16)
    for picture in pictures:
        for array in (picture.image, picture.labels):
            told.update(repr((picture.name, array.shape)).encode())
            told.update(array.tobytes())
    return told.hexdigest()
