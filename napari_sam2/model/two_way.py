"""The two-way transformer: tokens and image look at each other.

References
----------
SAM (arXiv:2304.02643), "Mask decoder".
"""

from __future__ import annotations

from torch import Tensor, nn

from napari_sam2.model.attention import Attention
from napari_sam2.model.blocks import MLP

_NUM_HEADS = 8
_MLP_DIM = 2048
_CROSS_DOWNSAMPLE = 2


class TwoWayTransformer(nn.Module):
    """Layers of token self-attention and cross-attention both ways; a last look at the image."""

    def __init__(self, dim: int, depth: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayBlock(dim, is_first=i == 0) for i in range(depth))
        self.final_attn_token_to_image = Attention(dim, _NUM_HEADS, _CROSS_DOWNSAMPLE)
        self.norm_final_attn = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, image: Tensor, image_pe: Tensor) -> tuple[Tensor, Tensor]:
        """Update the tokens and the image.

        Parameters
        ----------
        tokens : Tensor, shape (B, N, C)
            Output tokens and prompts; they also serve as their own position encoding.
        image : Tensor, shape (B, H*W, C)
            Image embedding with the dense prompts added.
        image_pe : Tensor, shape (1, H*W, C)
            Position encoding of the grid.

        Returns
        -------
        tokens, image : Tensor
            Of the same shapes.
        """
        q, keys = tokens, image
        for layer in self.layers:
            q, keys = layer(q, keys, tokens, image_pe)
        q = q + self.final_attn_token_to_image(q + tokens, keys + image_pe, keys)
        return self.norm_final_attn(q), keys


class TwoWayBlock(nn.Module):
    """Self-attention of the tokens, tokens to image, MLP, image to tokens."""

    def __init__(self, dim: int, is_first: bool) -> None:
        super().__init__()
        self.self_attn = Attention(dim, _NUM_HEADS)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, _NUM_HEADS, _CROSS_DOWNSAMPLE)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, _MLP_DIM, dim, num_layers=2)
        self.norm3 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, _NUM_HEADS, _CROSS_DOWNSAMPLE)
        self.norm4 = nn.LayerNorm(dim)
        self._is_first = is_first

    def forward(
        self, q: Tensor, keys: Tensor, q_pe: Tensor, keys_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (B, N, C) and image (B, H*W, C)."""
        if self._is_first:  # the tokens are their own position encoding: no addition, no residual
            q = self.self_attn(q, q, q)
        else:
            q = q + self.self_attn(q + q_pe, q + q_pe, q)
        q = self.norm1(q)
        placed = keys + keys_pe
        q = self.norm2(q + self.cross_attn_token_to_image(q + q_pe, placed, keys))
        q = self.norm3(q + self.mlp(q))
        keys = self.norm4(keys + self.cross_attn_image_to_token(placed, q + q_pe, q))
        return q, keys
