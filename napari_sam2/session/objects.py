"""What is annotated, as frozen values: the objects, the one at work, and all of it together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import POSITIVE, LowResMask, Prompts

RECTANGLE, ELLIPSE, POLYGON, PATH, LINE = "rectangle", "ellipse", "polygon", "path", "line"


@dataclass(frozen=True)
class PlacedPoint:
    """A point where the user put it.

    Attributes
    ----------
    position : tuple of float
        In data coordinates of the points layer, one per axis.
    polarity : int
        1 object, 0 background.
    """

    position: tuple[float, ...]
    polarity: int = POSITIVE


@dataclass(frozen=True)
class PlacedShape:
    """A shape where the user drew it.

    Attributes
    ----------
    kind : str
        "rectangle", "ellipse", "polygon", "path" (a scribble) or "line": napari's own words.
    vertices : tuple of tuples of float
        In data coordinates of the shapes layer.
    polarity : int
        1 object, 0 background.
    """

    kind: str
    vertices: tuple[tuple[float, ...], ...]
    polarity: int = POSITIVE


@dataclass(frozen=True)
class PlacedPrompts:
    """All prompts of one object, on all its planes."""

    points: tuple[PlacedPoint, ...] = ()
    shapes: tuple[PlacedShape, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.points) or bool(self.shapes)


@dataclass(frozen=True)
class Answer:
    """What a model said about the prompts of one plane, kept with the object.

    Attributes
    ----------
    prompts : Prompts
        The question. Empty when nothing was asked here: the candidate was found by following the
        object from other planes, or, without a `model`, taken from a label or accepted.
    candidates : tuple of PackedMask
        Best predicted IoU first.
    scores : tuple of float
        The predicted IoUs; NaN where nothing was predicted.
    logits : tuple of LowResMask
        One per candidate, to be fed back when a correction follows; may be empty.
    chosen : int
        The candidate that is shown.
    model : str
        Name of the model.
    weights_hash : str
        Of the model's file; empty when nothing was predicted.
    """

    prompts: Prompts
    candidates: tuple[PackedMask, ...]
    scores: tuple[float, ...]
    logits: tuple[LowResMask, ...] = ()
    chosen: int = 0
    model: str = ""
    weights_hash: str = ""

    @property
    def mask(self) -> PackedMask:
        """The chosen candidate."""
        return self.candidates[self.chosen]

    @property
    def score(self) -> float:
        """The predicted IoU of the chosen candidate."""
        return self.scores[self.chosen]

    @property
    def is_tracked(self) -> bool:
        """Whether the mask was found by following the object from other planes."""
        return bool(self.model) and not self.prompts

    def tidied(self, candidate: PackedMask, cleanup: Cleanup) -> PackedMask:
        """Give one of the candidates cleaned up, unless the user gave it."""
        if self.prompts or self.is_tracked:
            return cleanup.apply(candidate, self.prompts.clicks)
        return candidate

    @property
    def region(self) -> Box | None:
        """The part of the plane that the model saw; None for all of it, or if none looked."""
        return self.logits[self.chosen].region if self.logits else None


@dataclass(frozen=True)
class PlaneWork:
    """The object at work on one plane: the model's answer, and the brush's corrections of it.

    Attributes
    ----------
    shape : (H, W)
        Size of the plane.
    answer : Answer or None
        None as long as no model has answered.
    added, removed : PackedMask or None
        Pixels that the brush has added and the eraser has taken away, whatever a model says.
    """

    shape: tuple[int, int]
    answer: Answer | None = None
    added: PackedMask | None = None
    removed: PackedMask | None = None

    def compose(self, predicted: PackedMask) -> PackedMask:
        """Put the brush's corrections onto a mask."""
        mask = predicted if self.added is None else predicted | self.added
        return mask if self.removed is None else mask - self.removed

    @property
    def mask(self) -> PackedMask:
        """The chosen candidate with the corrections; empty when there is none."""
        return self.compose(PackedMask(self.shape) if self.answer is None else self.answer.mask)


@dataclass(frozen=True)
class AtWork:
    """The object at work: not yet among the labels.

    Attributes
    ----------
    object_id : int
        The label value that it is kept as.
    prompts : PlacedPrompts
        On all planes.
    planes : mapping of Plane to PlaneWork
        Where there is an answer or a correction. Never changed in place.
    original : Original or None
        What it was before it was opened again; None for a new object.
    """

    object_id: int
    prompts: PlacedPrompts = PlacedPrompts()
    planes: Mapping[Plane, PlaneWork] = field(default_factory=dict)
    original: Original | None = None

    @property
    def has_mask(self) -> bool:
        """Whether any plane has a mask that is not empty."""
        return any(work.mask for work in self.planes.values())


@dataclass(frozen=True)
class Original:
    """An object that was opened again, as it was: cancelling brings it back.

    Attributes
    ----------
    record : ObjectRecord
        Its row.
    masks : mapping of Plane to PackedMask
        Its pixels.
    """

    record: ObjectRecord
    masks: Mapping[Plane, PackedMask] = field(default_factory=dict)


@dataclass(frozen=True)
class ObjectRecord:
    """One object that was kept: a row of the table.

    Attributes
    ----------
    object_id : int
        Its label value.
    area : int
        Pixels in all planes together.
    start, stop : tuple of int
        Corners of a box of the data that holds it: start <= index < stop on each axis. Never too
        small; erasing by hand may leave it too large.
    score : float
        Mean predicted IoU of its planes; NaN for what no model has drawn.
    name, class_name : str
        The user's words.
    work : AtWork or None
        Its prompts and answers as they were when it was kept; None for imported labels.
    """

    object_id: int
    area: int
    start: tuple[int, ...]
    stop: tuple[int, ...]
    score: float = float("nan")
    name: str = ""
    class_name: str = ""
    work: AtWork | None = None


@dataclass(frozen=True)
class ObjectClass:
    """A class of objects.

    Attributes
    ----------
    name : str
        Unique among the classes.
    color : str
        As "#rrggbb".
    """

    name: str
    color: str


@dataclass(frozen=True)
class State:
    """Everything that undo brings back, except the pixels of the labels.

    Attributes
    ----------
    at_work : AtWork
        The object at work.
    objects : mapping of int to ObjectRecord
        What was kept, by label value. Never changed in place.
    classes : tuple of ObjectClass
        In the user's order.
    strays : mapping of int to ObjectRecord
        Label values that the brush has painted and that are no object. Never changed in place.
    highest : int
        The highest label value ever used: the next object gets the one after.
    """

    at_work: AtWork
    objects: Mapping[int, ObjectRecord] = field(default_factory=dict)
    classes: tuple[ObjectClass, ...] = ()
    strays: Mapping[int, ObjectRecord] = field(default_factory=dict)
    highest: int = 0
