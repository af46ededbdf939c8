"""How much an object differs from what is around it: it fades where it ends in a stack."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import PlaneImage

_RING = 0.25  # of the square root of the area: width of what is compared with
_LEAST = 2  # pixels
_CLEAR = 0.5  # spreads
_READ_SIDE = 256  # pixels: of a larger object a pyramid is read coarser


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
    step = max((y1 - y0 + 2 * width) / _READ_SIDE, (x1 - x0 + 2 * width) / _READ_SIDE, 1.0)
    channels = [np.asarray(part, np.float32) for part in image.read(region, step)]
    grey = np.mean([part if part.ndim == 2 else part.mean(-1) for part in channels], axis=0)
    inside = mask.crop(region)
    if inside.shape != grey.shape:  # read from a coarser level
        rows, columns = (
            np.arange(new) * old // new for new, old in zip(grey.shape, inside.shape, strict=True)
        )
        inside = inside[np.ix_(rows, columns)]
        width = max(round(width * grey.shape[0] / (region[2] - region[0])), 1)
    near = ndimage.binary_dilation(inside, iterations=1)
    ring = ndimage.binary_dilation(near, iterations=width) & ~near
    if not (inside.any() and ring.any()):
        return None
    around = grey[ring]
    return Contrast(float(grey[inside].mean() - np.median(around)), float(around.std()))
