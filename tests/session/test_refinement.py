from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.outputs import ImageFeatures, MaskOutput
from napari_sam2.model.refiner import REFINED_SIZE, Refined
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.propagation import propagate
from napari_sam2.session.refinement import (
    changed_logits,
    frame_around,
    framed,
    refine,
    see,
)
from napari_sam2.session.regions import FieldOfView
from napari_sam2.session.tracks import NEVER_STOP, PropagationOptions, TrackedObject
from tests.session.conftest import TINY

SIDE = 32  # of the coarse grid
PIXELS = 4 * SIDE
NOTHING = torch.zeros(0, 2), torch.zeros(0)


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    for y0, x0, y1, x1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


def clicks(*points: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(y, x) in coarse pixels, and the label."""
    coords = torch.tensor([[4.0 * x + 1.5, 4.0 * y + 1.5] for y, x, _ in points])
    return coords, torch.tensor([label for *_, label in points])


def box(y0: float, x0: float, y1: float, x1: float) -> tuple[torch.Tensor, torch.Tensor]:
    """From edge to edge, in coarse pixels."""
    coords = torch.tensor([[4 * x0 - 0.5, 4 * y0 - 0.5], [4 * x1 - 0.5, 4 * y1 - 0.5]])
    return coords, torch.tensor([2, 3])


class Constant(nn.Module):
    """A refiner that adds the same everywhere, and is always as sure."""

    def __init__(self, change: float, iou: float = 0.7) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 1, 1)
        self.added, self.told = change, iou
        self.seen: list[torch.Tensor] = []

    def forward(self, seen: torch.Tensor, logits: torch.Tensor, ious: torch.Tensor) -> Refined:
        assert {t.dtype for t in (seen, logits, ious)} == {self.stem.weight.dtype}
        self.seen.append(seen)
        change = torch.full_like(logits, self.added)
        return Refined(change, torch.full_like(ious, self.told))


# Frames


def test_a_frame_leaves_room_around_what_was_clicked() -> None:
    mask = mask_of((10, 12, 20, 18), (0, 26, 3, 32))
    y, x, side = frame_around(mask, *clicks((14, 14, 1)))
    assert side == 18  # 1.8 times the longer side
    assert (y, x) == (6, 6)


def test_without_a_click_in_it_the_largest_part_is_framed() -> None:
    mask = mask_of((10, 12, 20, 18), (0, 29, 2, 32))
    assert frame_around(mask, *NOTHING) == (6, 6, 18)
    assert frame_around(mask, *clicks((1, 30, 0))) == (6, 6, 18)


def test_all_that_was_clicked_is_in_the_frame() -> None:
    mask = mask_of((2, 2, 6, 6))
    y, x, side = frame_around(mask, *clicks((3, 3, 1), (20, 22, 1)))
    assert y <= 2 < 21 <= y + side
    assert x <= 2 < 23 <= x + side


def test_a_box_and_what_lies_in_it_are_framed() -> None:
    mask = mask_of((10, 10, 12, 12), (28, 28, 31, 32))
    assert frame_around(mask, *box(8, 8, 18, 14)) == (4, 2, 18)


@pytest.mark.parametrize("prompt", [clicks((16, 16, 1)), NOTHING])
def test_an_empty_mask_has_a_frame_too(prompt: tuple[torch.Tensor, torch.Tensor]) -> None:
    y, x, side = frame_around(mask_of(), *prompt)
    assert 8 <= side <= SIDE
    assert y <= 16 < y + side
    assert x <= 16 < x + side


def test_a_frame_is_never_much_larger_than_what_is_seen() -> None:
    assert frame_around(mask_of((0, 0, SIDE, SIDE)), *NOTHING) == (-4, -4, 40)


# What is seen


def test_the_object_fills_the_frame_and_beyond_the_picture_is_nothing() -> None:
    picture = torch.zeros(3, PIXELS, PIXELS)
    picture[:, :, 32:] = 1.0
    seen = see(picture, (0, -8, 16), *NOTHING)
    assert seen.shape == (8, REFINED_SIZE, REFINED_SIZE)
    inside = seen[3]
    assert not inside[:, : REFINED_SIZE // 2 - 1].any()
    assert inside[:, REFINED_SIZE // 2 + 1 :].all()
    assert not seen[:3, :, : REFINED_SIZE // 2 - 1].any()
    seen = see(picture, (0, 0, 16), *NOTHING)
    half = REFINED_SIZE // 2
    assert (seen[:3, :, : half - 2] < 0).all()
    assert (seen[:3, :, half + 2 :] > 0).all()


def test_contrast_does_not_depend_on_how_bright_a_picture_is() -> None:
    picture = torch.rand(3, PIXELS, PIXELS, generator=torch.Generator().manual_seed(0)) * 4
    seen, darker = (see(one, (8, 8, 16), *NOTHING)[:3] for one in (picture, picture / 2 - 1))
    torch.testing.assert_close(seen, darker, atol=0.3, rtol=0)
    assert seen.std() > 0.8


def test_a_flat_picture_gives_numbers() -> None:
    assert torch.isfinite(see(torch.ones(3, PIXELS, PIXELS), (0, 0, 16), *NOTHING)).all()


def test_clicks_are_spots_where_they_lie() -> None:
    seen = see(torch.zeros(3, PIXELS, PIXELS), (8, 8, 16), *clicks((12, 10, 1), (20, 22, 0)))
    for channel, (y, x) in ((4, (12, 10)), (5, (20, 22))):
        at = np.unravel_index(int(seen[channel].argmax()), (REFINED_SIZE, REFINED_SIZE))
        assert np.allclose(at, ((y - 8 + 0.5) * 4, (x - 8 + 0.5) * 4), atol=1)
        assert seen[channel].max() > 0.9
    assert not seen[6].any()  # no box


def test_a_box_is_seen_by_its_depth() -> None:
    depth = see(torch.zeros(3, PIXELS, PIXELS), (8, 8, 16), *box(12, 10, 16, 22))[6]
    inside = torch.zeros(REFINED_SIZE, REFINED_SIZE, dtype=torch.bool)
    inside[16:32, 8:56] = True
    assert torch.equal(depth > 0, inside)
    assert depth.min() < -0.9 < 0.9 < depth.max()


def test_the_mask_that_was_given_is_seen_where_it_lies() -> None:
    picture = torch.zeros(3, PIXELS, PIXELS)
    assert not see(picture, (8, -8, 16), *NOTHING)[7].any()
    given = torch.full((1, SIDE, SIDE), -20.0)
    given[0, 10:14, 0:6] = 3.0
    before = see(picture, (8, -8, 16), *NOTHING, given)[7]
    assert before.min() == -1.0
    assert before[20, 40] == pytest.approx(0.5)
    inside = torch.zeros(REFINED_SIZE, REFINED_SIZE, dtype=torch.bool)
    inside[8:24, 32:56] = True
    assert ((before > 0) != inside).sum() < 2 * (16 + 24)
    assert (before[:, :30] == -1).all()  # beyond the grid


def test_logits_beyond_the_grid_are_of_no_object() -> None:
    logits = torch.full((1, SIDE, SIDE), 3.0)
    shown = framed(logits, [(0, -8, 16)])
    assert shown.shape == (1, 1, REFINED_SIZE, REFINED_SIZE)
    assert (shown[0, 0, :, :30] < -7).all()
    assert (shown[0, 0, :, 34:] > 2.9).all()


# What becomes of the logits


@pytest.mark.parametrize("frame", [(4, 6, 12), (-5, 25, 16), (-4, -4, 40)])
def test_logits_change_in_their_frame_only(frame: tuple[int, int, int]) -> None:
    logits = torch.zeros(1, SIDE, SIDE)
    changed = changed_logits(logits, torch.ones(1, 1, REFINED_SIZE, REFINED_SIZE), [frame])
    y, x, side = frame
    expected = torch.zeros(SIDE, SIDE)
    expected[max(y, 0) : y + side, max(x, 0) : x + side] = 1
    torch.testing.assert_close(changed[0], expected)
    assert not logits.any()  # not written into


def test_what_is_changed_comes_back_where_it_was_seen() -> None:
    logits = torch.zeros(1, SIDE, SIDE)
    logits[0, 12, 20] = 8.0
    frame = (8, 10, 16)
    again = changed_logits(torch.zeros_like(logits), framed(logits, [frame]), [frame])
    assert int(again.argmax()) == int(logits.argmax())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_and_their_trust_come_from_the_refiner(dtype: torch.dtype) -> None:
    logits = torch.full((1, 2, SIDE, SIDE), -1.0)
    logits[:, 0, 10:20, 10:20] = 1.0
    ious = torch.tensor([[0.5, 0.6]], dtype=dtype)
    output = MaskOutput(logits.to(dtype), ious, torch.tensor([2.0]))
    prompt = tuple(part[None] for part in clicks((14, 14, 1)))
    refiner = Constant(1.5).to(dtype)
    model = SimpleNamespace(refiner=refiner)
    nothing = torch.zeros(0)
    features = ImageFeatures(nothing, (nothing, nothing), torch.zeros(1, 3, PIXELS, PIXELS).half())
    refined = refine(model, features, output, *prompt)  # type: ignore[arg-type]
    assert refine(model, features._replace(picture=None), output, *prompt) is output  # type: ignore[arg-type]
    assert refined.low_res_masks.dtype == refined.iou_predictions.dtype == dtype
    assert (refined.low_res_masks[0, 0] > 0).sum() == 18 * 18  # its frame
    assert refined.iou_predictions[0].tolist() == pytest.approx([0.6, 0.65], abs=0.005)
    assert refined.object_score is output.object_score
    assert len(refiner.seen) == 1  # both masks at once


# In a session


@pytest.fixture
def model() -> Sam2:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        built = build_sam2(replace(TINY, refiner_widths=(8, 16)))
    assert built.refiner is not None
    nn.init.constant_(built.refiner.change.bias, 3.0)
    return built


IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90), dtype=np.uint8)


@pytest.mark.parametrize(
    "prompts",
    [
        Prompts(((20.0, 30.0),), (1,)),
        Prompts(((20.0, 30.0), (50.0, 80.0)), (1, 0)),
        Prompts(box=(10.0, 15.0, 40.0, 70.0)),
    ],
)
def test_every_mask_is_refined_unless_the_official_predictor_is_wanted(
    model: Sam2, prompts: Prompts
) -> None:
    def logits(mode: str, refined: bool) -> np.ndarray:
        kept, model.refiner = model.refiner, model.refiner if refined else None
        field = FieldOfView("fixed", (0, 0, 60, 90)) if mode == "fixed" else FieldOfView("whole")
        request = Request(PlaneImage.of("plane", IMAGE), prompts, field=field)
        answer = ImageSegmenter(model).predict(request)
        model.refiner = kept
        return answer.low_res_masks

    assert np.array_equal(logits("whole", True), logits("whole", False))
    assert not np.array_equal(logits("fixed", True), logits("fixed", False))


def test_features_without_their_picture_are_of_use_still(model: Sam2) -> None:
    """A model gets its refiner after a plane was embedded."""
    segmenter = ImageSegmenter(model)
    refiner, model.refiner = model.refiner, None
    segmenter.segment(IMAGE, box=(10, 15, 40, 70), region=(0, 0, 60, 90))
    model.refiner = refiner
    assert segmenter.segment(IMAGE, box=(10, 15, 40, 70), region=(0, 0, 60, 90)).embed_was_cached


def given_to(refiner: nn.Module) -> list[torch.Tensor]:
    """Note what a refiner sees of the masks that were given."""
    seen: list[torch.Tensor] = []
    refiner.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][:, 7]))
    return seen


def test_a_correction_sees_the_mask_that_it_corrects(model: Sam2) -> None:
    assert model.refiner is not None
    seen, segmenter = given_to(model.refiner), ImageSegmenter(model)
    region = (0, 0, 60, 90)
    first = segmenter.segment(IMAGE, [(20, 30)], region=region, multimask=True)
    assert not torch.cat(seen).any()
    segmenter.segment(
        IMAGE, [(20, 30), (50, 80)], [1, 0], mask_logits=first.low_res_masks[0], region=region
    )
    assert seen[-1].any()


def test_a_second_question_sees_the_first_answer(model: Sam2) -> None:
    assert model.refiner is not None
    seen = given_to(model.refiner)
    ImageSegmenter(model).segment(IMAGE, [(20, 30)], region=(0, 0, 60, 90))
    first, again = seen
    assert not first.any()
    assert again.any()


@pytest.mark.parametrize("method", ["memory", "carry"])
def test_what_is_carried_on_is_seen(model: Sam2, method: str) -> None:
    """The memory gives no mask."""
    assert model.refiner is not None
    seen = given_to(model.refiner)
    options = PropagationOptions(method=method, stop=NEVER_STOP)  # type: ignore[arg-type]
    objects = [TrackedObject(1, {0: Prompts(((20.0, 30.0),), (1,))})]
    planes = [PlaneImage.of(str(i), np.roll(IMAGE, i)) for i in range(2)]
    assert len(list(propagate(ImageSegmenter(model), planes, objects, options))) == 2
    assert bool(seen[-1].any()) == (method == "carry")


@pytest.mark.parametrize("method", ["memory", "carry"])
@pytest.mark.parametrize("official", [False, True])
def test_what_is_followed_is_refined_unless_as_the_official_predictor(
    model: Sam2, method: str, official: bool
) -> None:
    def logits(refined: bool) -> list[np.ndarray]:
        kept, model.refiner = model.refiner, model.refiner if refined else None
        options = PropagationOptions(method=method, official=official, stop=NEVER_STOP)  # type: ignore[arg-type]
        objects = [TrackedObject(1, {0: Prompts(((20.0, 30.0),), (1,))})]
        frames = [np.repeat(np.roll(IMAGE, i)[..., None], 3, 2) for i in range(3)]
        planes = [PlaneImage.of(str(i), frame) for i, frame in enumerate(frames)]
        found = propagate(ImageSegmenter(model), planes, objects, options)
        masks = [each.mask.to_array() for each in found]
        model.refiner = kept
        return masks

    plain, refined = logits(False), logits(True)
    assert len(plain) == len(refined) == 3
    same = [np.array_equal(a, b) for a, b in zip(plain, refined, strict=True)]
    assert all(same) if official else not any(same[1:])
