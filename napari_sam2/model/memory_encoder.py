"""A mask and its frame to a memory.

References
----------
SAM 2 (arXiv:2408.00714), "Memory encoder and memory bank".
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam2.model.blocks import LayerNorm2d

_DOWNSAMPLER_CHANNELS = (1, 4, 16, 64, 256)
_FUSER_LAYERS = 2


class MemoryEncoder(nn.Module):
    """Frame features and a mask, fused into `memory_dim` channels."""

    def __init__(self, d_model: int, memory_dim: int) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(d_model)
        self.pix_feat_proj = nn.Conv2d(d_model, d_model, kernel_size=1)
        self.fuser = Fuser(d_model)
        self.out_proj = nn.Conv2d(d_model, memory_dim, kernel_size=1)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Fuse a frame and a mask.

        Parameters
        ----------
        image : Tensor, shape (B, C, S/16, S/16)
            Stride-16 level, as the neck gives it.
        mask : Tensor, shape (B, 1, S, S)
            -10 outside to 10 inside the object.

        Returns
        -------
        Tensor, shape (B, memory_dim, S/16, S/16)
        """
        x = self.pix_feat_proj(image) + self.mask_downsampler(mask)
        out: Tensor = self.out_proj(self.fuser(x))
        return out


class MaskDownsampler(nn.Module):
    """Four strided convolutions and a projection: S x S mask logits to the stride-16 grid."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise(_DOWNSAMPLER_CHANNELS):
            layers += [nn.Conv2d(a, b, kernel_size=3, stride=2, padding=1), LayerNorm2d(b)]
            layers += [nn.GELU()]
        layers += [nn.Conv2d(_DOWNSAMPLER_CHANNELS[-1], d_model, kernel_size=1)]
        self.encoder = nn.Sequential(*layers)

    def forward(self, mask: Tensor) -> Tensor:
        """Map (B, 1, S, S) to (B, d_model, S/16, S/16)."""
        out: Tensor = self.encoder(mask)
        return out


class Fuser(nn.Module):
    """A stack of ConvNeXt blocks (arXiv:2201.03545)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvNeXtBlock(dim) for _ in range(_FUSER_LAYERS))

    def forward(self, x: Tensor) -> Tensor:
        """Update (B, dim, H, W)."""
        for layer in self.layers:
            x = layer(x)
        return x


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7 convolution and a pointwise MLP with layer scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm2d(dim)
        self.pwconv1 = nn.Linear(dim, dim * 4)
        self.pwconv2 = nn.Linear(dim * 4, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """Update (B, dim, H, W)."""
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)  # (B, H, W, dim)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        out: Tensor = x + y.permute(0, 3, 1, 2)
        return out
