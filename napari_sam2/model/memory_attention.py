"""A frame looks at its memories. Only the parameters so far, so that checkpoints load whole.

References
----------
SAM 2 (arXiv:2408.00714), "Memory attention".
"""

from __future__ import annotations

from torch import nn


class MemoryAttention(nn.Module):
    """Layers of self-attention and of cross-attention to memories."""

    def __init__(self, d_model: int, memory_dim: int, num_layers: int, feedforward: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            MemoryAttentionLayer(d_model, memory_dim, feedforward) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(d_model)


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


class RopeAttention(nn.Module):
    """Single-head attention with rotary position encoding."""

    def __init__(self, d_model: int, key_dim: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(key_dim, d_model)
        self.v_proj = nn.Linear(key_dim, d_model)
        self.out_proj = nn.Linear(d_model, d_model)
