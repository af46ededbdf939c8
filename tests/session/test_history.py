"""Undo in bounded memory, measured."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from napari_sam2.session.document import Document
from napari_sam2.session.labels import ArrayLabels
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.objects import Answer, PlacedPoint, PlacedPrompts
from napari_sam2.session.planes import Plane
from napari_sam2.session.prompts import LowResMask, Prompts

SIZE = (256, 256)
PLANE = Plane((0, 1), ())
LIMIT = 4_000_000


def noise(random: np.random.Generator) -> PackedMask:
    return PackedMask.of(random.random(SIZE) < 0.5)


def ask(document: Document, random: np.random.Generator) -> None:
    """Click, and be answered three candidates of 8 KB with logits of 32 KB."""
    at = float(random.uniform(0, 255))
    document.set_prompts(PlacedPrompts((PlacedPoint((at, at)),)), PLANE)
    logits = tuple(LowResMask.of(random.random((128, 128), np.float32)) for _ in range(3))
    masks = tuple(noise(random) for _ in range(3))
    prompts = Prompts(((at, at),), (1,))
    document.set_answer(PLANE, SIZE, Answer(prompts, masks, (0.9, 0.8, 0.7), logits))


def answers(document: Document, random: np.random.Generator) -> None:
    ask(document, random)


def kept_and_deleted(document: Document, random: np.random.Generator) -> None:
    ask(document, random)
    document.delete([document.commit()])


def painted(document: Document, random: np.random.Generator) -> None:
    document.paint_over({PLANE: (noise(random), noise(random))})


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("act", [answers, kept_and_deleted, painted])
def test_what_states_hold_is_bounded(act: Callable[..., None]) -> None:
    document = Document(ArrayLabels(np.zeros(SIZE, np.int32)), max_bytes=LIMIT)
    random = np.random.default_rng(0)
    act(document, random)
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(60):
        act(document, random)
    after, _ = tracemalloc.get_traced_memory()
    assert after - before < 1.2 * LIMIT
    steps = 0
    while document.undo() is not None:
        steps += 1
    assert steps > 10, "there is room for more than that"


def test_tables_of_many_objects_count() -> None:
    labels = np.zeros((100, 100), np.int32)
    document = Document(ArrayLabels(labels), max_bytes=1_000_000)
    random = np.random.default_rng(0)
    for _ in range(800):
        mask = np.zeros(labels.shape, bool)
        mask[random.integers(100), random.integers(100)] = True
        document.begin_from({PLANE: PackedMask.of(mask)})
        document.policy = "replace"
        document.commit()
    steps = 0
    while document.undo() is not None:
        steps += 1
    assert steps < 200
