from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.session.frames import frames_along
from napari_sam2.session.view import View

STACK = np.arange(4 * 5 * 6).reshape(4, 5, 6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_frames_are_cut_along_any_axis(axis: int) -> None:
    frames = frames_along(STACK, axis)
    assert len(frames) == STACK.shape[axis]
    for index, frame in enumerate(frames):
        plane = STACK.take(index, axis)
        assert frame.shape == plane.shape
        np.testing.assert_array_equal(frame.pixels(), plane)
        np.testing.assert_array_equal(frame.read((1, 2, 3, 4), 1.0)[0], plane[1:3, 2:4])


def test_colours_come_last() -> None:
    movie = np.zeros((4, 5, 6, 3), np.uint8)
    frames = frames_along(movie)
    assert len(frames) == 4
    assert frames[0].shape == (5, 6)
    assert frames[0].pixels().shape == (5, 6, 3)


def test_only_what_is_asked_for_is_read() -> None:
    class Recording:
        def __init__(self) -> None:
            self.shape = STACK.shape
            self.keys: list[Any] = []

        def __getitem__(self, key: Any) -> Any:
            self.keys.append(key)
            return STACK[key]

    stack = Recording()
    frames = frames_along(stack, 1)
    assert stack.keys == []
    frames[2].read((0, 1, 2, 3), 1.0)
    assert stack.keys == [(slice(0, 2), 2, slice(1, 3))]


def test_frames_of_two_stacks_are_not_the_same() -> None:
    one, same, other = frames_along(STACK)[0], frames_along(STACK)[0], frames_along(STACK)[1]
    assert len({one, same, other}) == 3


def test_all_frames_are_shown_alike() -> None:
    view = View.of_limits((0.0, 50.0))
    assert {frame.view for frame in frames_along(STACK, view=view)} == {view}


@pytest.mark.parametrize(
    ("shape", "axis"), [((5, 6), 0), ((4, 5, 6), 3), ((4, 5, 6), -1), ((2, 3, 4, 5), 0)]
)
def test_other_stacks_are_refused(shape: tuple[int, ...], axis: int) -> None:
    with pytest.raises(PromptError, match="3 axes"):
        frames_along(np.zeros(shape), axis)
