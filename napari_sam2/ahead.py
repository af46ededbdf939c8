"""Which planes to embed while nobody waits: those beside the one on screen, or a whole stack."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator

from psygnal import Signal

from napari_sam2.session.planes import Plane

CHEAP_SECONDS = 0.5  # a click may have to wait for the plane that is being embedded
_SIDEWAYS = (1, -1, 2)  # planes from the one on screen, in the direction in which it moved last


class Ahead:
    """Keeps what is still to be embedded, one plane at a time.

    Planes beside the one on screen are only embedded where that is quick, as measured on the last
    plane, reading included: nothing large is fetched that nobody asked for.

    Attributes
    ----------
    neighbours : bool
        Whether planes beside the one on screen are embedded.
    progressed : Signal(int, int)
        Planes of the stack that are done, and all of them; equal when the stack is.
    """

    progressed = Signal(int, int)

    def __init__(self) -> None:
        self.neighbours = True
        self._is_cheap = False  # as long as it is not known
        self._here: Plane | None = None
        self._axis, self._direction = -1, 1  # which hidden axis moved last, and how
        self._known: set[Hashable] = set()  # that were embedded, or are about to be
        self._stack: deque[Plane] = deque()
        self._total = 0

    @property
    def embeds_stack(self) -> bool:
        """Whether a stack is being embedded."""
        return self._total > 0

    def forget(self) -> None:
        """Begin anew: there is another image, or another model."""
        self._here, self._is_cheap = None, False
        self._known.clear()
        self.stop()

    def note_cost(self, seconds: float) -> None:
        """Take note of how long a plane took, reading included."""
        self._is_cheap = 0 < seconds <= CHEAP_SECONDS

    def look_at(self, plane: Plane) -> None:
        """Take note of the plane on screen."""
        before, self._here = self._here, plane
        if before is None or before.axes != plane.axes:
            return
        for axis, (old, new) in enumerate(zip(before.index, plane.index, strict=True)):
            if old != new:
                self._axis, self._direction = axis, 1 if new > old else -1

    def embed_stack(self, planes: Iterable[Plane]) -> None:
        """Embed these planes; what is embedded already costs nothing."""
        self._stack = deque(planes)
        self._total = len(self._stack)
        self.progressed.emit(0, self._total)

    def stop(self) -> None:
        """Embed no more of the stack; what is done stays, so that it can be gone on with."""
        if self._total:
            self._stack.clear()
            self._total = 0
            self.progressed.emit(0, 0)

    def planes(self, shape: tuple[int, ...]) -> Iterator[Plane]:
        """Go through the planes of data of `shape` that may be embedded now, the stack's first.

        Who takes a plane embeds it before asking for more; who goes on at once passes it over.
        """
        while self._stack:
            self.progressed.emit(self._total - len(self._stack), self._total)
            if self._stack:  # who was told may have stopped it
                yield self._stack.popleft()
        if self._total:
            total, self._total = self._total, 0
            self.progressed.emit(total, total)
        yield from self._beside(shape)

    def is_new(self, mark: Hashable) -> bool:
        """Tell once whether a plane was not embedded since the image or the model was chosen."""
        is_new = mark not in self._known
        self._known.add(mark)
        return is_new

    def _beside(self, shape: tuple[int, ...]) -> Iterator[Plane]:
        here = self._here
        if here is None or not here.index or not (self.neighbours and self._is_cheap):
            return
        axis = self._axis % len(here.index)
        length = shape[here.hidden_axes[axis]]
        for step in _SIDEWAYS:
            index = list(here.index)
            index[axis] += step * self._direction
            if 0 <= index[axis] < length:
                yield Plane(here.axes, tuple(index))
