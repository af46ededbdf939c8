from __future__ import annotations

import torch

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.refiner import REFINED_SIZE, Refiner, widths_in
from napari_sam2.model.sam2 import memory_keys, refiner_keys
from tests.configs import TINY

WIDTHS = (8, 16, 16)
COUNT = 3


def refiner(seed: int = 0) -> Refiner:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Refiner(WIDTHS)


def question() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Something to look at, some logits, and their predicted IoUs."""
    random = torch.Generator().manual_seed(1)
    size = REFINED_SIZE, REFINED_SIZE
    seen = torch.randn(COUNT, 8, *size, generator=random)
    return seen, torch.randn(COUNT, 1, *size, generator=random), torch.rand(COUNT)


def with_refiner() -> Sam2:
    model = build_sam2(TINY)
    model.add_refiner(WIDTHS)
    return model


def test_what_has_learnt_nothing_changes_nothing() -> None:
    refined = refiner()(*question())
    assert refined.change.shape == (COUNT, 1, REFINED_SIZE, REFINED_SIZE)
    assert not refined.change.any()
    assert refined.iou_predictions.shape == (COUNT,)
    assert ((refined.iou_predictions > 0) & (refined.iou_predictions < 1)).all()


def test_each_mask_is_looked_at_for_itself() -> None:
    model, (seen, logits, ious) = refiner(), question()
    torch.nn.init.normal_(model.change.weight)
    together, alone = model(seen, logits, ious), model(seen[1:2], logits[1:2], ious[1:2])
    torch.testing.assert_close(together.change[1:2], alone.change)
    torch.testing.assert_close(together.iou_predictions[1:2], alone.iou_predictions)


def test_all_that_it_sees_matters() -> None:
    model, (seen, logits, ious) = refiner(), question()
    torch.nn.init.normal_(model.change.weight)
    inputs = seen.requires_grad_(), logits.requires_grad_(), ious.requires_grad_()
    refined = model(*inputs)
    (refined.change.sum() + refined.iou_predictions.sum()).backward()  # type: ignore[no-untyped-call]
    for gradient in (seen.grad, logits.grad, ious.grad):
        assert gradient is not None
        assert gradient.any()
    assert all(part.any() for part in seen.grad.unbind(1))  # type: ignore[union-attr]


def test_a_model_has_one_only_when_asked() -> None:
    assert build_sam2(TINY).refiner is None
    model = with_refiner()
    assert model.config.refiner_widths == WIDTHS
    built = build_sam2(model.config)
    assert built.state_dict().keys() == model.state_dict().keys()


def test_its_keys_are_its_own() -> None:
    plain, model = build_sam2(TINY), with_refiner()
    added = model.state_dict().keys() - plain.state_dict().keys()
    assert refiner_keys(model.state_dict()) == added
    assert not memory_keys(added)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    assert widths_in(shapes) == WIDTHS
    assert widths_in({}) == ()


def test_features_come_with_the_picture_for_it() -> None:
    pixels = torch.randn(2, 3, TINY.image_size, TINY.image_size)
    assert build_sam2(TINY).embed(pixels).picture is None
    features = with_refiner().embed(pixels)
    assert features.picture is not None
    assert torch.equal(features.picture, pixels.half())
    some = features.take(torch.tensor([1, 1, 0]))
    assert some.picture is not None
    assert torch.equal(some.picture[2], pixels[0].half())
    assert len(features.tensors) == 4
