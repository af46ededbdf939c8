"""What holds of the memory whatever its weights; its numbers are checked by recordings."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.memory_attention import axial_rotation, rotate
from napari_sam2.model.outputs import FrameOutput, ImageFeatures
from napari_sam2.model.positional import sine_grid, sine_line
from napari_sam2.model.tracking import (
    NEAR_FRAMES,
    accept_mask,
    condition,
    decode_frame,
    encode_memory,
)
from tests.configs import TINY
from tests.fill_rule import fill_state_dict

CPU = torch.device("cpu")
SIDE = TINY.image_size
CLICK = torch.tensor([[[20.0, 30.0]]])
POSITIVE = torch.ones(1, 1, dtype=torch.int32)


def make_model(version: str = "2.1", object_score_bias: float = 2.0) -> Sam2:
    model = build_sam2(replace(TINY, version=version))
    weights = fill_state_dict(model.state_dict(), object_score_bias=object_score_bias)
    model.load_state_dict(weights)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> Sam2:
    return make_model()


def frame(model: Sam2, seed: int = 0) -> ImageFeatures:
    generator = torch.Generator().manual_seed(seed)
    return model.embed(torch.randn(1, 3, SIDE, SIDE, generator=generator))


def clicked(model: Sam2, features: ImageFeatures) -> FrameOutput:
    return decode_frame(model, model.without_memory(features), CLICK, POSITIVE)


def remembered(model: Sam2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Give a memory of a clicked frame, and the object pointer."""
    features = frame(model, seed)
    output = clicked(model, features)
    return encode_memory(model, features, output, is_prompted=True), output.object_pointer


def test_turning_keeps_lengths_and_knows_displacements_only() -> None:
    rotation = axial_rotation(8, 4, CPU)
    turned = rotate(torch.randn(1, 8).expand(16, 8), rotation)
    torch.testing.assert_close(turned.norm(dim=1), turned[:1].norm(dim=1).expand(16))
    products = turned @ turned.T
    torch.testing.assert_close(products[0, 5], products[5, 10])  # one down and one to the right
    torch.testing.assert_close(products[1, 3], products[12, 14])  # two to the right
    assert not torch.isclose(products[0, 1], products[0, 4])


def test_rows_come_first_in_the_encoding_of_a_grid() -> None:
    grid = sine_grid(8, 4, CPU)[0]
    assert (grid[:4] == grid[:4, :, :1]).all()
    assert (grid[4:] == grid[4:, :1]).all()
    torch.testing.assert_close(grid[:4, :, 0], grid[4:, 0, :])


