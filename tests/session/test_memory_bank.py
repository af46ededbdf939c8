from __future__ import annotations

import pytest
import torch

from napari_sam2.session.memory_bank import Memory, MemoryBank


def memory(frame: int) -> Memory:
    """Make one whose tensors say which frame they are of."""
    return Memory(
        torch.full((1, 2, 1, 1), float(frame), dtype=torch.bfloat16),
        torch.full((1, 4), float(frame)),
    )


def bank_of(tracked: range, prompted: tuple[int, ...] = (), num_frames: int = 100) -> MemoryBank:
    bank = MemoryBank(num_frames)
    for frame in prompted:
        bank.put_prompted(frame, memory(frame))
    for frame in tracked:
        bank.put_tracked(frame, memory(frame))
    return bank


def recalled(bank: MemoryBank, frame: int, direction: int) -> tuple[list, list]:
    return tuple(  # type: ignore[return-value]
        [(int(tensor.flatten()[0]), ago) for tensor, ago in aged]
        for aged in bank.recall(frame, direction)
    )


def test_a_frame_looks_at_the_prompted_and_the_last_six() -> None:
    memories, pointers = recalled(bank_of(range(1, 30), (0,)), 20, 1)
    assert memories == [(0, 0), (14, 6), (15, 5), (16, 4), (17, 3), (18, 2), (19, 1)]
    assert pointers == [(0, 20), *((20 - ago, ago) for ago in range(1, 16))]


def test_backward_the_past_is_above() -> None:
    memories, pointers = recalled(bank_of(range(5, 9), (9,)), 4, -1)
    assert memories == [(9, 0), (8, 4), (7, 3), (6, 2), (5, 1)]
    assert pointers == [(9, 5), (5, 1), (6, 2), (7, 3), (8, 4)]


def test_prompts_to_come_are_looked_at_but_give_no_pointer() -> None:
    memories, pointers = recalled(bank_of(range(0), (0, 9)), 4, 1)
    assert memories == [(0, 0), (9, 0)]
    assert pointers == [(0, 4)]


def test_a_frame_does_not_look_at_itself() -> None:
    memories, pointers = recalled(bank_of(range(3, 5), (0, 4)), 4, 1)
    assert memories == [(0, 0), (3, 1)]
    assert pointers == [(0, 4), (3, 1)]


@pytest.mark.parametrize(("num_frames", "span"), [(1, 0), (8, 7), (16, 15), (500, 15)])
def test_short_clips_have_fewer_pointers(num_frames: int, span: int) -> None:
    assert MemoryBank(num_frames).pointer_span == span


def test_a_prompt_replaces_what_was_tracked_and_is_not_overwritten() -> None:
    bank = bank_of(range(1, 4), (0,))
    bank.put_prompted(2, memory(20))
    bank.put_tracked(2, memory(30))
    assert bank.prompted_frames == (0, 2)
    assert recalled(bank, 4, 1)[0] == [(0, 0), (20, 0), (1, 3), (3, 1)]
    bank.drop_prompted(2)
    assert recalled(bank, 4, 1)[0] == [(0, 0), (1, 3), (3, 1)]


def test_only_what_can_still_be_seen_is_kept() -> None:
    bank = bank_of(range(1, 40), (0,))
    before = recalled(bank, 40, 1)
    bank.forget([(40, 1)])
    assert recalled(bank, 40, 1) == before
    assert len(bank) == 1 + 15
    memories, _ = bank.recall(34, 1)  # what lies further back has lost its features
    assert len(memories) == 1


def test_a_pass_to_come_keeps_its_memories_too() -> None:
    bank = bank_of(range(21, 60), (20,))
    backward = recalled(bank, 19, -1)
    bank.forget([(60, 1), (19, -1)])
    assert recalled(bank, 19, -1) == backward
    assert len(bank) == 1 + 15 + 14
    bank.forget([])
    assert len(bank) == 1


def test_bytes_are_counted() -> None:
    assert bank_of(range(1, 3), (0,)).nbytes == 3 * (2 * 2 + 4 * 4)
