from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_sam2.model import Sam2
from napari_sam2.session import contrast
from napari_sam2.session.contrast import Contrast, contrast_of
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.plane_image import LastRead, PlaneImage
from napari_sam2.session.track_progress import TrackProgress
from napari_sam2.session.tracks import PropagationOptions, StopRules, TrackedMask, TrackedObject
from tests.session.clips import (
    CLICK,
    Clip,
    CountingSegmenter,
    ScriptedFollower,
    frames_of,
    run,
)

SHAPE = (60, 80)


def disc(radius: int = 8, y: int = 30, x: int = 40) -> NDArray[np.bool_]:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - y, columns - x) <= radius


@pytest.mark.parametrize(("ground", "light"), [(10, 50), (50, 10)])
@pytest.mark.parametrize("colours", [0, 3])
def test_the_difference_to_what_is_around(ground: int, light: int, colours: int) -> None:
    plane = np.where(disc(), ground + light - ground, ground).astype(np.uint16)
    plane = np.repeat(plane[..., None], colours, -1) if colours else plane
    plane[:5] = 999  # too far away to count
    found = contrast_of(PlaneImage.of("p", plane), PackedMask.of(disc()))
    assert found == Contrast(light - ground, 0.0)
    assert found.is_clear


def test_texture_is_no_contrast() -> None:
    noise = np.random.default_rng(0).normal(100, 20, SHAPE)
    found = contrast_of(PlaneImage.of("p", noise), PackedMask.of(disc()))
    assert found is not None
    assert not found.is_clear


def test_what_fills_the_plane_has_nothing_around_it() -> None:
    image = PlaneImage.of("p", np.zeros(SHAPE))
    assert contrast_of(image, PackedMask.of(np.ones(SHAPE, bool))) is None
    assert contrast_of(image, PackedMask(SHAPE)) is None


def test_a_coarser_level_does_as_well() -> None:
    side = 1200
    rows, columns = np.ogrid[:side, :side]
    mask = np.hypot(rows - 600, columns - 600) < 400
    plane = np.where(mask, 90.0, 20.0)
    steps = []

    def read(region: tuple[int, int, int, int], step: float) -> tuple[NDArray[np.float64], ...]:
        steps.append(step)
        y0, x0, y1, x1 = region
        return (plane[y0:y1, x0:x1][::4, ::4],)

    found = contrast_of(PlaneImage("p", plane.shape, read), PackedMask.of(mask))
    assert steps[0] > 3
    assert found is not None
    assert found.difference == pytest.approx(70, rel=0.03)


def test_a_huge_object_costs_no_more_than_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an array, too, which is always read as it is."""
    rows, columns = np.ogrid[:4000, :4000]
    mask = np.hypot(rows - 2000, columns - 2000) < 1500
    sides, dilate = [], contrast.ndimage.binary_dilation

    def spy(part: NDArray[np.bool_], **options: int) -> NDArray[np.bool_]:
        sides.extend(part.shape)
        assert options["iterations"] < 100
        return dilate(part, **options)

    monkeypatch.setattr(contrast.ndimage, "binary_dilation", spy)
    plane = np.where(mask, 90, 20).astype(np.uint8)
    found = contrast_of(PlaneImage.of("p", plane), PackedMask.of(mask))
    assert max(sides) < 2 * contrast._SIDE
    assert found is not None
    assert found.difference == pytest.approx(70, rel=0.03)


def judge(differences: list[float], **rules: float | None) -> list[str]:
    """Follow a disc whose contrast falls, and tell what was said of each."""
    progress = TrackProgress(PropagationOptions(stop=StopRules(**rules)))  # type: ignore[arg-type]
    mask = PackedMask.of(disc())
    progress.trust(mask, Contrast(differences[0], 1.0))
    said = []
    for frame, difference in enumerate(differences[1:], start=1):
        one = TrackedMask(frame, 1, mask, object_score=3.0)
        _, found = progress.add(one, Contrast(difference, 1.0))
        said.append(found[-1].stop if found else "held")
        assert bool(found[-1].mask) == (not found[-1].stop)
        if found[-1].stop:
            break
    return said


def test_an_object_ends_where_it_fades() -> None:
    assert judge([100, 120, 100, 90, 80]) == ["", "", "", "it fades (67% of its contrast is left)"]
    assert judge([-100, -90, 20])[-1] == "it fades (0% of its contrast is left)"
    assert judge([100, 10, 5], min_contrast=None) == ["", ""]


def test_a_movie_may_bleach() -> None:
    assert set(judge([100 * 0.97**at for at in range(80)])) == {""}


def test_what_was_never_clear_cannot_fade() -> None:
    assert judge([0.2, 0.1, -0.3]) == ["", ""]


def test_frames_are_read_once_although_contrast_is_measured(tiny_model: Sam2) -> None:
    clip = Clip(6)
    segmenter = CountingSegmenter(tiny_model)
    one = TrackedObject(3, {2: CLICK})
    found = run(segmenter, clip, one, follower=ScriptedFollower(), direction="forward")
    assert frames_of(found) == [2, 3, 4, 5]
    assert clip.reads == dict.fromkeys((2, 3, 4, 5), 1)


def test_only_a_part_of_what_was_read_is_known() -> None:
    plane = np.arange(60 * 80).reshape(SHAPE)
    regions = []

    def read(region: tuple[int, int, int, int], _step: float) -> tuple[NDArray[np.int64], ...]:
        regions.append(region)
        y0, x0, y1, x1 = region
        return (plane[y0:y1, x0:x1],)

    last = LastRead(read)
    for region in ((10, 10, 40, 50), (12, 20, 30, 50), (0, 20, 30, 50), (10, 20, 20, 30)):
        y0, x0, y1, x1 = region
        np.testing.assert_array_equal(last(region, 1.0)[0], plane[y0:y1, x0:x1])
    assert regions == [(10, 10, 40, 50), (0, 20, 30, 50)]


def test_a_coarser_level_is_read_again() -> None:
    plane = np.zeros((100, 100))
    steps = []

    def read(_region: object, step: float) -> tuple[NDArray[np.float64], ...]:
        steps.append(step)
        return (plane[:: int(step), :: int(step)],)

    last = LastRead(read)
    last((0, 0, 100, 100), 4.0)
    assert last((0, 0, 100, 100), 1.0)[0].shape == (100, 100)
    assert steps == [4.0, 1.0]
