"""Which frames are gone over, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from napari_sam2.session.tracks import PropagationOptions

FORWARD, BACKWARD = 1, -1


@dataclass(frozen=True)
class Pass:
    """One way over the frames.

    Attributes
    ----------
    direction : int
        `FORWARD` or `BACKWARD`.
    starts : mapping of int to int
        By object, the frame before the first on which it is followed.
    first, last : int
        No frame outside is gone to.
    """

    direction: int
    starts: Mapping[int, int]
    first: int
    last: int

    def __iter__(self) -> Iterator[int]:
        """Give the frames in order."""
        starts = self.starts.values()
        if not starts:
            return iter(())
        if self.direction == FORWARD:
            return iter(range(max(self.first, min(starts) + 1), self.last + 1))
        return iter(range(min(self.last, max(starts) - 1), self.first - 1, -1))

    def concerns(self, object_id: int, index: int) -> bool:
        """Tell whether an object is followed on a frame."""
        return (index - self.starts[object_id]) * self.direction > 0

    def upcoming(self, object_id: int, index: int | None = None) -> list[tuple[int, int]]:
        """Give where an object is followed after a frame, or first, and the direction; or nothing.

        Parameters
        ----------
        object_id : int
        index : int, optional
            The frame at which the pass is; by default it has not begun.
        """
        at = (self.starts[object_id] if index is None else index) + self.direction
        at = max(at, self.first) if self.direction == FORWARD else min(at, self.last)
        return [(at, self.direction)] if self.first <= at <= self.last else []


def plan(
    known: Mapping[int, Collection[int]], num_frames: int, options: PropagationOptions
) -> list[Pass]:
    """Give the ways to go, one after the other.

    Parameters
    ----------
    known : mapping of int to collection of int
        By object, the frames that it can be followed from; at least one.
    num_frames : int
    options : PropagationOptions
    """
    first = max(options.first or 0, 0)
    last = num_frames - 1 if options.last is None else min(options.last, num_frames - 1)
    earliest = {object_id: min(frames) for object_id, frames in known.items()}
    latest = {object_id: max(frames) for object_id, frames in known.items()}
    from_latest = options.direction == "backward" or options.link
    passes = []
    if options.direction != "backward":
        passes.append(Pass(FORWARD, earliest, first, last))
    if options.direction != "forward":
        passes.append(Pass(BACKWARD, latest if from_latest else earliest, first, last))
    return passes
