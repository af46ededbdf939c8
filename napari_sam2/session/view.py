"""What the model sees: how values of one or more channels become brightness and colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import Box
from napari_sam2.session.pixels import to_unit, value_range

Normalisation = Literal["limits", "percentile", "min-max", "full"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)

Color = tuple[float, float, float]
"""Red, green and blue, each in [0, 1]."""
Colors = tuple[Color, ...]
"""What black and white, and even steps between them, are shown as."""

BLACK: Color = (0.0, 0.0, 0.0)
RED: Colors = (BLACK, (1.0, 0.0, 0.0))
GREEN: Colors = (BLACK, (0.0, 1.0, 0.0))
BLUE: Colors = (BLACK, (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Channel:
    """How one channel is shown.

    Attributes
    ----------
    limits : (low, high) or None
        What is shown black and white; None lets `pixels.value_range` choose by dtype.
    gamma : float
        Power that brightness between black and white is raised to.
    colors : tuple of (red, green, blue), or None
        What black and white and even steps between them become, at least two; between the
        steps it is linear. None leaves grey grey, and RGB as it is.
    """

    limits: tuple[float, float] | None = None
    gamma: float = 1.0
    colors: Colors | None = None


@dataclass(frozen=True)
class View:
    """How a plane is shown to the model.

    Attributes
    ----------
    channels : tuple of Channel
        One per array that is read of a plane. A single grey one is shown grey; of several, the
        colours are added.
    normalisation : str
        What is black and white: "limits" takes the channel's limits, "percentile" the 0.1 and
        99.9 percentiles of the plane, "min-max" its extremes, "full" all that its dtype can hold,
        of floats 0 to 1.
    """

    channels: tuple[Channel, ...] = (Channel(),)
    normalisation: Normalisation = "limits"

    def __post_init__(self) -> None:
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(
                f"normalisation must be one of {', '.join(NORMALISATIONS)}, "
                f"got {self.normalisation!r}."
            )

    @classmethod
    def of_limits(cls, limits: tuple[float, float] | None) -> View:
        """Show one channel, grey or RGB, between these limits."""
        return cls((Channel(limits),))

    @property
    def limits(self) -> tuple[float, float] | None:
        """The limits of the first channel."""
        return self.channels[0].limits


class Look(NamedTuple):
    """What the model sees.

    Attributes
    ----------
    region : (y0, x0, y1, x1)
        The part of the plane that is squeezed into the model's square input.
    picture : float32, shape (S, S, 3)
        Red, green and blue, in [0, 1].
    """

    region: Box
    picture: NDArray[np.float32]


def compose(arrays: Sequence[NDArray[Any]], view: View) -> Iterator[NDArray[np.float32]]:
    """Give what the model sees as one plane of brightness, or as three of red, green and blue.

    Parameters
    ----------
    arrays : sequence of array, shape (h, w) or (h, w, 3)
        One per channel of the view, each checked by `pixels.as_plane`.
    view : View
        As `Brightness.settle` gives it: limits that are None are chosen from the arrays.

    Yields
    ------
    float32, shape (h, w), in [0, 1]
        One or three; of a single channel one at a time, so that a large plane costs one copy, not
        three.
    """
    pairs = list(zip(arrays, view.channels, strict=True))
    if len(pairs) == 1 and pairs[0][1].colors is None:
        yield from _planes(*pairs[0])
        return
    planes = [(list(_planes(array, channel)), channel.colors) for array, channel in pairs]
    for c in range(3):
        total = np.zeros(arrays[0].shape[:2], np.float32)
        for units, colors in planes:
            unit = units[c % len(units)]
            total += unit if colors is None else _look_up(unit, [color[c] for color in colors])
        yield np.clip(total, 0, 1, out=total)


def _planes(array: NDArray[Any], channel: Channel) -> Iterator[NDArray[np.float32]]:
    """Give the brightness of a grey array, or of each colour of an RGB one."""
    limits = value_range(array) if channel.limits is None else channel.limits
    for part in [array] if array.ndim == 2 else [array[..., c] for c in range(3)]:
        unit = to_unit(part, limits)
        yield unit if channel.gamma == 1 else np.power(unit, np.float32(channel.gamma))


def _look_up(unit: NDArray[np.float32], table: list[float]) -> NDArray[np.float32]:
    """Give the values at even steps of [0, 1], and between them linearly."""
    if len(table) > 2:
        return np.interp(unit, np.linspace(0, 1, len(table)), table).astype(np.float32)
    values = unit * np.float32(table[1] - table[0])
    values += np.float32(table[0])
    return np.asarray(values)
