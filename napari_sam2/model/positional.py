"""Position encoding of prompts and of the decoder's grid.

References
----------
Fourier features (arXiv:2006.10739); SAM (arXiv:2304.02643), "Prompt encoder".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class FourierPositionEncoding(nn.Module):
    """Sines and cosines of random projections of (x, y); the projection is in the checkpoint."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.randn(2, dim // 2))

    def forward(self, coords_xy: Tensor) -> Tensor:
        """Encode positions (..., 2), x before y, in [0, 1], as (..., dim)."""
        angle = (2 * coords_xy - 1) @ self.positional_encoding_gaussian_matrix
        angle = 2 * math.pi * angle
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def grid(self, side: int) -> Tensor:
        """Encode the pixel centres of a square grid, (1, dim, side, side)."""
        device = self.positional_encoding_gaussian_matrix.device
        centres = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        encoding: Tensor = self(torch.stack([x, y], dim=-1))  # (side, side, dim)
        return encoding.permute(2, 0, 1)[None]