def test_moments_are_sines_then_cosines() -> None:
    line = sine_line(torch.tensor([0.0, 1.0]), 8)
    assert line[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    torch.testing.assert_close(line[1, 0], torch.tensor(1.0).sin())


def test_the_order_of_memories_and_pointers_does_not_matter(model: Sam2) -> None:
    (a, p), (b, q) = remembered(model, 1), remembered(model, 2)
    now = frame(model)
    one = condition(model, now, [(a, 0), (b, 2)], [(p, 5), (q, 2)]).image_embed
    other = condition(model, now, [(b, 2), (a, 0)], [(q, 2), (p, 5)]).image_embed
    torch.testing.assert_close(one, other)


def test_how_long_ago_matters(model: Sam2) -> None:
    memory, pointer = remembered(model)
    now = frame(model, 1)
    seen = [
        condition(model, now, [(memory, ago)], [(pointer, 1)]).image_embed
        for ago in range(NEAR_FRAMES + 1)
    ]
    for index, one in enumerate(seen):
        assert not any(torch.allclose(one, other, atol=1e-3) for other in seen[:index])


@pytest.mark.parametrize(("version", "matters"), [("2.0", False), ("2.1", True)])
def test_pointers_have_a_time_since_2_1(version: str, matters: bool) -> None:
    model = make_model(version)
    memory, pointer = remembered(model)
    near, far = (
        condition(model, frame(model, 1), [(memory, 0)], [(pointer, ago)]).image_embed
        for ago in (1, 9)
    )
    assert torch.equal(near, far) != matters


def test_a_clip_of_one_frame_divides_by_no_zero(model: Sam2) -> None:
    memory, pointer = remembered(model)
    seen = condition(model, frame(model), [(memory, 0)], [(pointer, 0)], pointer_span=0)
    assert seen.image_embed.isfinite().all()


def test_memories_of_half_precision_need_no_pointer_beside_them(model: Sam2) -> None:
    memory, _ = remembered(model)
    now = frame(model, 1)
    half = condition(model, now, [(memory.bfloat16(), 0)], []).image_embed
    assert half.dtype == torch.float32
    torch.testing.assert_close(
        half, condition(model, now, [(memory.bfloat16().float(), 0)], []).image_embed
    )


def test_what_is_gone_has_no_pixel_and_no_pointer() -> None:
    model = make_model(object_score_bias=-50.0)
    output = clicked(model, frame(model))
    assert output.object_score < 0
    assert (output.low_res_masks == -1024).all()
    assert torch.equal(output.object_pointer, model.no_obj_ptr)


@pytest.mark.parametrize(("version", "differs"), [("2.0", False), ("2.1", True)])
def test_a_memory_says_that_the_object_was_gone_since_2_1(version: str, differs: bool) -> None:
    model = make_model(version)
    features = frame(model)
    here = clicked(model, features)
    gone = here._replace(object_score=-here.object_score)
    there, away = (
        encode_memory(model, features, output, is_prompted=False) for output in (here, gone)
    )
    assert torch.equal(there, away) != differs
    if differs:
        added = model.no_obj_embed_spatial.view(1, -1, 1, 1).expand_as(there)
        torch.testing.assert_close(away - there, added, atol=1e-5, rtol=1e-5)


def test_a_mask_of_the_user_counts_as_certain(model: Sam2) -> None:
    features = frame(model)
    output = clicked(model, features)
    surer = output._replace(low_res_masks=output.low_res_masks * 3)
    certain, same = (
        encode_memory(model, features, one, is_prompted=True) for one in (output, surer)
    )
    assert torch.equal(certain, same)
    guess, other = (
        encode_memory(model, features, one, is_prompted=False) for one in (output, surer)
    )
    assert not torch.allclose(guess, other)


def test_a_given_mask_is_the_answer(model: Sam2) -> None:
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 8:24, 16:40] = 1
    output = accept_mask(model, frame(model), mask)
    inside = output.low_res_masks > 0
    assert torch.equal(inside, mask[..., 2::4, 2::4] > 0)
    assert (output.object_score, output.iou_predictions) == (10, 1)
    empty = accept_mask(model, frame(model), torch.zeros_like(mask))
    assert empty.object_score == -10
    assert torch.equal(empty.object_pointer, model.no_obj_ptr)


def test_two_points_get_the_single_mask(model: Sam2) -> None:
    features = model.without_memory(frame(model))
    labels = torch.tensor([[1, 0]], dtype=torch.int32)
    coords = torch.tensor([[[20.0, 30.0], [50.0, 8.0]]])
    output = decode_frame(model, features, coords, labels)
    wanted = model.decode(frame(model), coords, labels, multimask=False)
    assert torch.equal(output.low_res_masks, wanted.low_res_masks)
    assert torch.equal(output.iou_predictions, wanted.iou_predictions[:, 0])


def test_several_objects_are_followed_at_once_as_one_by_one(model: Sam2) -> None:
    (a, p), (b, q) = remembered(model, 1), remembered(model, 2)
    now = frame(model)
    both = decode_frame(
        model, condition(model, now, [(torch.cat([a, b]), 0)], [(torch.cat([p, q]), 1)])
    )
    alone = decode_frame(model, condition(model, now, [(b, 0)], [(q, 1)]))
    torch.testing.assert_close(both.low_res_masks[1:], alone.low_res_masks, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(both.object_pointer[1:], alone.object_pointer)


def test_all_that_the_memory_uses_can_learn() -> None:
    model = make_model().requires_grad_(True)
    features = frame(model)
    mask = torch.zeros(1, 1, SIDE, SIDE)
    mask[..., 8:24, 16:40] = 1
    first = accept_mask(model, features, mask)
    memory = encode_memory(model, features, first, is_prompted=True)
    gone = encode_memory(
        model, features, first._replace(object_score=torch.tensor([-1.0])), is_prompted=True
    )
    memories = [(memory, 0), *((gone, ago) for ago in range(1, NEAR_FRAMES + 1))]
    output = decode_frame(model, condition(model, features, memories, [(first.object_pointer, 1)]))
    (output.low_res_masks.mean() + output.object_pointer.mean()).backward()
    idle = {
        name.split(".")[0]
        for name, parameter in model.named_parameters()
        if name.startswith(("memory_", "obj_ptr", "mask_downsample", "maskmem", "no_obj_embed"))
        and parameter.grad is None
    }
    assert idle == set()
