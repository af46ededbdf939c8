from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_sam2.model.outputs import DecoderOutput
from napari_sam2.training.losses import DenseHead, decoder_loss, iou, mask_loss, object_loss

SIZE = 32


def disc(radius: float, y: float = 16, x: float = 15) -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return ((rows - y) ** 2 + (columns - x) ** 2).float().sqrt() < radius


def as_logits(mask: Tensor, sure: float = 6.0) -> Tensor:
    return (mask.float() * 2 - 1) * sure


def loss_of(shown: Tensor, truth: Tensor, background: float = 1.0) -> float:
    logits = as_logits(shown)[None, None]
    return mask_loss(logits, truth.float()[None, None], background).item()


# Masks

TRUTH = disc(6)
WRONG = {
    "empty": torch.zeros_like(TRUTH),
    "everything": torch.ones_like(TRUTH),
    "dilated": disc(8),
    "eroded": disc(4),
    "shifted": disc(6, 20, 18),
    "the background": ~TRUTH,
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("background", [1.0, 0.05])
def test_the_right_mask_is_best(wrong: Tensor, background: float) -> None:
    assert loss_of(TRUTH, TRUTH, background) < loss_of(wrong, TRUTH, background) - 0.1


@pytest.mark.parametrize("radius", [1.5, 3.0, 12.0])
def test_the_right_mask_is_best_at_every_size(radius: float) -> None:
    truth = disc(radius)
    right = loss_of(truth, truth)
    for wrong in (torch.zeros_like(truth), disc(radius + 2), disc(radius, 16, 18)):
        assert right < loss_of(wrong, truth)


def test_nothing_is_as_bad_as_twice_too_large() -> None:
    """An empty mask must be no easy way out, once the background counts in full."""
    assert loss_of(WRONG["empty"], TRUTH) > loss_of(disc(6 * 2**0.5), TRUTH)


def test_less_background_makes_an_empty_mask_relatively_worse() -> None:
    large, empty = disc(10), WRONG["empty"]
    early = loss_of(large, TRUTH, 0.05) - loss_of(empty, TRUTH, 0.05)
    late = loss_of(large, TRUTH) - loss_of(empty, TRUTH)
    assert early < late


def test_every_mask_of_a_batch_gets_its_own_loss() -> None:
    logits = torch.stack([as_logits(TRUTH), as_logits(~TRUTH)])[None]  # (1, 2, h, w)
    losses = mask_loss(logits, TRUTH.float()[None, None])
    assert losses.shape == (1, 2)
    assert losses[0, 0].item() == pytest.approx(loss_of(TRUTH, TRUTH))
    assert losses[0, 1].item() == pytest.approx(loss_of(~TRUTH, TRUTH))


def test_descending_finds_the_mask() -> None:
    logits = torch.zeros(1, 1, SIZE, SIZE, requires_grad=True)
    for _ in range(15):
        (gradient,) = torch.autograd.grad(
            mask_loss(logits, TRUTH.float()[None, None]).sum(), logits
        )
        logits = (logits - 200 * gradient).detach().requires_grad_()
    assert torch.equal(logits[0, 0] > 0, TRUTH)


# The decoder


def answer(*masks: Tensor, ious: tuple[float, ...] = (0.5,) * 4) -> DecoderOutput:
    return DecoderOutput(
        torch.stack([as_logits(mask) for mask in masks])[None],
        torch.tensor([ious]),
        torch.zeros(1, 4, 8),
        torch.zeros(1),
    )


def test_better_masks_have_a_lower_decoder_loss() -> None:
    target = TRUTH.float()[None]
    bad = disc(4)
    all_bad = decoder_loss(answer(bad, bad, bad, bad, ious=(0.4,) * 4), target)
    single = decoder_loss(answer(TRUTH, bad, bad, bad, ious=(1, 0.4, 0.4, 0.4)), target)
    candidate = decoder_loss(answer(bad, bad, TRUTH, bad, ious=(0.4, 0.4, 1, 0.4)), target)
    all_good = decoder_loss(answer(*[TRUTH] * 4, ious=(1,) * 4), target)
    assert all_good < single < all_bad
    assert all_good < candidate < all_bad


def test_which_candidate_is_right_does_not_matter() -> None:
    target, bad = TRUTH.float()[None], disc(3)
    places = [[bad] * i + [TRUTH] + [bad] * (2 - i) for i in range(3)]
    losses = [decoder_loss(answer(bad, *c, ious=(0.0,) * 4), target).item() for c in places]
    assert losses == pytest.approx([losses[0]] * 3)


def test_the_best_candidate_learns_most() -> None:
    """So that the three may come to answer differently."""
    shown = torch.stack([as_logits(disc(r), 1.0) for r in (6, 3, 5.5, 9)])[None].requires_grad_()
    target = TRUTH.float()[None]
    output = DecoderOutput(shown, torch.zeros(1, 4), torch.zeros(1, 4, 8), torch.zeros(1))
    (together,) = torch.autograd.grad(decoder_loss(output, target), shown)
    (alone,) = torch.autograd.grad(mask_loss(shown, target[:, None]).sum(), shown)
    share = together.abs().sum((-2, -1))[0] / alone.abs().sum((-2, -1))[0]
    single, low, best, high = share.tolist()
    assert single == pytest.approx(1)
    assert best > 1
    assert 0 < low == pytest.approx(high)
    assert high < 0.2


def test_predicted_ious_are_held_to_the_truth() -> None:
    target, half = TRUTH.float()[None], disc(6) & (torch.arange(SIZE) < 16)
    true = (half & TRUTH).sum().item() / TRUTH.sum().item()
    losses = [
        decoder_loss(answer(half, half, half, half, ious=(guess,) * 4), target).item()
        for guess in (0.0, true - 0.1, true, true + 0.1, 1.0)
    ]
    assert losses.index(min(losses)) == 2


def test_the_decoder_loss_reaches_every_output() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 4, SIZE, SIZE, generator=generator, requires_grad=True)
    ious = torch.rand(2, 4, generator=generator, requires_grad=True)
    output = DecoderOutput(logits, ious, torch.zeros(2, 4, 8), torch.zeros(2))
    decoder_loss(output, torch.stack([TRUTH, disc(3)]).float(), 0.3).backward()
    assert logits.grad is not None
    assert ious.grad is not None
    assert logits.grad.isfinite().all()
    assert (logits.grad.abs().sum((-2, -1)) > 0).all()
    assert (ious.grad != 0).all()


