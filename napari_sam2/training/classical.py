"""One object from a click or a box without a model: what scikit-image and SciPy offer.

Meant to be beaten honestly. Objects may be bright or dark; colours are reduced to the direction in
which they differ most; and where a method has a number that somebody must set, several are tried,
so that the best one for a kind of picture can be taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import ellipse
from skimage.feature import peak_local_max
from skimage.filters import threshold_local, threshold_otsu
from skimage.segmentation import chan_vese, flood, random_walker, watershed

from napari_sam2.session.masks import PackedMask

Point: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[float, float, float, float]
_Floats: TypeAlias = NDArray[np.float64]
_Mask: TypeAlias = NDArray[np.bool_]

_SMOOTHING = 1.0  # pixels, standard deviation
_MARGIN = 0.2  # of a box's size: what Chan-Vese sees around it, to know the background
_CHAN_VESE_STEPS = 100
_OBJECT, _BACKGROUND = 1, 2  # the random walker's seeds


class GreyPicture:
    """A picture as one number a pixel, slightly smoothed, and its thresholds once they are known.

    Parameters
    ----------
    image : uint8, shape (H, W, 3)

    Attributes
    ----------
    pixels : float64, shape (H, W)
        0 and 1 are the 1st and the 99th percentile.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        colours = image.reshape(-1, 3).astype(float)
        colours -= colours.mean(axis=0)
        _, directions = np.linalg.eigh(colours.T @ colours)
        grey = (colours @ directions[:, -1]).reshape(image.shape[:2])
        grey = ndimage.gaussian_filter(grey, _SMOOTHING)
        low, high = np.percentile(grey, (1, 99))
        self.pixels: _Floats = (grey - low) / max(high - low, 1e-6)
        self._local: dict[int, _Floats] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @cached_property
    def otsu(self) -> float:
        """Otsu's threshold of the whole picture."""
        return float(threshold_otsu(self.pixels))

    def local(self, block: int) -> _Floats:
        """Give each pixel's threshold: the mean around it, weighted by a Gaussian."""
        if block not in self._local:
            self._local[block] = threshold_local(self.pixels, block)
        return self._local[block]


# By a click: (grey, pixel) -> mask


def otsu_component(grey: GreyPicture, point: Point) -> PackedMask:
    """Threshold the picture after Otsu, and take the part under the click."""
    return _component(grey.pixels > grey.otsu, point)


