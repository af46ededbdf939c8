"""Prompts to tokens and to a dense map.

References
----------
SAM (arXiv:2304.02643), "Prompt encoder"; SAM 2 (arXiv:2408.00714), "Prompt encoder and mask
decoder".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_sam2.model.blocks import LayerNorm2d
from napari_sam2.model.positional import FourierPositionEncoding

PADDING = -1  # the label of a token that is not a point
_NUM_POINT_KINDS = 4  # negative, positive, first and second box corner
_MASK_CHANNELS = 16


class PromptEncoder(nn.Module):
    """Points, box corners and mask logits, as the mask decoder takes them.

    Parameters
    ----------
    d_model : int
        Width of a token.
    image_size : int
        Side of the model input in pixels.
    feature_size : int
        Side of the stride-16 grid.
    """

    def __init__(self, d_model: int, image_size: int, feature_size: int) -> None:
        super().__init__()
        self.pe_layer = FourierPositionEncoding(d_model)
        self.point_embeddings = nn.ModuleList(
            nn.Embedding(1, d_model) for _ in range(_NUM_POINT_KINDS)
        )
        self.not_a_point_embed = nn.Embedding(1, d_model)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, _MASK_CHANNELS // 4, kernel_size=2, stride=2),
            LayerNorm2d(_MASK_CHANNELS // 4),
            nn.GELU(),
            nn.Conv2d(_MASK_CHANNELS // 4, _MASK_CHANNELS, kernel_size=2, stride=2),
            LayerNorm2d(_MASK_CHANNELS),
            nn.GELU(),
            nn.Conv2d(_MASK_CHANNELS, d_model, kernel_size=1),
        )
        self.no_mask_embed = nn.Embedding(1, d_model)
        self._image_size = image_size
        self._feature_size = feature_size

    def encode_points(self, coords_xy: Tensor, labels: Tensor) -> Tensor:
        """Turn points into tokens, one padding token behind them.

        Parameters
        ----------
        coords_xy : Tensor, shape (B, N, 2), float32
            (x, y) in pixels of the model input; 0 is the centre of the first pixel.
        labels : Tensor, shape (B, N), integer
            1 positive, 0 negative, 2 and 3 box corners, -1 padding.

        Returns
        -------
        Tensor, shape (B, N + 1, d_model)
            Without any point: (B, 0, d_model).
        """
        batch, count = labels.shape
        if count == 0:
            return coords_xy.new_zeros(batch, 0, self.no_mask_embed.embedding_dim)
        coords_xy = torch.cat([coords_xy + 0.5, coords_xy.new_zeros(batch, 1, 2)], dim=1)
        labels = torch.cat([labels, labels.new_full((batch, 1), PADDING)], dim=1)
        encoding = self.pe_layer(coords_xy / self._image_size)  # (B, N + 1, d_model)
        encoding = encoding * (labels != PADDING)[..., None]
        tables = [self.not_a_point_embed.weight, *self.point_embeddings.parameters()]
        out: Tensor = encoding + torch.cat(tables)[labels.long() + 1]
        return out

    def encode_mask(self, mask_logits: Tensor | None, batch: int) -> Tensor:
        """Turn mask logits (B, 1, S/4, S/4), or none, into a map (B, d_model, S/16, S/16)."""
        if mask_logits is not None:
            out: Tensor = self.mask_downscaling(mask_logits)
            return out
        side = self._feature_size
        return self.no_mask_embed.weight.view(1, -1, 1, 1).expand(batch, -1, side, side)

    def position_grid(self) -> Tensor:
        """Give the position encoding of the stride-16 grid, (1, d_model, S/16, S/16)."""
        return self.pe_layer.grid(self._feature_size)
