from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from napari_sam2.training import precision
from napari_sam2.training.precision import is_quick, quick_matrices


def test_matrices_are_multiplied_in_bfloat16_only_inside() -> None:
    a = torch.randn(4, 4)
    with quick_matrices():
        assert (a @ a).dtype == torch.bfloat16
    assert (a @ a).dtype == torch.float32


def test_attention_is_the_same_to_bfloat16s_precision() -> None:
    q, k, v = torch.randn(3, 2, 2, 16, 8).requires_grad_()
    wanted = F.scaled_dot_product_attention(q, k, v)
    with quick_matrices():
        got = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(got.float(), wanted, atol=0.03, rtol=0.03)


@pytest.mark.parametrize(("seconds", "quick"), [((0.1, 0.2), True), ((0.2, 0.1), False)])
def test_a_processor_is_quick_if_a_try_is(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float], quick: bool
) -> None:
    times = dict(zip((torch.bfloat16, torch.float32), seconds, strict=True))
    monkeypatch.setattr(precision, "_seconds", lambda a: times[a.dtype])
    assert is_quick() is quick


def test_a_product_takes_time() -> None:
    assert 0 < precision._seconds(torch.rand(64, 64)) < 10
