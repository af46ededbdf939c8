"""What is followed from where: read from a document, without a change to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from napari_sam2.errors import PromptError
from napari_sam2.session.document import Document
from napari_sam2.session.edits import masks_of
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import ObjectRecord, PlaneWork
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.tracks import Direction, TrackedObject


@dataclass(frozen=True)
class Reach:
    """Which planes a propagation may change.

    Attributes
    ----------
    direction : "forward", "backward" or "both"
    first, last : int or None
        No plane beyond them; None for the ends of the stack.
    everything : bool
        Follow from all planes that are the user's; by default only as far as the plane on screen,
        if that is one of them, can change anything: up to the next ones.
    kept : bool
        Follow the kept objects that are on the plane on screen as well.
    """

    direction: Direction = "both"
    first: int | None = None
    last: int | None = None
    everything: bool = False
    kept: bool = False


@dataclass(frozen=True, eq=False)
class TrackPlan:
    """What a propagation does.

    Attributes
    ----------
    planes : tuple of Plane
        One for each frame.
    objects : tuple of TrackedObject
        Without regions.
    first, last : int
        The frames that may change.
    own : mapping of int to set of int
        By object, the frames that are the user's: they are never changed.
    """

    planes: tuple[Plane, ...]
    objects: tuple[TrackedObject, ...]
    first: int
    last: int
    own: Mapping[int, Collection[int]] = field(default_factory=dict)


def line_of_planes(plane: Plane, axis: int, shape: Sequence[int]) -> tuple[tuple[Plane, ...], int]:
    """Give the planes along an axis through one of them, and which of them it is.

    Raises
    ------
    PromptError
        If the axis is on screen, or is none.
    """
    if axis not in plane.hidden_axes:
        raise PromptError(
            f"Objects are followed along an axis that has a slider, got axis {axis}. Choose one of "
            f"{', '.join(map(str, plane.hidden_axes)) or 'a stack, this image has none'}."
        )
    place = plane.hidden_axes.index(axis)
    index = plane.index
    planes = tuple(
        Plane(plane.axes, (*index[:place], at, *index[place + 1 :])) for at in range(shape[axis])
    )
    return planes, index[place]


def is_own(work: PlaneWork | None) -> bool:
    """Tell whether the user has a say in a mask: prompted, painted, accepted or brought it."""
    if work is None:
        return False
    is_painted = work.added is not None or work.removed is not None
    return is_painted or (work.answer is not None and not work.answer.is_tracked)


def plan_tracks(document: Document, plane: Plane, axis: int, reach: Reach) -> TrackPlan:
    """Read what is to be followed.

    Raises
    ------
    PromptError
        If there is nothing to follow.
    """
    planes, here = line_of_planes(plane, axis, document.labels.shape)
    at_work = _at_work(document, planes)
    objects = [] if at_work is None else [at_work]
    own = {document.at_work.object_id: _own_frames(document, planes)}
    if reach.kept:
        for record in document.state.objects.values():
            kept = _kept(document, record, planes)
            if here in kept:
                objects.append(TrackedObject(record.object_id, accepted=kept))
                own[record.object_id] = set(kept)
    if not objects:
        raise PromptError("There is nothing to follow yet: click on an object first, on any plane.")
    first, last = _bounds(objects, here, len(planes), reach)
    return TrackPlan(planes, tuple(objects), first, last, own)


def _own_frames(document: Document, planes: Sequence[Plane]) -> set[int]:
    works = document.at_work.planes
    return {at for at, plane in enumerate(planes) if is_own(works.get(plane))}


def _at_work(document: Document, planes: Sequence[Plane]) -> TrackedObject | None:
    prompts, accepted = dict[int, Prompts](), dict[int, PackedMask]()
    for at in sorted(_own_frames(document, planes)):
        mask = document.mask_on(planes[at])
        answer = document.at_work.planes[planes[at]].answer
        if mask and answer is not None and answer.prompts:
            prompts[at] = Prompts(mask_prompt=mask)  # as it is on screen, the brush included
        elif mask:
            accepted[at] = mask
    if not (prompts or accepted):
        return None
    return TrackedObject(document.at_work.object_id, prompts, accepted)


def _kept(
    document: Document, record: ObjectRecord, planes: Sequence[Plane]
) -> dict[int, PackedMask]:
    masks = masks_of(document.labels, record, planes[0].axes)
    return {at: masks[plane] for at, plane in enumerate(planes) if plane in masks}


def _bounds(
    objects: Sequence[TrackedObject], here: int, count: int, reach: Reach
) -> tuple[int, int]:
    """Give the first and the last frame that may change."""
    first = max(reach.first or 0, 0)
    last = count - 1 if reach.last is None else min(reach.last, count - 1)
    known = sorted({at for one in objects for at in (*one.prompts, *one.accepted)})
    if here in known and not reach.everything and not reach.kept:
        first = max([first, *(at + 1 for at in known if at < here)])
        last = min([last, *(at - 1 for at in known if at > here)])
        start = end = here
    else:
        start, end = known[0], known[-1]
    if reach.direction == "forward":
        first = max(first, start)
    if reach.direction == "backward":
        last = min(last, end)
    if first > last:
        raise PromptError(
            f"No plane is left to follow to: planes {first} to {last}. Widen the range, or choose "
            "another direction."
        )
    return first, last


@dataclass(frozen=True)
class Cell:
    """What is known of the object at work on one plane.

    Attributes
    ----------
    kind : str
        `OWN`, `TRACKED`, or empty where there is no mask.
    score : float
        Predicted IoU, in [0, 1]; 1 where nothing was predicted.
    stop : str
        Why following it has ended here; empty elsewhere.
    """

    kind: str = ""
    score: float = 0.0
    stop: str = ""


OWN, TRACKED = "own", "tracked"


def cells_of(
    document: Document, planes: Sequence[Plane], ends: Mapping[tuple[int, int], str]
) -> tuple[Cell, ...]:
    """Give what is known of the object at work, plane by plane; `ends` by object and frame."""
    works, object_id = document.at_work.planes, document.at_work.object_id
    return tuple(
        _cell(works.get(plane), ends.get((object_id, at), "")) for at, plane in enumerate(planes)
    )


def _cell(work: PlaneWork | None, stop: str) -> Cell:
    if work is None:
        return Cell(stop=stop)
    answer = work.answer
    is_scored = answer is not None and answer.candidates and answer.score == answer.score  # no NaN
    score = answer.score if answer is not None and is_scored else 1.0
    return Cell(OWN if is_own(work) else TRACKED, score)
