"""How much an object differs from what is around it: it fades where it ends in a stack."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.plane_image import PlaneImage

_RING = 0.25  # of the square root of the area: width of what is compared with
_LEAST = 2  # pixels
_CLEAR = 0.5  # spreads
_SIDE = 256  # pixels: of a larger object only every so many are compared


class Contrast(NamedTuple):
    """What sets an object apart from its surroundings, in the image's units.

    Attributes
    ----------
    difference : float
        Its mean brightness less the median around it.
    spread : float
        Standard deviation around it.
    """

    difference: float
    spread: float

    @property
    def is_clear(self) -> bool:
        """Whether brightness sets the object apart at all, and not texture or an outline."""
        return abs(self.difference) > _CLEAR * self.spread


def contrast_of(image: PlaneImage, mask: PackedMask) -> Contrast | None:
    """Compare the brightness in a mask with that in a ring around it.

    Parameters
    ----------
    image : PlaneImage
        Of several channels, or of RGB, the mean is taken.
    mask : PackedMask

    Returns
    -------
    Contrast or None
        None where the mask is empty, or has nothing around it.
    """
    if not mask:
        return None
    y0, x0, y1, x1 = mask.box
    width = max(int(_RING * mask.area**0.5), _LEAST)
    region = (
        max(y0 - width - 1, 0),
        max(x0 - width - 1, 0),
        min(y1 + width + 1, image.shape[0]),
        min(x1 + width + 1, image.shape[1]),
    )
    inside = mask.crop(region)
    step = max(max(inside.shape) / _SIDE, 1.0)
    grey = _grey(image, region, step)
    if inside.shape != grey.shape:
        rows, columns = (
            np.arange(new) * old // new for new, old in zip(grey.shape, inside.shape, strict=True)
        )
        width = max(round(width * grey.shape[0] / inside.shape[0]), 1)
        inside = inside[np.ix_(rows, columns)]
    near = ndimage.binary_dilation(inside, iterations=1)
    ring = ndimage.binary_dilation(near, iterations=width) & ~near
    if not (inside.any() and ring.any()):
        return None
    around = grey[ring]
    return Contrast(float(grey[inside].mean() - np.median(around)), float(around.std()))


def _grey(image: PlaneImage, region: Box, step: float) -> NDArray[np.float32]:
    """Read every so many pixels of a region, of a pyramid no finer ones: the mean of all channels.

    What is done with it costs by its size to the third power: rings are as wide as objects.
    """
    channels = []
    for part in image.read(region, step):
        every = max(int(max(part.shape[:2]) / _SIDE), 1)
        few = np.asarray(part[::every, ::every], np.float32)
        channels.append(few if few.ndim == 2 else few.mean(-1))
    grey: NDArray[np.float32] = np.mean(channels, axis=0)
    return grey
