"""The image encoder's trunk: Hiera, windowed transformer blocks at four strides.

References
----------
Hiera (arXiv:2306.00989); SAM 2 (arXiv:2408.00714), "Image encoder".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam2.model.blocks import MLP
from napari_sam2.model.config import POOLED_STAGES, Sam2Config
from napari_sam2.model.windows import partition, unpartition

GLOBAL = 0  # the window of a block that attends to the whole grid
_PATCH_STRIDE = 4
_WINDOW_GRID = 8  # tokens along a side of the tiled position embedding
_EPS = 1e-6


class Hiera(nn.Module):
    """Pictures to features at strides 4, 8, 16 and 32.

    Parameters
    ----------
    embed_dim, num_heads : int
        Of the first stage; both double per stage.
    stages, window_spec : tuple of int
        Blocks and window side per stage.
    global_att_blocks : tuple of int
        Blocks without windows.
    pos_embed_grid : (int, int)
        Grid of the learnt background position embedding.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        stages: tuple[int, ...],
        global_att_blocks: tuple[int, ...],
        window_spec: tuple[int, ...],
        pos_embed_grid: tuple[int, int],
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, embed_dim, *pos_embed_grid))
        self.pos_embed_window = nn.Parameter(torch.zeros(1, embed_dim, _WINDOW_GRID, _WINDOW_GRID))
        self.blocks = nn.ModuleList()
        self._stage_ends: list[int] = []
        dim, heads = embed_dim, num_heads
        for stage, depth in enumerate(stages):
            for position in range(depth):
                changes_stage = position == 0 and stage > 0
                # A stage's first block still works in the windows of the stage before.
                window = window_spec[stage - 1 if changes_stage else stage]
                if len(self.blocks) in global_att_blocks:
                    window = GLOBAL
                dim_out = dim * 2 if changes_stage else dim
                heads = heads * 2 if changes_stage else heads
                pools = changes_stage and stage <= POOLED_STAGES
                self.blocks.append(Block(dim, dim_out, heads, window, pools))
                dim = dim_out
            self._stage_ends.append(len(self.blocks) - 1)

    @classmethod
    def from_config(cls, config: Sam2Config) -> Hiera:
        """Build the trunk of a model."""
        return cls(
            embed_dim=config.embed_dim,
            num_heads=config.num_heads,
            stages=config.stages,
            global_att_blocks=config.global_att_blocks,
            window_spec=config.window_spec,
            pos_embed_grid=config.pos_embed_grid,
        )

    def position_embedding(self, height: int, width: int) -> Tensor:
        """Give the position embedding of a token grid, (1, H, W, C); H, W are multiples of 8."""
        # Apple's graphics have no bicubic interpolation before torch 2.6 (pytorch#136123).
        source = self.pos_embed.cpu() if self.pos_embed.device.type == "mps" else self.pos_embed
        background = F.interpolate(source, size=(height, width), mode="bicubic")
        background = background.to(self.pos_embed.device)
        tiles = (1, 1, height // _WINDOW_GRID, width // _WINDOW_GRID)
        return (background + self.pos_embed_window.tile(tiles)).permute(0, 2, 3, 1)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Encode normalised pictures.

        Parameters
        ----------
        pixels : Tensor, shape (B, 3, S, S)
            S is a multiple of 32.

        Returns
        -------
        list of 4 Tensor, shapes (B, C_i, S/4, S/4) ... (B, C_i, S/32, S/32)
            The output of each stage's last block, finest first.
        """
        x = self.patch_embed(pixels)  # (B, S/4, S/4, C)
        return self.run_blocks(x + self.position_embedding(x.shape[1], x.shape[2]))

    def run_blocks(self, x: Tensor) -> list[Tensor]:
        """Run the blocks on placed tokens (B, S/4, S/4, C); output as that of the trunk."""
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self._stage_ends:
                outputs.append(x.permute(0, 3, 1, 2))  # (B, C_i, H_i, W_i)
        return outputs


class PatchEmbed(nn.Module):
    """Overlapping 7x7 patches every 4 pixels to tokens."""

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=7, stride=_PATCH_STRIDE, padding=3)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map (B, 3, S, S) to (B, S/4, S/4, C)."""
        out: Tensor = self.proj(pixels).permute(0, 2, 3, 1)
        return out


class Block(nn.Module):
    """Attention in windows, then an MLP; a pooling block halves the grid."""

    def __init__(self, dim: int, dim_out: int, num_heads: int, window: int, pools: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=_EPS)
        self.attn = MultiScaleAttention(dim, dim_out, num_heads, pools)
        self.norm2 = nn.LayerNorm(dim_out, eps=_EPS)
        self.mlp = MLP(dim_out, dim_out * 4, dim_out, num_layers=2, activation=nn.GELU)
        if dim != dim_out:
            self.proj = nn.Linear(dim, dim_out)
        self._changes_width = dim != dim_out
        self._window = window
        self._pools = pools

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H', W', C')."""
        normed = self.norm1(x)
        skip = x
        if self._changes_width:  # the skip branch starts from the normalised input
            skip = self.proj(normed)
            skip = pool_grid(skip) if self._pools else skip
        x = skip + self._attend(normed, (skip.shape[1], skip.shape[2]))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def _attend(self, x: Tensor, size_out: tuple[int, int]) -> Tensor:
        if self._window == GLOBAL:
            out: Tensor = self.attn(x)
            return out
        windows, padded = partition(x, self._window)
        windows = self.attn(windows)
        shrink = 2 if self._pools else 1
        padded = (padded[0] // shrink, padded[1] // shrink)
        return unpartition(windows, self._window // shrink, padded, size_out)


class MultiScaleAttention(nn.Module):
    """Multi-head self-attention whose queries may be max-pooled 2x2."""

    def __init__(self, dim: int, dim_out: int, num_heads: int, pools: bool) -> None:
        super().__init__()
        self.qkv = nn.Linear(dim, dim_out * 3)
        self.proj = nn.Linear(dim_out, dim_out)
        self._num_heads = num_heads
        self._pools = pools

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, H, W, C) to (B, H', W', C'); each entry of B is a window or a whole grid."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self._num_heads, -1)
        q, k, v = qkv.unbind(2)  # (B, H*W, heads, C/heads) each
        if self._pools:
            q = pool_grid(q.reshape(batch, height, width, -1))
            height, width = q.shape[1], q.shape[2]
            q = q.view(batch, height * width, self._num_heads, -1)
        x = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        x = x.transpose(1, 2).reshape(batch, height, width, -1)  # (B, H', W', C')
        out: Tensor = self.proj(x)
        return out


def pool_grid(x: Tensor) -> Tensor:
    """Max-pool a grid 2x2: (B, H, W, C) to (B, H/2, W/2, C)."""
    pooled = F.max_pool2d(x.permute(0, 3, 1, 2), kernel_size=2, stride=2)
    return pooled.permute(0, 2, 3, 1)
