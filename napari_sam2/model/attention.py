"""Attention with separate projections, as in the mask decoder's transformer."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention that may work in a narrower inner width.

    Parameters
    ----------
    dim : int
        Width of queries, keys, values and output.
    num_heads : int
        Heads; they share `dim // downsample_rate` channels.
    downsample_rate : int
        How much narrower the inner width is.
    """

    def __init__(self, dim: int, num_heads: int, downsample_rate: int = 1) -> None:
        super().__init__()
        inner = dim // downsample_rate
        self.q_proj = nn.Linear(dim, inner)
        self.k_proj = nn.Linear(dim, inner)
        self.v_proj = nn.Linear(dim, inner)
        self.out_proj = nn.Linear(inner, dim)
        self._num_heads = num_heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from (B, N, C) to (B, M, C), giving (B, N, C)."""
        x: Tensor = F.scaled_dot_product_attention(
            self._split(self.q_proj(q)), self._split(self.k_proj(k)), self._split(self.v_proj(v))
        )
        x = x.transpose(1, 2).flatten(2)  # (B, N, inner)
        out: Tensor = self.out_proj(x)
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self._num_heads, -1).transpose(1, 2)  # (B, heads, N, C/h)
