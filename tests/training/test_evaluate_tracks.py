from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.tracks import PropagationOptions, TrackedMask, TrackedObject
from napari_sam2.training import evaluate_tracks as module
from napari_sam2.training.evaluate_tracks import (
    TrackScore,
    as_table,
    objects_of_stack,
    prompts_for,
    tracks_of_movie,
    volume_iou,
)

SHAPE = (5, 20, 24)


def stack() -> NDArray[np.int32]:
    """Object 3 on planes 1 to 3, object 7 on plane 4."""
    labels = np.zeros(SHAPE, np.int32)
    labels[1:4, 4:10, 4:10] = 3
    labels[4, 12:18, 12:18] = 7
    return labels


def test_objects_of_a_stack_are_known_where_they_are() -> None:
    truth = objects_of_stack(stack())
    assert {label: sorted(masks) for label, masks in truth.items()} == {3: [1, 2, 3], 7: [4]}
    assert all(mask.sum() == 36 for masks in truth.values() for mask in masks.values())


def test_tracks_of_a_movie_are_linked_by_place_not_by_number() -> None:
    labels = np.zeros(SHAPE, np.int32)
    for at, number in enumerate((1, 8, 2)):
        labels[at, 4 + at : 12 + at, 4:12] = number
    labels[1, 14:18, 14:18] = 1  # another one, with the number of the first
    (track,) = tracks_of_movie(labels).values()
    assert sorted(track) == [0, 1, 2]
    assert all(mask.sum() == 64 for mask in track.values())


def test_a_track_ends_where_the_next_object_is_another() -> None:
    labels = np.zeros(SHAPE, np.int32)
    labels[0, 2:10, 2:10] = 1
    labels[1, 9:20, 9:20] = 1  # touches it in one pixel
    (track,) = tracks_of_movie(labels).values()
    assert sorted(track) == [0]


def test_prompts_are_of_the_object() -> None:
    mask = stack()[2] == 3
    assert prompts_for(mask, "box").box == (4, 4, 10, 10)
    ((y, x),) = prompts_for(mask, "click").points
    assert mask[int(y), int(x)]
    given = prompts_for(mask, "mask").mask_prompt
    assert isinstance(given, PackedMask)
    assert (given.to_array() == mask).all()


def test_all_planes_count_together() -> None:
    truth = objects_of_stack(stack())[3]
    right = {at: PackedMask.of(mask) for at, mask in truth.items()}
    assert volume_iou(right, truth) == 1
    assert volume_iou({2: right[2]}, truth) == pytest.approx(1 / 3)
    assert volume_iou({**right, 0: right[1]}, truth) == pytest.approx(3 / 4)
    assert volume_iou({}, truth) == 0


def test_the_table_has_what_was_measured() -> None:
    scores = [TrackScore("box", "carry", iou, 3, 4) for iou in (0.25, 0.75)]
    lines = as_table({"stack": scores}).splitlines()
    assert lines[2:] == ["| stack | 2 | box | carry | 0.500 | 0.38 0.50 0.62 | 6 / 8 |"]


def test_a_stack_and_a_movie_are_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever finds every object on its prompted plane, and nowhere else, gets that share."""
    asked: list[tuple[int, str]] = []

    def found_at_once(
        _segmenter: object,
        frames: Sequence[object],
        objects: Sequence[TrackedObject],
        options: PropagationOptions,
    ) -> Iterator[TrackedMask]:
        assert len(frames) == SHAPE[0]
        for one in objects:
            ((at, _said),) = one.prompts.items()
            asked.append((at, options.method))
            yield TrackedMask(at, one.object_id, truth[one.object_id, at], "prompted")

    def known(_segmenter: object, _image: object, said: Prompts) -> tuple[PackedMask, float]:
        return next(iter(truth.values())), 0.9

    labels = stack()
    truth = {
        (label, at): PackedMask.of(mask)
        for label, masks in objects_of_stack(labels).items()
        for at, mask in masks.items()
    }
    monkeypatch.setattr(module, "propagate", found_at_once)
    monkeypatch.setattr(module, "first_mask", known)
    tifffile.imwrite(tmp_path / "s.tif", (labels > 0).astype(np.uint8) * 200)
    tifffile.imwrite(tmp_path / "s_label.tif", labels.astype(np.uint16))
    files = [str(tmp_path / "s.tif"), str(tmp_path / "s_label.tif")]
    monkeypatch.setattr(sys, "argv", ["evaluate_tracks", "--stack", *files])
    module.main()
    out = capsys.readouterr().out
    assert "| s | 2 | click | carry | 0.667 |" in out
    assert {at for at, _ in asked} == {2, 4}
