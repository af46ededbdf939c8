from __future__ import annotations

import pytest
import torch
from torch import Tensor

from napari_sam2.model.outputs import DecoderOutput
from napari_sam2.training.levels import GROUP, OBJECT, PART, in_order, levels_at
from napari_sam2.training.losses import decoder_loss

SIDE = 64


def planes() -> Tensor:
    """Give a cell with a nucleus, touching another one without, and a third one far away."""
    labels = torch.zeros(1, SIDE, SIDE, dtype=torch.int64)
    parts, groups = torch.zeros_like(labels), torch.zeros_like(labels)
    labels[0, 8:32, 8:32], labels[0, 8:32, 32:56], labels[0, 44:60, 44:60] = 1, 2, 3
    parts[0, 12:20, 12:20] = 7
    groups[0, 8:32, 8:56] = 5
    return in_order(labels, torch.cat([parts, groups])[None])


@pytest.mark.parametrize(
    ("x_y", "known"),
    [
        ((15.0, 15.0), [True, True, True]),
        ((28.0, 28.0), [False, True, True]),
        ((50.0, 50.0), [False, True, False]),
        ((3.0, 60.0), [False, False, False]),
    ],
    ids=["nucleus", "cell", "alone", "nowhere"],
)
def test_a_click_may_mean_all_that_contains_it(x_y: tuple[float, float], known: list[bool]) -> None:
    levels = levels_at(planes(), torch.tensor([0]), torch.tensor([x_y]))
    assert levels.known[0].tolist() == known
    areas = levels.targets.sum((-2, -1))[0] * 16
    wanted = {PART: 64, OBJECT: 256 if x_y[0] == 50 else 576, GROUP: 1152}
    assert all(areas[level] == wanted[level] for level in wanted if known[level])


def test_a_part_that_fills_its_object_is_no_other_thing() -> None:
    filled = planes()
    filled[0, PART, 8:31, 8:32] = 7
    levels = levels_at(filled, torch.tensor([0]), torch.tensor([[15.0, 15.0]]))
    assert levels.known[0].tolist() == [False, True, True]


def test_without_parts_and_groups_there_are_only_objects() -> None:
    labels = planes()[:, OBJECT]
    levels = levels_at(in_order(labels, None), torch.tensor([0]), torch.tensor([[15.0, 15.0]]))
    assert levels.known[0].tolist() == [False, True, False]


def shown(order: tuple[int, ...], truths: Tensor) -> DecoderOutput:
    """Give an answer whose single mask is the object, and its candidates these levels."""
    masks = torch.stack([truths[0, level] for level in (OBJECT, *order)])[None]
    return DecoderOutput(masks * 12 - 6, torch.ones(1, 4), torch.zeros(1, 4, 8), torch.zeros(1))


def test_candidates_are_asked_for_part_object_and_group_in_this_order() -> None:
    levels = levels_at(planes(), torch.tensor([0]), torch.tensor([[15.0, 15.0]]))
    target = levels.targets[:, OBJECT]
    right, wrong = (
        decoder_loss(shown(order, levels.targets), target, levels=levels)
        for order in ((PART, OBJECT, GROUP), (GROUP, PART, OBJECT))
    )
    assert right < wrong - 1


def test_where_one_truth_is_known_candidates_only_grow() -> None:
    several = levels_at(planes(), torch.tensor([0]), torch.tensor([[15.0, 15.0]]))
    one = several._replace(known=torch.tensor([[False, True, False]]))
    target = several.targets[:, OBJECT]
    losses = {
        order: decoder_loss(shown(order, several.targets), target, levels=one).item()
        for order in ((PART, OBJECT, GROUP), (GROUP, OBJECT, PART))
    }
    growing, shrinking = losses.values()
    assert 0 < shrinking - growing < 0.5, "weakly"
