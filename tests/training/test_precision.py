from __future__ import annotations

import torch
from torch.nn import functional as F

from napari_sam2.training.precision import quick_matrices


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
