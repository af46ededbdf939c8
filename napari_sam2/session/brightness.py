"""What is black and what is white in a plane, found once and for all of its regions.

A region that were stretched by its own values would look another way than its neighbour. So the
values are taken from the plane: from all of it if it has at most 64 million pixels, from a coarse
level of a pyramid, and else from tiles that lie evenly over it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import Box
from napari_sam2.session.pixels import (
    as_plane,
    checked_limits,
    extremes,
    robust_extremes,
    value_range,
)
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.region_grid import level_for
from napari_sam2.session.view import Channel, Normalisation, View

_Limits = tuple[float, float]

_ENOUGH_PIXELS = 2**20  # of a level of a pyramid, to tell its values
_MOST_PIXELS = 2**26  # looked at one by one: as many as are read for one region
_TILES, _TILE_SIDE = 8, 512  # along each axis; together 2**24 pixels
_MOST_PLANES = 1024


class Brightness:
    """Finds the limits of planes, and remembers them; safe to use from several threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[Hashable, View] = OrderedDict()
        self._lock = Lock()

    def settle(
        self, image: PlaneImage, region: Box, step: float, pixels: Sequence[NDArray[Any]]
    ) -> View:
        """Give a plane's view with the limits of all channels in numbers.

        Views that show the same are equal then, whichever way their limits were found. Limits are
        equal to each other where all finite values are, or there are none: that is black.

        Parameters
        ----------
        image : PlaneImage
            The plane and its view.
        region : (y0, x0, y1, x1)
            What was read of it.
        step : float
            In which steps; see `plane_image.Read`.
        pixels : sequence of array
            One per channel, as read; they are looked at instead of the plane if they are all of it.

        Raises
        ------
        PromptError
            If given limits cannot be used.
        """
        view = image.view
        limits = [
            _without_a_look(channel, view.normalisation, array)
            for channel, array in zip(view.channels, pixels, strict=True)
        ]
        if all(limits):
            return _with_limits(view, limits)
        place = (image.key, image.shape, view)
        with self._lock:
            known = self._known.get(place)
        if known is None:
            sample = _sample(image, region, step, pixels)
            found = [
                have or _look(array, view.normalisation)
                for have, array in zip(limits, sample, strict=True)
            ]
            known = _with_limits(view, found)
        with self._lock:
            self._known[place] = known
            self._known.move_to_end(place)
            while len(self._known) > _MOST_PLANES:
                self._known.popitem(last=False)
        return known


def _without_a_look(
    channel: Channel, normalisation: Normalisation, array: NDArray[Any]
) -> _Limits | None:
    """Give the limits that depend on no pixel."""
    if normalisation == "limits" and channel.limits is not None:
        return checked_limits(channel.limits)
    if array.dtype == np.bool_:
        return 0.0, 1.0
    if normalisation == "limits" and array.dtype == np.uint8:
        return 0.0, 255.0
    if normalisation == "full":
        if array.dtype.kind == "f":
            return 0.0, 1.0
        info = np.iinfo(array.dtype)
        return float(info.min), float(info.max)
    return None


def _look(sample: NDArray[Any], normalisation: Normalisation) -> _Limits:
    if normalisation == "min-max":
        return extremes(sample)
    return robust_extremes(sample) if normalisation == "percentile" else value_range(sample)


def _with_limits(view: View, limits: Sequence[_Limits | None]) -> View:
    channels = zip(view.channels, limits, strict=True)
    return View(tuple(replace(channel, limits=found) for channel, found in channels))


def _sample(
    image: PlaneImage, region: Box, step: float, pixels: Sequence[NDArray[Any]]
) -> Sequence[NDArray[Any]]:
    """Give what is looked at of a plane, one array per channel."""
    level = _level_of_sample(image)
    if _area(image) > _MOST_PIXELS * level**2:
        tiles = [image.read(tile, level) for tile in _tiles(image.shape, _TILE_SIDE * level)]
        channels = zip(*tiles, strict=True)
        return [np.concatenate([as_plane(part) for part in parts]) for parts in channels]
    if region == image.whole and level_for(image.levels, step) == level:
        return pixels
    return [as_plane(array) for array in image.read(image.whole, level)]


def _level_of_sample(image: PlaneImage) -> float:
    enough = [level for level in image.levels if _area(image) >= _ENOUGH_PIXELS * level**2]
    return max(enough, default=min(image.levels))


def _tiles(shape: tuple[int, int], side: float) -> Iterator[Box]:
    """Give tiles, all of the same size, that lie evenly over a plane."""
    height, width = (min(int(side), length) for length in shape)
    rows = np.linspace(0, shape[0] - height, _TILES).astype(int).tolist()
    columns = np.linspace(0, shape[1] - width, _TILES).astype(int).tolist()
    for y in dict.fromkeys(rows):
        for x in dict.fromkeys(columns):
            yield y, x, y + height, x + width


def _area(image: PlaneImage) -> int:
    return image.shape[0] * image.shape[1]
