"""A frame looks at its memories.

References
----------
SAM 2 (arXiv:2408.00714), "Memory attention"; rotary position encoding (arXiv:2104.09864).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam2.model.positional import sine_grid

_POSITION_WEIGHT = 0.1  # of the frame's own position encoding
_ROPE_BASE = 10_000.0

Rotation = tuple[Tensor, Tensor]
"""Cosine and sine of each place of a grid and each pair of channels, (H*W, C/2) each."""


class MemoryAttention(nn.Module):
    """Layers of self-attention and of cross-attention to memories."""

    def __init__(self, d_model: int, memory_dim: int, num_layers: int, feedforward: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(d_model, memory_dim, feedforward) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(
        self, image: Tensor, memory: Tensor, memory_pos: Tensor, num_pointer_tokens: int
    ) -> Tensor:
        """Give the frame's features with what the memories say about them.

        Parameters
        ----------
        image : Tensor, shape (B, C, H, W)
            Stride-16 level of the frame, as the neck gives it; H = W.
        memory, memory_pos : Tensor, shape (B, T, M)
            Tokens of whole frames of H*W, then those of object pointers; and where and when
            they are.
        num_pointer_tokens : int
            How many of the last tokens are those of pointers.

        Returns
        -------
        Tensor, shape (B, C, H, W)
        """
        dim, side = image.shape[1], image.shape[-1]
        x = image + _POSITION_WEIGHT * sine_grid(dim, side, image.device).to(image.dtype)
        x = x.flatten(2).transpose(1, 2)  # (B, H*W, C)
        rotation = axial_rotation(dim, side, image.device)
        for layer in self.layers:
            x = layer(x, memory, memory + memory_pos, rotation, num_pointer_tokens)
        out: Tensor = self.norm(x).transpose(1, 2).unflatten(2, (side, side))
        return out


class MemoryAttentionLayer(nn.Module):
    """Self-attention, cross-attention to the memory bank, feed-forward; norms first."""

    def __init__(self, d_model: int, memory_dim: int, feedforward: int) -> None:
        super().__init__()
        self.self_attn = RopeAttention(d_model, d_model)
        self.cross_attn_image = RopeAttention(d_model, memory_dim)
        self.linear1 = nn.Linear(d_model, feedforward)
        self.linear2 = nn.Linear(feedforward, d_model)
        self.norm1 = nn.LayerNorm(d_model)
        self.norm2 = nn.LayerNorm(d_model)
        self.norm3 = nn.LayerNorm(d_model)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        placed_memory: Tensor,
        rotation: Rotation,
        num_pointer_tokens: int,
    ) -> Tensor:
        """Update the frame's tokens (B, H*W, C)."""
        y = self.norm1(x)
        x = x + self.self_attn(y, y, y, rotation)
        y = self.norm2(x)
        x = x + self.cross_attn_image(y, placed_memory, memory, rotation, num_pointer_tokens)
        hidden = F.relu(self.linear1(self.norm3(x)))
        out: Tensor = x + self.linear2(hidden)
        return out


class RopeAttention(nn.Module):
    """Single-head attention with rotary position encoding."""

    def __init__(self, d_model: int, key_dim: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(key_dim, d_model)
        self.v_proj = nn.Linear(key_dim, d_model)
        self.out_proj = nn.Linear(d_model, d_model)

    def forward(
        self, q: Tensor, k: Tensor, v: Tensor, rotation: Rotation, num_unplaced: int = 0
    ) -> Tensor:
        """Attend from a grid (B, H*W, C) to whole grids and `num_unplaced` tokens behind them."""
        q, k, v = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        placed, unplaced = k.tensor_split([k.shape[1] - num_unplaced], dim=1)
        grids = placed.unflatten(1, (-1, q.shape[1]))  # (B, frames, H*W, C)
        k = torch.cat([rotate(grids, rotation).flatten(1, 2), unplaced], dim=1)
        q = rotate(q, rotation)
        x = F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])  # one head
        out: Tensor = self.out_proj(x[:, 0])
        return out


def axial_rotation(dim: int, side: int, device: torch.device) -> Rotation:
    """Give the turn of each pair of channels at each place of a square grid, row by row.

    The first half of the pairs turns with the column, the second half with the row.
    """
    exponent = torch.arange(dim // 4, dtype=torch.float32, device=device) * 4 / dim
    frequency = _ROPE_BASE**-exponent  # (C/4,)
    place = torch.arange(side * side, device=device)
    x = (place % side).float()
    y = place.div(side, rounding_mode="floor").float()
    angle = torch.cat([x[:, None] * frequency, y[:, None] * frequency], dim=1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn neighbouring channels of (..., H*W, C) as pairs of coordinates, in float32."""
    cos, sin = rotation
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)  # (..., H*W, C/2)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2).type_as(x)
