"""What is remembered of one object, and what of it a frame looks at.

References
----------
SAM 2 (arXiv:2408.00714), "Memory encoder and memory bank".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor

from napari_sam2.model.tracking import MAX_POINTERS, NEAR_FRAMES

Aged = list[tuple[Tensor, int]]
"""Tensors, and how many frames ago each was; 0 for the memory of a prompted frame."""


@dataclass(frozen=True, eq=False)
class Memory:
    """One object on one frame.

    Attributes
    ----------
    features : Tensor, shape (1, M, S/16, S/16), bfloat16, or None
        Output of `tracking.encode_memory`; None where only the pointer is still of use.
    object_pointer : Tensor, shape (1, C)
    """

    features: Tensor | None
    object_pointer: Tensor


class MemoryBank:
    """The memories of one object: a value of the caller's, no part of the network.

    Memories of frames that the user prompted are kept. Of the others, `forget` keeps those that a
    coming frame can still look at, so that the bank is as small after a thousand frames as after
    twenty.

    Parameters
    ----------
    num_frames : int
        Length of the clip: in a short one, pointers are placed in time by another measure.
    """

    def __init__(self, num_frames: int) -> None:
        self.pointer_span = min(num_frames, MAX_POINTERS) - 1
        self._prompted: dict[int, Memory] = {}
        self._tracked: dict[int, Memory] = {}

    def __len__(self) -> int:
        return len(self._prompted) + len(self._tracked)

    @property
    def prompted_frames(self) -> tuple[int, ...]:
        """The conditioning frames, in the order in which they came."""
        return tuple(self._prompted)

    @property
    def nbytes(self) -> int:
        """Bytes that all memories take."""
        return sum(
            _nbytes(one) for kept in (self._prompted, self._tracked) for one in kept.values()
        )

    def put_prompted(self, frame: int, memory: Memory) -> None:
        """Remember what the user said about a frame."""
        self._prompted[frame] = memory
        self._tracked.pop(frame, None)

    def put_tracked(self, frame: int, memory: Memory) -> None:
        """Remember what the model found on a frame; what the user says there comes first."""
        if frame not in self._prompted:
            self._tracked[frame] = memory

    def drop_prompted(self, frame: int) -> None:
        """Forget a conditioning frame, if it is one."""
        self._prompted.pop(frame, None)

    def recall(self, frame: int, direction: int) -> tuple[Aged, Aged]:
        """Give what a frame looks at: memories and object pointers, as `tracking.condition` takes.

        All conditioning frames, past and to come, and the last six others; pointers of the past
        only. The past is where the tracking comes from.

        Parameters
        ----------
        frame : int
            Its own memory does not count.
        direction : int
            1 for forward, -1 for backward.
        """
        prompted = {at: memory for at, memory in self._prompted.items() if at != frame}
        memories = [(one.features, 0) for one in prompted.values() if one.features is not None]
        pointers = [
            (one.object_pointer, (frame - at) * direction)
            for at, one in prompted.items()
            if (frame - at) * direction > 0
        ]
        for ago in range(NEAR_FRAMES, 0, -1):
            near = self._tracked.get(frame - ago * direction)
            if near is not None and near.features is not None:
                memories.append((near.features, ago))
        for ago in range(1, self.pointer_span + 1):
            earlier = self._tracked.get(frame - ago * direction)
            if earlier is not None:
                pointers.append((earlier.object_pointer, ago))
        return memories, pointers

    def forget(self, upcoming: Iterable[tuple[int, int]]) -> None:
        """Let go of what no coming frame can look at.

        Parameters
        ----------
        upcoming : iterable of (frame, direction)
            The next frame of each pass that is still to come, or on its way.
        """
        passes = tuple(upcoming)
        kept = {}
        for at, memory in self._tracked.items():
            ago = [(frame - at) * direction for frame, direction in passes]
            if any(1 <= one <= NEAR_FRAMES for one in ago):
                kept[at] = memory
            elif any(1 <= one <= self.pointer_span for one in ago):
                kept[at] = replace(memory, features=None)
        self._tracked = kept


def _nbytes(memory: Memory) -> int:
    features = 0 if memory.features is None else memory.features.nbytes
    return features + memory.object_pointer.nbytes
