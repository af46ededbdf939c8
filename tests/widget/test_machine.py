"""Random annotation: the labels always equal a simple reference, and undo restores everything.

The reference keeps whole copies of everything after each step, which is what undo must bring back.
`pytest --machine-steps 10000` does more of it.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from napari.components import ViewerModel
from napari.layers import Labels, Layer, Points, Shapes
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_sam2.layers import label_data
from napari_sam2.layers.create import find_layers
from napari_sam2.layers.label_data import levels_of
from napari_sam2.session import level_labels
from napari_sam2.widget import SegmentWidget
from tests.fakes import HeldRunner, SquarePredict
from tests.session.test_level_labels import halved

SHAPE = (3, 14, 18)  # small, so that masks meet
SCALE, TRANSLATE = (2, 0.5, 0.5), (0, 10, 20)
STEPS = int(os.environ["MACHINE_STEPS"])
STEPS_A_RUN = 50

planes = st.integers(0, SHAPE[0] - 1)
rows, columns = st.integers(0, SHAPE[1] - 1), st.integers(0, SHAPE[2] - 1)
sides = st.integers(1, 6)
RADII = (3, 4, 2)  # of the candidates of `SquarePredict`


@dataclass
class Work:
    """The object at work: what was asked, chosen and painted, by plane where it differs."""

    points: list[tuple[int, int, int, int]] = field(default_factory=list)  # plane, y, x, polarity
    boxes: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    chosen: dict[int, int] = field(default_factory=dict)
    taken: dict[int, np.ndarray] = field(default_factory=dict)
    added: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, bool))
    removed: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, bool))
    answered: dict[int, list[tuple[int, ...]]] = field(default_factory=dict)  # to which prompts

    def prompts(self, plane: int) -> list[tuple[int, ...]]:
        return [prompt for prompt in [*self.boxes, *self.points] if prompt[0] == plane]

    def take_answers(self) -> None:
        """A new answer begins with its first candidate, in place of what was there before."""
        for plane in range(SHAPE[0]):
            if self.prompts(plane) and self.answered.get(plane) != self.prompts(plane):
                self.answered[plane] = self.prompts(plane)
                self.chosen.pop(plane, None)
                self.taken.pop(plane, None)

    def forget_answers(self) -> None:
        """What is asked no more has no answer any more, on whichever plane."""
        for plane in [plane for plane in self.answered if not self.prompts(plane)]:
            del self.answered[plane]
            self.chosen.pop(plane, None)

    def candidates(self, plane: int) -> list[np.ndarray]:
        boxes = [box[1:] for box in self.boxes if box[0] == plane]
        points = [point for point in self.points if point[0] == plane]
        if boxes:
            corners = [boxes[-1]]
        elif points:
            _, y, x, _ = points[0]
            corners = [(y - r, x - r, y + r + 1, x + r + 1) for r in RADII]
        else:
            return []
        masks = []
        for y0, x0, y1, x1 in corners:
            mask = np.zeros(SHAPE[1:], bool)
            mask[max(y0, 0) : y1, max(x0, 0) : x1] = True
            masks.append(mask)
        return masks

    def mask(self) -> np.ndarray:
        mask = np.zeros(SHAPE, bool)
        for plane in range(SHAPE[0]):
            candidates = self.candidates(plane)
            if candidates:
                mask[plane] = candidates[self.chosen.get(plane, 0)]
            elif plane in self.taken:
                mask[plane] = self.taken[plane]
        return (mask | self.added) & ~self.removed

    @property
    def is_empty(self) -> bool:
        return not (
            self.points or self.boxes or self.taken or self.added.any() or self.removed.any()
        )


@dataclass
class Model:
    """Everything that undo brings back."""

    labels: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, int))
    object_id: int = 1
    highest: int = 0
    work: Work = field(default_factory=Work)
    original: tuple[np.ndarray, Work | None] | None = None  # of an object opened again
    kept: dict[int, Work | None] = field(default_factory=dict)

    def forget_vanished(self) -> None:
        self.kept = {k: work for k, work in self.kept.items() if (self.labels == k).any()}

    def begin_next(self) -> None:
        self.highest = max(self.highest, self.object_id)
        self.object_id, self.work, self.original = self.highest + 1, Work(), None

    def commit(self, policy: str) -> bool:
        mask, own = self.work.mask(), self.labels == self.object_id
        if not mask.any() and not own.any():
            return False
        free = (self.labels == 0) | own
        if policy == "replace":
            free[:] = True
        elif policy == "keep":
            free |= ~np.isin(self.labels, list(self.kept))
        if not (mask & free & ~own).any() and not own.any():
            return False
        self.labels[mask & free] = self.object_id
        self.kept[self.object_id] = self.work
        self.forget_vanished()
        self.begin_next()
        return True

    def reopen(self, object_id: int) -> None:
        pixels = self.labels == object_id
        work = self.kept.pop(object_id)
        self.original = (pixels, work)
        self.labels[pixels] = 0
        self.object_id = object_id
        self.work = Work() if work is None else copy.deepcopy(work)
        self.work.added[:] = self.work.removed[:] = False
        for plane in range(SHAPE[0]):
            if work is not None and (self.work.candidates(plane) or plane in self.work.taken):
                continue
            self.work.taken.pop(plane, None)
            if pixels[plane].any():
                self.work.taken[plane] = pixels[plane]
        predicted = self.work.mask()
        self.work.added, self.work.removed = pixels & ~predicted, predicted & ~pixels

    def cancel(self) -> bool:
        if self.original is None:
            if self.work.is_empty:
                return False
            self.work = Work()
            return True
        pixels, work = self.original
        self.labels[pixels & (self.labels == 0)] = self.object_id
        self.kept[self.object_id] = work
        self.forget_vanished()
        self.begin_next()
        return True


class Annotating(RuleBasedStateMachine):
    """Drives a panel on a viewer without a window."""

    PATCHES: ClassVar[list[Any]] = []  # that make labels of another kind
    CAN_PAINT = True

    @initialize()
    def open_panel(self) -> None:
        for one in self.PATCHES:
            one.start()
        self.viewer = ViewerModel()
        self.image = self.viewer.add_image(np.zeros(SHAPE), scale=SCALE, translate=TRANSLATE)
        self.runner, self.predict = HeldRunner(), SquarePredict()
        self.panel = SegmentWidget(self.viewer, self.predict, self.runner)
        self.controller = self.panel.controller
        self.policy, self.is_settled = "keep", True
        self.model = Model()
        self.past: list[Model] = []
        self.future: list[Model] = []
        self.annotate()
        self.go_to(0)

    def teardown(self) -> None:
        if hasattr(self, "panel"):
            self.panel.close()
            self.panel.deleteLater()
            QApplication.sendPostedEvents(self.panel, QEvent.Type.DeferredDelete)
            for one in self.PATCHES:
                one.stop()

    # Doing ----------------------------------------------------------------------------------------

    def annotate(self) -> None:
        self.panel.panel.annotate.click()
        self.controller.document.policy = self.policy  # instead of that in the settings
        self.layers = find_layers(self.viewer, self.image)

    def settle(self) -> None:
        self.controller.refresh()  # the panel waits a moment, when undo has moved the slider
        self.runner.finish_all()
        self.model.work.take_answers()

    def step(self) -> Model:
        """Remember where we were, and give the model to change."""
        self.past.append(copy.deepcopy(self.model))
        self.future.clear()
        return self.model

    @property
    def plane(self) -> int:
        return int(self.viewer.dims.current_step[0])

    @rule(plane=planes)
    def go_to(self, plane: int) -> None:
        self.viewer.dims.set_point(0, plane * SCALE[0])
        self.controller.refresh()  # the panel waits a moment, for the slider to rest

    @rule()
    def wait_for_the_model(self) -> None:
        self.settle()

    @rule(y=rows, x=columns, polarity=st.sampled_from([1, 1, 0]))
    def click(self, y: int, x: int, polarity: int) -> None:
        plane = self.plane
        work = self.step().work
        work.points.append((plane, y, x, polarity))
        self.panel._annotation.tools.polarity = polarity
        self.layers.points.add((plane, y, x))

    @rule(y=rows, x=columns, height=sides, width=sides)
    def draw_box(self, y: int, x: int, height: int, width: int) -> None:
        plane = self.plane
        box = (y, x, min(y + height, SHAPE[1]), min(x + width, SHAPE[2]))
        work = self.step().work
        work.boxes.append((plane, *box))
        y0, x0, y1, x1 = box
        corners = [[plane, y0, x0], [plane, y0, x1], [plane, y1, x1], [plane, y1, x0]]
        self.layers.shapes.add_rectangles([np.array(corners)])

    @precondition(lambda self: self.model.work.points)
    @rule()
    def remove_the_last_point(self) -> None:
        work = self.step().work
        work.points.pop()
        work.forget_answers()
        self.layers.points.remove([len(self.layers.points.data) - 1])

    @rule(by=st.sampled_from([1, -1]))
    def cycle(self, by: int) -> None:
        self.settle()
        plane = self.plane
        count = len(self.model.work.candidates(plane))
        if count > 1:
            chosen = self.step().work.chosen
            chosen[plane] = (chosen.get(plane, 0) + by) % count
        self.controller.cycle(by)

    @rule(policy=st.sampled_from(["keep", "replace", "empty"]))
    def choose_policy(self, policy: str) -> None:
        self.policy = policy
        self.controller.document.policy = policy

    @rule()
    def commit(self) -> None:
        self.model.work.take_answers()  # it waits for them, and undo leads back to them
        before = copy.deepcopy(self.model)
        if self.model.commit(self.policy):
            self.past.append(before)
            self.future.clear()
        self.controller.commit()
        self.settle()

    @rule(y=rows, x=columns)
    def keep_another(self, y: int, x: int) -> None:
        self.click(y, x, 1)
        self.commit()

    @rule()
    def cancel(self) -> None:
        before = copy.deepcopy(self.model)
        if self.model.cancel():
            self.past.append(before)
            self.future.clear()
        self.controller.cancel()

    @rule()
    def undo(self) -> None:
        if self.past:
            self.future.append(self.model)
            self.model = self.past.pop()
        self.controller.undo()

    @rule()
    def redo(self) -> None:
        if self.future:
            self.past.append(self.model)
            self.model = self.future.pop()
        self.controller.redo()

    @precondition(lambda self: self.CAN_PAINT)
    @rule(y=rows, x=columns, side=sides, value=st.sampled_from([0, 1]))
    def paint_on_the_mask(self, y: int, x: int, side: int, value: int) -> None:
        self.settle()
        region = self.region(y, x, side) & (self.model.work.mask() != bool(value))
        if not region.any():
            return
        work = self.step().work
        work.added = (work.added | region) if value else (work.added & ~region)
        work.removed = (work.removed & ~region) if value else (work.removed | region)
        self.paint(self.layers.mask, region, value * self.model.object_id)

    @precondition(lambda self: self.CAN_PAINT)
    @rule(y=rows, x=columns, side=sides)
    def erase_and_paint_again(self, y: int, x: int, side: int) -> None:
        for value in (1, 0, 1):
            self.paint_on_the_mask(y, x, side, value)

    @precondition(lambda self: self.CAN_PAINT)
    @rule(y=rows, x=columns, side=sides, data=st.data())
    def paint_on_the_objects(self, y: int, x: int, side: int, data: st.DataObject) -> None:
        known = [0, self.model.object_id, 40, *sorted(self.model.kept)]
        value = data.draw(st.sampled_from(known))
        region = self.region(y, x, side) & (self.model.labels != value)
        if not region.any():
            return
        model = self.step()
        model.labels[region] = value
        model.highest = max(model.highest, value)
        model.forget_vanished()
        self.paint(self.layers.objects, region, value)

    def paint(self, layer: Labels, region: np.ndarray, value: int) -> None:
        layer.visible = True  # napari cannot paint on another
        layer.data_setitem(np.nonzero(region), value)

    def region(self, y: int, x: int, side: int) -> np.ndarray:
        region = np.zeros(SHAPE, bool)
        region[self.plane, y : y + side, x : x + side] = True
        return region

    @precondition(lambda self: self.model.kept)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        object_id = data.draw(st.sampled_from(sorted(self.model.kept)))
        model = self.step()
        model.labels[model.labels == object_id] = 0
        model.forget_vanished()
        self.controller.delete([object_id])

    @precondition(lambda self: len(self.model.kept) > 1)
    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        ids = st.sampled_from(sorted(self.model.kept))
        chosen = data.draw(st.lists(ids, min_size=2, max_size=3, unique=True))
        model = self.step()
        model.labels[np.isin(model.labels, chosen)] = min(chosen)
        model.kept[min(chosen)] = None
        model.forget_vanished()
        self.controller.merge(chosen)

    @precondition(lambda self: self.model.kept)
    @rule(data=st.data())
    def reopen(self, data: st.DataObject) -> None:
        self.settle()
        object_id = data.draw(st.sampled_from(sorted(self.model.kept)))
        if self.model.work.mask().any():
            before = copy.deepcopy(self.model)
            if self.model.commit(self.policy):
                self.past.append(before)
                self.future.clear()
            else:
                object_id = 0
        if object_id in self.model.kept:
            self.step().reopen(object_id)
        if object_id:
            self.controller.reopen(object_id)

    @rule(name=st.sampled_from(["micro", "tiny"]))
    def choose_a_model(self, name: str) -> None:
        self.settle()
        is_other = self.controller.answer is not None and self.controller.answer.model != name
        if is_other and self.model.work.candidates(self.plane):
            self.step().work.chosen.pop(self.plane, None)
        self.controller.use_model(name)
        self.settle()

    @rule(
        kind=st.sampled_from(["objects", "mask", "shapes", "points"]),
        act=st.sampled_from(["rename", "hide", "raise", "select"]),
    )
    def touch_a_layer(self, kind: str, act: str) -> None:
        layer: Layer = getattr(self.layers, kind)
        if act == "rename":
            layer.name = f"{layer.name}!"[-20:]
        elif act == "hide":
            layer.visible = not layer.visible
        elif act == "raise":
            self.viewer.layers.move(self.viewer.layers.index(layer), len(self.viewer.layers))
        else:
            self.viewer.layers.selection.active = layer

    @rule(kind=st.sampled_from(["mask", "shapes", "points"]))
    def delete_a_layer(self, kind: str) -> None:
        self.viewer.layers.remove(getattr(self.layers, kind))
        self.annotate()

    # Checking -------------------------------------------------------------------------------------

    @invariant()
    def the_objects_are_as_they_should_be(self) -> None:
        if not hasattr(self, "panel"):
            return
        if self.controller._commit_waits:
            return
        np.testing.assert_array_equal(pixels_of(self.layers.objects), self.model.labels)
        records = self.controller.document.state.objects
        assert {k: record.area for k, record in records.items()} == {
            k: int((self.model.labels == k).sum()) for k in self.model.kept
        }
        assert self.controller.object_id == self.model.object_id
        assert as_tuples(self.layers.points) == [point[:3] for point in self.model.work.points]
        assert self.layers.shapes.nshapes == len(self.model.work.boxes)

    @invariant()
    def the_mask_is_as_it_should_be(self) -> None:
        if not hasattr(self, "panel") or self.runner.busy:
            return
        wanted = self.model.work.mask() * self.model.object_id
        np.testing.assert_array_equal(pixels_of(self.layers.mask), wanted)


class AnnotatingInChunks(Annotating):
    """The same with labels in chunks, as if memory were short."""

    PATCHES: ClassVar = [patch.object(label_data, "SHARE", 0)]


class AnnotatingOnLevels(Annotating):
    """The same with coarser levels as well, on which napari does not paint."""

    PATCHES: ClassVar = [
        *AnnotatingInChunks.PATCHES,
        patch.object(label_data, "is_wide", lambda _: True),
        patch.object(level_labels, "_COARSEST", 8),
    ]
    CAN_PAINT = False


def pixels_of(layer: Labels) -> np.ndarray:
    """Give the pixels of a layer, once its coarser levels are seen to be right."""
    levels = [np.asarray(level) for level in levels_of(layer)]
    for finer, coarser in pairwise(levels):
        np.testing.assert_array_equal(coarser, halved(finer))
    return levels[0]


def as_tuples(layer: Points | Shapes) -> list[tuple[int, ...]]:
    return [tuple(round(float(value)) for value in row) for row in layer.data]


def steps(count: int) -> settings:
    return settings(
        max_examples=max(1, count // STEPS_A_RUN),
        stateful_step_count=STEPS_A_RUN,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        # A run of 50 steps shrinks for minutes.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )


Annotating.TestCase.settings = steps(STEPS)
AnnotatingInChunks.TestCase.settings = AnnotatingOnLevels.TestCase.settings = steps(STEPS // 10)


@pytest.mark.slow
@pytest.mark.usefixtures("qapp")
class TestAnnotating(Annotating.TestCase):
    pass


@pytest.mark.slow
@pytest.mark.usefixtures("qapp")
class TestAnnotatingInChunks(AnnotatingInChunks.TestCase):
    pass


@pytest.mark.slow
@pytest.mark.usefixtures("qapp")
class TestAnnotatingOnLevels(AnnotatingOnLevels.TestCase):
    pass