def test_a_sure_object_score_is_right_or_expensive() -> None:
    present = torch.tensor([1.0, 0.0])
    right, unsure, wrong = (
        object_loss(torch.tensor(scores), present).item()
        for scores in ([5.0, -5.0], [0.0, 0.0], [-5.0, 5.0])
    )
    assert 0 < right < unsure < wrong


def test_iou() -> None:
    a = torch.zeros(3, 4, 4, dtype=torch.bool)
    b = a.clone()
    a[0, :2], b[0, 1:3] = True, True  # one row of three in common
    a[1, 0] = True
    assert iou(a, b).tolist() == pytest.approx([1 / 3, 0.0, 1.0])


# The dense head

SIDE = 64  # of a window


def head_and_levels() -> tuple[DenseHead, tuple[Tensor, Tensor, Tensor]]:
    fine, middle, coarse = (torch.randn(2, 16, SIDE // s, SIDE // s) for s in (4, 8, 16))
    return DenseHead(16), (fine, middle, coarse)


def labels_of(*masks: Tensor) -> Tensor:
    labels = torch.zeros(2, SIDE, SIDE, dtype=torch.int64)
    for label, mask in enumerate(masks, start=1):
        labels[0][mask] = label
    return labels


def square(y: int, x: int, size: int) -> Tensor:
    mask = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    mask[y : y + size, x : x + size] = True
    return mask


@pytest.mark.parametrize(
    "labels",
    [
        labels_of(),
        labels_of(square(3, 3, 1)),
        labels_of(square(0, 0, SIDE)),
        labels_of(square(4, 4, 20), square(30, 30, 20)),
    ],
    ids=["no object", "one pixel", "all one object", "two objects"],
)
def test_the_dense_loss_is_finite_and_reaches_the_levels(labels: Tensor) -> None:
    head, levels = head_and_levels()
    for level in levels:
        level.requires_grad_()
    loss = head(levels, labels)
    loss.backward()
    assert loss.isfinite()
    for level in levels:
        assert level.grad is not None
        assert level.grad.isfinite().all()
        assert (level.grad != 0).any()
    for parameter in head.parameters():  # sameness needs two pixels to compare
        assert parameter.grad is None or parameter.grad.isfinite().all()


def test_the_dense_loss_learns_what_is_where() -> None:
    head, levels = head_and_levels()
    labels = labels_of(square(4, 4, 24), square(34, 30, 24))
    optimizer = torch.optim.Adam(head.parameters(), lr=0.03)
    losses = []
    for _ in range(10):
        loss = head(levels, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_centres_are_pointed_at_in_radii() -> None:
    from napari_sam2.training.losses import _offset_to_centre

    plane = torch.zeros(20, 20, dtype=torch.int64)
    plane[4:13, 6:15] = 5  # centre (8, 10), 81 pixels
    offset = _offset_to_centre(plane)  # (2, h, w)
    assert offset[:, 8, 10].tolist() == [0, 0]
    radius = (81 / 3.14) ** 0.5
    assert offset[:, 4, 14].tolist() == pytest.approx([4 / radius, -4 / radius])


def test_edges_are_where_objects_meet() -> None:
    from napari_sam2.training.losses import _dense_targets

    labels = labels_of(square(0, 0, 32) | square(0, 16, 32), square(0, 48, 16))
    foreground, edge, _, inside = _dense_targets(labels)
    assert foreground.shape == edge.shape == inside.shape == (2, SIDE // 4, SIDE // 4)
    assert torch.equal(foreground[0, :4].bool(), torch.ones(4, 16, dtype=torch.bool))
    assert edge[0, 1].nonzero()[:, 0].tolist() == [11, 12], "both sides of the border at 48"
    assert not edge[1].any()
    alone = labels_of(square(16, 16, 16))
    assert not (_dense_targets(alone)[1] > (alone[:, 1::4, 1::4] > 0)).any(), "beside the object"
    assert _dense_targets(alone)[1].sum() == 12, "the rim of 4 by 4"
