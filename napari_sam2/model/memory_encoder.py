"""A mask and its frame to a memory. Only the parameters so far, so that checkpoints load whole.

References
----------
SAM 2 (arXiv:2408.00714), "Memory encoder and memory bank".
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

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


class Fuser(nn.Module):
    """A stack of ConvNeXt blocks (arXiv:2201.03545)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvNeXtBlock(dim) for _ in range(_FUSER_LAYERS))


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7 convolution and a pointwise MLP with layer scale."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = LayerNorm2d(dim)
        self.pwconv1 = nn.Linear(dim, dim * 4)
        self.pwconv2 = nn.Linear(dim * 4, dim)
        self.gamma = nn.Parameter(torch.full((dim,), 1e-6))
