"""The annotation of one image: every change is one step that can be undone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from psygnal import Signal

from napari_sam2.errors import PromptError
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.edits import (
    Policy,
    allowed_by,
    mask_edits,
    masks_of,
    relabel_edits,
)
from napari_sam2.session.history import MAX_BYTES, History, PixelEdit, Step
from napari_sam2.session.labels import LabelStore
from napari_sam2.session.ledger import account, united
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import (
    Answer,
    AtWork,
    ObjectClass,
    ObjectRecord,
    Original,
    PlacedPrompts,
    PlaneWork,
    State,
)
from napari_sam2.session.planes import Plane
from napari_sam2.session.transitions import (
    painted,
    prompts_title,
    reclassed,
    record_of,
    restored,
    some_plane,
    taken_from,
    with_plane,
)


class Document:
    """Prompts, answers and objects of one image, with undo and redo of all of it.

    Parameters
    ----------
    labels : LabelStore
        Where kept objects are drawn.
    state : State, optional
        What is known of the labels already; by default that they are empty.
    max_bytes : int, optional
        Memory for undo.

    Attributes
    ----------
    policy : str
        What happens where a mask meets other labels: "keep" leaves other objects theirs,
        "replace" takes their pixels, "empty" changes nothing that is not 0, painted pixels that
        belong to no object included.
    cleanup : Cleanup
        Is applied to what the model draws, before the brush's corrections.
    changed : Signal(State)
        There is another state.
    edited : Signal(PixelEdit)
        Pixels of the labels have changed.
    """

    changed = Signal(object)
    edited = Signal(object)

    def __init__(
        self, labels: LabelStore, state: State | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        self.policy: Policy = "keep"
        self.labels = labels
        self._cleanup = Cleanup()
        self._max_bytes = max_bytes
        self._history = History(State(AtWork(1)) if state is None else state, max_bytes)

    @property
    def state(self) -> State:
        """Everything but the pixels."""
        return self._history.state

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever done to it, and nothing is in it."""
        return not (self.undo_title or self.redo_title or self.state.objects)

    @property
    def at_work(self) -> AtWork:
        """The object at work."""
        return self.state.at_work

    @property
    def cleanup(self) -> Cleanup:
        """What tidies the model's masks."""
        return self._cleanup

    @cleanup.setter
    def cleanup(self, cleanup: Cleanup) -> None:
        if cleanup != self._cleanup:
            self._cleanup = cleanup
            self.changed.emit(self.state)

    @property
    def undo_title(self) -> str:
        """What undo would take back; empty if nothing."""
        return self._history.undo_title

    @property
    def redo_title(self) -> str:
        """What redo would do again; empty if nothing."""
        return self._history.redo_title

    # The object at work ---------------------------------------------------------------------------

    def mask_on(self, plane: Plane) -> PackedMask | None:
        """Give the mask of the object at work on a plane, cleaned up and corrected."""
        work = self.at_work.planes.get(plane)
        return None if work is None else self._mask_of(work)

    def set_prompts(self, prompts: PlacedPrompts, plane: Plane | None = None) -> None:
        """Take the prompts that are on screen; the same ones as before are no step."""
        if prompts != self.at_work.prompts:
            title = prompts_title(self.at_work.prompts, prompts)
            self._work_on(title, plane, prompts=prompts)

    def set_answer(self, plane: Plane, shape: tuple[int, int], answer: Answer | None) -> None:
        """Take what a model answered, or that nothing is asked any more; no step of its own.

        Another model's answer to the same prompts is a step: the user has asked for it.
        """
        work = self.at_work.planes.get(plane, PlaneWork(shape))
        if answer == work.answer:
            return
        at_work = with_plane(self.at_work, plane, replace(work, answer=answer))
        if answer and work.answer and answer.prompts == work.answer.prompts:
            self._push(Step(f"mask by {answer.model}", plane=plane), at_work)
        else:
            self._history.amend(replace(self.state, at_work=at_work))
            self.changed.emit(self.state)

    def choose(self, plane: Plane, candidate: int) -> None:
        """Show another candidate of the answer on a plane; counts round past either end."""
        work = self.at_work.planes.get(plane)
        if work is None or work.answer is None or not work.answer.candidates:
            return
        chosen = candidate % len(work.answer.candidates)
        if chosen != work.answer.chosen:
            answer = replace(work.answer, chosen=chosen)
            self._work_on("another candidate", plane, work=replace(work, answer=answer))

    def paint_over(self, strokes: Mapping[Plane, tuple[PackedMask, PackedMask]]) -> None:
        """Correct the mask by hand, as one step.

        Parameters
        ----------
        strokes : mapping of Plane to (PackedMask, PackedMask)
            The pixels added, and those removed. They stay so, whatever a model says later.
        """
        planes = dict(self.at_work.planes)
        for plane, (added, removed) in strokes.items():
            if added or removed:
                planes[plane] = painted(planes.get(plane, PlaneWork(added.shape)), added, removed)
        if planes != self.at_work.planes:
            where = next(iter(strokes)) if len(strokes) == 1 else None
            self._push(Step("paint on the mask", plane=where), replace(self.at_work, planes=planes))

    def begin_from(self, masks: Mapping[Plane, PackedMask], title: str = "use a label") -> None:
        """Take masks from elsewhere for the object at work; corrections start from them."""
        planes = {plane: taken_from(mask) for plane, mask in masks.items() if mask}
        if planes:
            at_work = replace(self.at_work, planes={**self.at_work.planes, **planes})
            self._push(Step(title, plane=next(iter(planes))), at_work)

    def put_tracked(
        self, plane: Plane, object_id: int, answer: Answer | None, title: str = ""
    ) -> None:
        """Take what following an object has found on a plane; None: it is not there.

        Parameters
        ----------
        plane : Plane
        object_id : int
            The object at work, whose mask becomes another, or a kept one, to which it is added.
        answer : Answer or None
        title : str
            Of a new step; without, this belongs to the last one.
        """
        edits, state = list[PixelEdit](), self.state
        if object_id == self.at_work.object_id:
            shape = plane.shape_of(self.labels.shape)
            work = self.at_work.planes.get(plane, PlaneWork(shape))
            at_work = with_plane(self.at_work, plane, replace(work, answer=answer))
            state = replace(state, at_work=at_work)
        elif answer is not None:
            may_change = allowed_by(self.policy, state.objects)
            edits = mask_edits(self.labels, {plane: self._tidied(answer)}, object_id, may_change)
            state = account(state, edits)
        if title:
            self._history.push(Step(title, tuple(edits), plane), state)
        else:
            self._history.extend(edits, state)
        self._write(edits)

    def accept(self, planes: Iterable[Plane]) -> None:
        """Take masks that were found by following the object for the user's: they stay so."""
        works = dict(self.at_work.planes)
        for plane in planes:
            answer = works[plane].answer if plane in works else None
            if answer is not None and answer.is_tracked:
                shown, score = (self._tidied(answer),), (answer.score,)
                mine = Answer(answer.prompts, shown, score)
                works[plane] = replace(works[plane], answer=mine)
        if works != self.at_work.planes:
            self._push(Step("accept masks"), replace(self.at_work, planes=works))

    def cancel(self) -> None:
        """Drop the object at work; one that was opened again becomes what it was."""
        at_work, original = self.at_work, self.at_work.original
        if original is None:
            if at_work.prompts or at_work.planes:
                self._push(
                    Step("clear the object", plane=some_plane(at_work)),
                    AtWork(at_work.object_id),
                )
            return
        object_id = at_work.object_id
        self._change_pixels(
            f"leave object {object_id} as it was",
            mask_edits(self.labels, original.masks, object_id, lambda before: before == 0),
            self._next_object(),
            {object_id: restored(original.record, self.state.strays.get(object_id))},
            plane=some_plane(at_work),
        )

    def commit(self, remaining: PlacedPrompts | None = None) -> int:
        """Keep the object at work, and begin the next.

        Parameters
        ----------
        remaining : PlacedPrompts, optional
            What the next object begins with.

        Returns
        -------
        int
            The label value of the object that was kept.

        Raises
        ------
        PromptError
            If it has no mask, or none of its pixels may be written.
        """
        at_work = self.at_work
        object_id = at_work.object_id
        stray = self.state.strays.get(object_id)
        if not at_work.has_mask and stray is None:
            raise PromptError("There is no mask to keep yet: click on an object first.")
        self.labels.hold(object_id)
        masks = {plane: self._mask_of(work) for plane, work in at_work.planes.items()}
        may_change = allowed_by(self.policy, self.state.objects)
        edits = mask_edits(self.labels, masks, object_id, may_change)
        if not edits and stray is None:
            raise PromptError(
                "Every pixel of the mask belongs to another object already, so nothing would be "
                "kept. Let the new one have it (Options, Overlap; policy 'replace'), or cancel."
            )
        self._change_pixels(
            f"keep object {object_id}",
            edits,
            self._next_object(remaining or PlacedPrompts()),
            {object_id: record_of(at_work, stray)},
            plane=some_plane(at_work),
        )
        return object_id

    # Objects that were kept -----------------------------------------------------------------------

    def reopen(self, object_id: int, axes: tuple[int, int]) -> None:
        """Take a kept object to work again, with its prompts; the one at work is kept first.

        What the brush has painted in a label of its own can be taken up as well.

        Parameters
        ----------
        object_id : int
            Its label value.
        axes : (int, int)
            The data axes along the rows and the columns of the planes that are on screen.

        Raises
        ------
        PromptError
            If there is no such object.
        """
        record = self._record_or_stray(object_id)
        if self.at_work.has_mask:
            self.commit()
            record = self._record_or_stray(object_id)
        before = record.work or AtWork(object_id)
        masks = masks_of(self.labels, record, axes)
        shown = {p: PackedMask(work.shape) for p, work in before.planes.items() if p.axes == axes}
        planes = {
            plane: self._reopened(before.planes.get(plane), mask)
            for plane, mask in {**shown, **masks}.items()
            if mask or before.planes[plane].answer is not None
        }
        at_work = AtWork(object_id, before.prompts, planes, Original(record, masks))
        self._change_pixels(
            f"open object {object_id} again",
            mask_edits(self.labels, masks, 0, lambda values: values == object_id),
            at_work,
            {},
            drop=[record],
            plane=some_plane(at_work),
        )

    def delete(self, object_ids: Iterable[int]) -> None:
        """Remove objects and their pixels."""
        records = [self._record(object_id) for object_id in object_ids]
        if records:
            edits = [edit for record in records for edit in relabel_edits(self.labels, record, 0)]
            what = f"object {records[0].object_id}" if len(records) == 1 else "objects"
            self._change_pixels(f"delete {what}", edits, self.at_work, {}, drop=records)

    def merge(self, object_ids: Iterable[int]) -> int:
        """Make one object of several, under the lowest of their labels; give that.

        Raises
        ------
        PromptError
            If there are fewer than two, or one is unknown.
        """
        records = [self._record(object_id) for object_id in sorted(set(object_ids))]
        if len(records) < 2:
            raise PromptError("Merging needs two objects or more. Select them in the table.")
        target, others = records[0].object_id, records[1:]
        edits = [edit for record in others for edit in relabel_edits(self.labels, record, target)]
        merged = replace(
            united(records, target),
            area=records[0].area,  # the edits bring the others'
            work=None,  # no model was asked about the whole
        )
        self._change_pixels(
            f"merge {len(records)} objects", edits, self.at_work, {target: merged}, drop=others
        )
        return target

    def rename(self, object_id: int, name: str) -> None:
        """Give an object a name."""
        record = self._record(object_id)
        if name != record.name:
            self._set_records(f"rename object {object_id}", [replace(record, name=name)])

    def set_class(self, object_ids: Iterable[int], class_name: str) -> None:
        """Put objects into a class; an empty name takes them out of theirs."""
        records = [self._record(object_id) for object_id in object_ids]
        changed = [
            replace(record, class_name=class_name)
            for record in records
            if record.class_name != class_name
        ]
        if changed:
            self._set_records("set the class", changed)

    def rename_class(self, old: str, new: str) -> None:
        """Give a class another name, and its objects with it.

        Raises
        ------
        PromptError
            If another class has that name.
        """
        classes = self.state.classes
        if new != old and any(one.name == new for one in classes):
            raise PromptError(f"There is a class {new!r} already. Choose another name.")
        renamed = tuple(replace(one, name=new) if one.name == old else one for one in classes)
        self._define_classes(f"rename class {old}", renamed, {old: new})

    def set_classes(self, classes: Sequence[ObjectClass]) -> None:
        """Define the classes; objects of one that is gone have none."""
        names = {one.name for one in classes}
        gone = {one.name: "" for one in self.state.classes if one.name not in names}
        self._define_classes("edit the classes", tuple(classes), gone)

    def record_paint(self, edits: Sequence[PixelEdit], plane: Plane | None = None) -> None:
        """Take note of what was painted by hand on the labels, which is done already."""
        if edits:
            state = account(self.state, edits)
            self._history.push(Step("paint", tuple(edits), plane), state)
            self._tell(edits)

    def restart(self, state: State) -> None:
        """Take on another state, of labels that have become others; nothing can be undone."""
        self._history = History(state, self._max_bytes)
        self.changed.emit(state)

    def replace_objects(self, state: State, edits: Sequence[PixelEdit], title: str) -> None:
        """Make edits and take on a state that goes with them, as one step."""
        self._history.push(Step(title, tuple(edits)), state)
        self._write(edits)

    # Undo -----------------------------------------------------------------------------------------

    def undo(self) -> Step | None:
        """Take the last step back, and give it; None if there is none."""
        step = self._history.undo()
        if step is not None:
            edits = [edit.reversed() for edit in reversed(step.edits)]
            self._write(edits)
        return step

    def redo(self) -> Step | None:
        """Make the step that was taken back last again, and give it; None if there is none."""
        step = self._history.redo()
        if step is not None:
            self._write(step.edits)
        return step

    # Below ----------------------------------------------------------------------------------------

    def _write(self, edits: Sequence[PixelEdit]) -> None:
        try:
            self.labels.write(*edits)
        finally:  # where the disk is full, undo takes back what was written
            self._tell(edits)

    def _tell(self, edits: Iterable[PixelEdit]) -> None:
        for edit in edits:
            self.edited.emit(edit)
        self.changed.emit(self.state)

    def _push(self, step: Step, at_work: AtWork) -> None:
        self._history.push(step, replace(self.state, at_work=at_work))
        self.changed.emit(self.state)

    def _work_on(
        self,
        title: str,
        plane: Plane | None,
        work: PlaneWork | None = None,
        prompts: PlacedPrompts | None = None,
    ) -> None:
        at_work = self.at_work
        if plane is not None and work is not None:
            at_work = with_plane(at_work, plane, work)
        if prompts is not None:
            at_work = replace(at_work, prompts=prompts)
        self._push(Step(title, plane=plane), at_work)

    def _change_pixels(
        self,
        title: str,
        edits: Sequence[PixelEdit],
        at_work: AtWork,
        records: Mapping[int, ObjectRecord],
        *,
        drop: Sequence[ObjectRecord] = (),
        plane: Plane | None = None,
    ) -> None:
        """Write edits; the given records gain and lose their pixels with them."""
        strays = {k: v for k, v in self.state.strays.items() if k not in records}
        state = replace(
            self.state,
            at_work=at_work,
            objects={**self.state.objects, **records},
            strays=strays,
        )
        state = account(state, edits)
        gone = {record.object_id for record in drop}
        objects = {k: v for k, v in state.objects.items() if k not in gone and v.area > 0}
        self._history.push(Step(title, tuple(edits), plane), replace(state, objects=objects))
        self._write(edits)

    def _define_classes(
        self, title: str, classes: tuple[ObjectClass, ...], names: Mapping[str, str]
    ) -> None:
        """Take on classes, and their new names where objects have the old ones."""
        state = self.state
        if classes == state.classes:
            return
        objects = {k: reclassed(record, names) for k, record in state.objects.items()}
        at_work, original = state.at_work, state.at_work.original
        if original is not None:
            original = replace(original, record=reclassed(original.record, names))
            at_work = replace(at_work, original=original)
        state = replace(state, at_work=at_work, objects=objects, classes=classes)
        self._history.push(Step(title), state)
        self.changed.emit(state)

    def _set_records(self, title: str, records: Sequence[ObjectRecord]) -> None:
        changed = {record.object_id: record for record in records}
        state = replace(self.state, objects={**self.state.objects, **changed})
        self._history.push(Step(title), state)
        self.changed.emit(state)

    def _record_or_stray(self, object_id: int) -> ObjectRecord:
        return self.state.strays.get(object_id) or self._record(object_id)

    def _record(self, object_id: int) -> ObjectRecord:
        try:
            return self.state.objects[object_id]
        except KeyError:
            raise PromptError(
                f"There is no object {object_id} in the table. Choose one that is."
            ) from None

    def _next_object(self, prompts: PlacedPrompts | None = None) -> AtWork:
        highest = max(self.state.highest, self.at_work.object_id)
        return AtWork(highest + 1, prompts or PlacedPrompts())

    def _mask_of(self, work: PlaneWork) -> PackedMask:
        return work.compose(self._predicted(work))

    def _predicted(self, work: PlaneWork) -> PackedMask:
        answer = work.answer
        if answer is None or not answer.candidates:
            return PackedMask(work.shape)
        return self._tidied(answer)

    def _tidied(self, answer: Answer) -> PackedMask:
        """Give the chosen mask, cleaned up unless the user gave it."""
        return answer.tidied(answer.mask, self.cleanup)

    def _reopened(self, work: PlaneWork | None, mask: PackedMask) -> PlaneWork:
        """Give back the answer, with what differs from it as corrections by hand."""
        if work is None or work.answer is None:
            return taken_from(mask)
        predicted = self._predicted(work)
        return replace(work, added=(mask - predicted) or None, removed=(predicted - mask) or None)
