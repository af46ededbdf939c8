"""Regions that go along with the objects that are followed.

What is remembered of an object belongs to the part of the frames in which it was seen. So when the
region moves, the frames that matter are seen again in the new one, and remembered with the masks
that were found there.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping

from napari_sam2.session.boxes import has_room, longer_side, meet
from napari_sam2.session.followers import Follower, Frame
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.region_grid import RegionGrid
from napari_sam2.session.tracks import TrackedObject

_MARGIN = 0.2  # of a region's side: nearer to its border an object is about to leave
_REMEMBERED = 3  # frames that are seen again, besides those that were prompted

See = Callable[[int, Box], Frame]
"""Gives a frame, embedded in a region."""


class MovingRegions:
    """Where each object is looked at now.

    Parameters
    ----------
    objects : iterable of TrackedObject
        Those without a region of their own are looked at in whole frames, which never move.
    grid : RegionGrid
        Of the frames.
    follower : Follower
        Is told anew what is known when a region moves.
    see : callable
    given : mapping
        Masks of prompted frames, by object and frame; looked up when they are needed.
    """

    def __init__(
        self,
        objects: Iterable[TrackedObject],
        grid: RegionGrid,
        follower: Follower,
        see: See,
        given: Mapping[tuple[int, int], PackedMask],
    ) -> None:
        self._homes = {one.object_id: one.region or grid.whole for one in objects}
        self._now = dict(self._homes)
        self._grid, self._follower, self._see, self._given = grid, follower, see, given
        # Prompted frames whose object lies outside of the region now, and what counts instead.
        self._out_of_sight: dict[int, dict[int, PackedMask]] = defaultdict(dict)
        self._stand_ins: dict[int, set[int]] = defaultdict(set)
        self._recent: dict[int, deque[tuple[int, PackedMask]]] = defaultdict(
            lambda: deque(maxlen=_REMEMBERED)
        )

    def of(self, object_id: int) -> Box:
        """Give the region of an object."""
        return self._now[object_id]

    def follow(self, object_id: int, frame: int, direction: int, mask: PackedMask) -> None:
        """Take note of a good mask, and move the region if the object nears its border."""
        self._recent[object_id].append((frame, mask))
        region = self._now[object_id]
        if not mask or has_room(region, mask.box, self._grid.shape, _MARGIN):
            return
        moved = self._grid.around(mask.box, longer_side(region))
        if moved != region:
            self._move(object_id, moved, direction)

    def return_home(self, object_id: int, direction: int) -> None:
        """End a pass over the frames: the next one begins where the object was prompted."""
        self._recent[object_id].clear()
        if self._now[object_id] != self._homes[object_id]:
            self._move(object_id, self._homes[object_id], direction)

    def _move(self, object_id: int, region: Box, direction: int) -> None:
        follower, recent = self._follower, list(self._recent[object_id])
        known = self._out_of_sight[object_id]
        for at in follower.prompted_frames(object_id):
            if at in self._stand_ins[object_id]:
                continue
            if (object_id, at) not in self._given:
                return  # of an earlier run: what was there is not known any more
            known[at] = self._given[object_id, at]
        self._now[object_id] = region
        self._stand_ins[object_id].clear()
        follower.forget_object(object_id)
        for at, mask in list(known.items()):
            if not mask or meet(mask.box, region):
                self._tell_prompted(object_id, known.pop(at), at)
        for at, mask in recent:
            look = follower.prompt(object_id, self._see(at, region), Prompts(mask_prompt=mask))
            follower.keep_tracked(object_id, at, direction, look)
        if recent and not follower.prompted_frames(object_id):
            at, mask = recent[-1]
            self._stand_ins[object_id].add(at)
            self._tell_prompted(object_id, mask, at)

    def _tell_prompted(self, object_id: int, mask: PackedMask, at: int) -> None:
        frame = self._see(at, self._now[object_id])
        look = self._follower.prompt(object_id, frame, Prompts(mask_prompt=mask))
        self._follower.keep_prompted(object_id, at, look)