def otsu_watershed(grey: GreyPicture, point: Point, *, spread: int) -> PackedMask:
    """Take that part, and split it where it is narrow: one piece for each peak of its depth."""
    whole = otsu_component(grey, point)
    part = np.pad(whole.crop(), 1)
    depth = ndimage.distance_transform_edt(part)
    peaks = peak_local_max(
        depth, min_distance=spread, labels=part.astype(int), exclude_border=False
    )
    markers = np.zeros(part.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    pieces = watershed(-depth, markers, mask=part)[1:-1, 1:-1]
    y, x = point[0] - whole.box[0], point[1] - whole.box[1]
    return PackedMask.of(pieces == pieces[y, x], whole.box[:2], grey.shape)


def local_component(grey: GreyPicture, point: Point, *, block: int) -> PackedMask:
    """Threshold each pixel by its surroundings, and take the part under the click."""
    return _component(grey.pixels > grey.local(block), point)


def flooded(grey: GreyPicture, point: Point, *, tolerance: float) -> PackedMask:
    """Take what is connected to the click and about as bright, as a magic wand does."""
    return _filled(flood(grey.pixels, point, tolerance=tolerance, connectivity=1))


def walked(grey: GreyPicture, point: Point, *, reach: int) -> PackedMask:
    """Random walker: the click is the object, the frame of a window around it is background.

    Where the window ends at the picture's edge, the frame may be object: it has no seeds there.
    """
    y, x = point
    window = _pixels((y - reach, x - reach, y + reach + 1, x + reach + 1), grey.shape)
    seeds = np.full(grey.shape, _BACKGROUND)
    ends = [
        slice(axis.start and axis.start + 1, axis.stop - (axis.stop < length))
        for axis, length in zip(window, grey.shape, strict=True)
    ]
    seeds[tuple(ends)] = 0
    if not seeds[window].any():  # it is the whole picture
        seeds[[0, -1]] = seeds[:, [0, -1]] = _BACKGROUND
    seeds[_pixels((y - 1, x - 1, y + 2, x + 2), grey.shape)] = _OBJECT
    part = grey.pixels[window]
    if np.ptp(part) == 0:
        return PackedMask(grey.shape)  # nothing that would lead it
    labels = random_walker(part, seeds[window], mode="bf")
    return _packed(labels == _OBJECT, window, grey.shape)


# By a box: (grey, edges) -> mask


def otsu_in_box(grey: GreyPicture, box: Box, *, margin: float) -> PackedMask:
    """Threshold the box after Otsu; the object is what its middle has more of than its frame.

    The threshold is that of the box and a margin, in parts of its size: a tight box alone has
    little background in it.
    """
    threshold = threshold_otsu(grey.pixels[_pixels(_widened(box, margin), grey.shape)])
    inside = _pixels(box, grey.shape)
    return _packed(_main_part(grey.pixels[inside] > threshold), inside, grey.shape)


def chan_vese_in_box(grey: GreyPicture, box: Box, *, smoothness: float) -> PackedMask:
    """Let an ellipse in the box move until both sides are as even as can be: Chan and Vese."""
    y0, x0, y1, x1 = box
    around, inside = (_pixels(b, grey.shape) for b in (_widened(box, _MARGIN), box))
    rows, columns = np.ogrid[around]
    away = np.hypot(
        (rows + 0.5 - (y0 + y1) / 2) / (y1 - y0), (columns + 0.5 - (x0 + x1) / 2) / (x1 - x0)
    )
    mask = np.zeros(grey.shape, bool)
    mask[around] = chan_vese(
        grey.pixels[around],
        mu=smoothness,
        max_num_iter=_CHAN_VESE_STEPS,
        init_level_set=0.5 - away,
    )
    return _packed(_main_part(mask[inside]), inside, grey.shape)


def ellipse_in_box(grey: GreyPicture, box: Box) -> PackedMask:
    """Draw an ellipse in the box, without a look at the picture."""
    y0, x0, y1, x1 = box
    centre = (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2  # whole numbers are the middles of pixels
    mask = np.zeros(grey.shape, bool)
    mask[ellipse(*centre, (y1 - y0) / 2, (x1 - x0) / 2, shape=grey.shape)] = True
    return PackedMask.of(mask)


ByClick = Callable[[GreyPicture, Point], PackedMask]
ByBox = Callable[[GreyPicture, Box], PackedMask]

CLICK_METHODS: dict[str, tuple[ByClick, ...]] = {
    "Otsu component": (otsu_component,),
    "Otsu and watershed": tuple(partial(otsu_watershed, spread=s) for s in (3, 6, 12)),
    "local threshold component": tuple(
        partial(local_component, block=b) for b in (11, 21, 51, 101)
    ),
    "flood with tolerance": tuple(partial(flooded, tolerance=t) for t in (0.1, 0.2, 0.4, 0.6)),
    "random walker": tuple(partial(walked, reach=r) for r in (16, 32, 64)),
}
BOX_METHODS: dict[str, tuple[ByBox, ...]] = {
    "Otsu in the box": tuple(partial(otsu_in_box, margin=m) for m in (0.0, 0.2, 0.5)),
    "Chan-Vese in the box": tuple(partial(chan_vese_in_box, smoothness=m) for m in (0.01, 0.05)),
    "ellipse in the box": (ellipse_in_box,),
}


def _component(above: _Mask, point: Point) -> PackedMask:
    """Give the connected pixels on the clicked pixel's side of the threshold, holes filled."""
    return _filled(flood(above.view(np.uint8), point, connectivity=1))


def _filled(mask: _Mask) -> PackedMask:
    packed = PackedMask.of(mask)
    filled = ndimage.binary_fill_holes(packed.crop())
    return PackedMask.of(filled, packed.box[:2], packed.shape)


def _main_part(above: _Mask) -> _Mask:
    """Give the object in a box: the side that the middle has more of, its largest part, filled."""
    height, width = above.shape
    middle = above[height // 4 : height - height // 4, width // 4 : width - width // 4]
    frame = np.concatenate([above[0], above[-1], above[:, 0], above[:, -1]])
    parts, count = ndimage.label(above if middle.mean() >= frame.mean() else ~above)
    if count == 0:
        return above
    largest = parts == 1 + int(np.bincount(parts.ravel())[1:].argmax())
    filled: _Mask = ndimage.binary_fill_holes(largest)
    return filled


def _widened(box: Box, margin: float) -> Box:
    y0, x0, y1, x1 = box
    dy, dx = margin * (y1 - y0), margin * (x1 - x0)
    return y0 - dy, x0 - dx, y1 + dy, x1 + dx


def _pixels(box: Box, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Give the pixels that a box touches, inside the picture; at least one."""
    (y0, x0, y1, x1), (height, width) = box, shape
    return _span(y0, y1, height), _span(x0, x1, width)


def _span(low: float, high: float, length: int) -> slice:
    start = min(max(math.floor(low), 0), length - 1)
    return slice(start, min(max(math.ceil(high), start + 1), length))


def _packed(part: _Mask, where: tuple[slice, slice], shape: tuple[int, int]) -> PackedMask:
    return PackedMask.of(part, (where[0].start, where[1].start), shape)
