"""What the model sees: how values of one or more channels become brightness and colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.pixels import to_unit, value_range

Normalisation = Literal["limits", "percentile", "min-max", "full"]
NORMALISATIONS: tuple[Normalisation, ...] = get_args(Normalisation)


@dataclass(frozen=True)
class Channel:
    """How one channel is shown.

    Attributes
    ----------
    limits : (low, high) or None
        What is shown black and white; None lets `pixels.value_range` choose by dtype.
    """

    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class View:
    """How a plane is shown to the model.

    Attributes
    ----------
    channels : tuple of Channel
        One per array that is read of a plane. A single grey one is shown grey.
    """

    channels: tuple[Channel, ...] = (Channel(),)

    @classmethod
    def of_limits(cls, limits: tuple[float, float] | None) -> View:
        """Show one channel, grey or RGB, between these limits."""
        return cls((Channel(limits),))

    @property
    def limits(self) -> tuple[float, float] | None:
        """The limits of the first channel."""
        return self.channels[0].limits


def compose(arrays: Sequence[NDArray[Any]], view: View) -> Iterator[NDArray[np.float32]]:
    """Give what the model sees as one plane of brightness, or as three of red, green and blue.

    Parameters
    ----------
    arrays : sequence of array, shape (h, w) or (h, w, 3)
        One per channel of the view, each checked by `pixels.as_plane`.
    view : View

    Yields
    ------
    float32, shape (h, w), in [0, 1]
        One or three; one at a time, so that a large plane costs one copy, not three.

    Raises
    ------
    PromptError
        If limits cannot be used.
    """
    (plane,), (channel,) = arrays, view.channels
    limits = value_range(plane, channel.limits)
    parts = [plane] if plane.ndim == 2 else [plane[..., c] for c in range(3)]
    for part in parts:
        yield to_unit(part, limits)
