"""The neck: trunk features of four strides to one width, and the image encoder around both.

References
----------
Feature pyramid networks (arXiv:1612.03144); SAM 2 (arXiv:2408.00714), "Image encoder".
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam2.model.hiera import Hiera


class FpnNeck(nn.Module):
    """1x1 convolutions to `d_model` channels; the stride-32 level is added into the stride-16 one.

    Parameters
    ----------
    d_model : int
        Output channels.
    trunk_dims : tuple of int
        Trunk channels, finest level first.
    """

    def __init__(self, d_model: int, trunk_dims: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(Lateral(dim, d_model) for dim in reversed(trunk_dims))

    def forward(self, stages: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Fuse the trunk's four levels into three, strides 4, 8 and 16, each (B, d_model, ., .)."""
        # convs are kept deepest level first
        coarse, stride16, stride8, stride4 = (
            conv(stage) for conv, stage in zip(self.convs, reversed(stages), strict=True)
        )
        # nearest-neighbour in float32 also under autocast
        top_down = F.interpolate(coarse.float(), scale_factor=2.0, mode="nearest")
        return stride4, stride8, stride16 + top_down


class Lateral(nn.Module):
    """One level's 1x1 convolution."""

    def __init__(self, dim: int, d_model: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, d_model, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, H, W) to (B, d_model, H, W)."""
        out: Tensor = self.conv(x)
        return out


class ImageEncoder(nn.Module):
    """Trunk and neck."""

    def __init__(self, trunk: Hiera, neck: FpnNeck) -> None:
        super().__init__()
        self.trunk = trunk
        self.neck = neck

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode (B, 3, S, S) into levels of strides 4, 8 and 16."""
        levels: tuple[Tensor, Tensor, Tensor] = self.neck(self.trunk(pixels))
        return levels
