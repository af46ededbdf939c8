"""Position encodings: of prompts and the decoder's grid, of a frame's grid, of moments.

References
----------
Fourier features (arXiv:2006.10739); SAM (arXiv:2304.02643), "Prompt encoder"; the sines of
"Attention is all you need" (arXiv:1706.03762).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_LONGEST = 10_000.0  # of the wavelengths of the sines, times 2 pi
_EPSILON = 1e-6


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


def sine_grid(dim: int, side: int, device: torch.device) -> Tensor:
    """Encode the positions of a square grid by sines of many wavelengths.

    Rows in the first half of the channels and columns in the second; in each half even channels
    hold sines and odd ones cosines.

    Returns
    -------
    Tensor, shape (1, dim, side, side), float32
    """
    half = dim // 2
    counted = torch.arange(1, side + 1, dtype=torch.float32, device=device)
    position = counted / (side + _EPSILON) * (2 * math.pi)
    angle = position[:, None] / _divisors(half, device)  # (side, dim/2)
    line = torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)
    rows = line.T[:, :, None].expand(half, side, side)
    columns = line.T[:, None, :].expand(half, side, side)
    return torch.cat([rows, columns])[None]


def sine_line(positions: Tensor, dim: int) -> Tensor:
    """Encode numbers (N,) as (N, dim): the sines in the first half, then the cosines."""
    angle = positions[:, None] / _divisors(dim // 2, positions.device)
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def _divisors(count: int, device: torch.device) -> Tensor:
    """Give what positions are divided by, (count,): from 1 up, each value twice."""
    pair = torch.arange(count, dtype=torch.float32, device=device).div(2, rounding_mode="floor")
    return _LONGEST ** (2 * pair / count)
