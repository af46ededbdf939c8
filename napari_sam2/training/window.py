"""A model that looks at a window of its canvas: a quarter of the area, a quarter of the time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from napari_sam2.model import Sam2
from napari_sam2.model.config import BACKBONE_STRIDE, Sam2Config
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures

_PATCH = 4  # model pixels per trunk token
_PLACE = 32  # windows lie on multiples of this: the tiled position embedding's period


class Window:
    """As its model, with positions cut to the window's place, so that the geometry stays.

    Parameters
    ----------
    model : Sam2
        What is not said here is asked of it.
    offset : (int, int)
        Row and column of the window's corner on the canvas, in model pixels.
    side : int
        Of the window, in model pixels.
    """

    def __init__(self, model: Sam2, offset: tuple[int, int], side: int) -> None:
        self._model = model
        self._offset, self._side = offset, side
        self._offset_xy = torch.tensor([float(offset[1]), float(offset[0])])
        y, x, cells = (length // BACKBONE_STRIDE for length in (*offset, side))
        grid = model.sam_prompt_encoder.position_grid()
        self._grid = grid[:, :, y : y + cells, x : x + cells]
        self._cells = cells

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def config(self) -> Sam2Config:
        """The model's, with the window's size."""
        return replace(self._model.config, image_size=self._side)

    def neck_levels(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode normalised windows (B, 3, side, side) to the neck's levels, strides 4, 8, 16."""
        trunk = self._model.image_encoder.trunk
        tokens = trunk.patch_embed(pixels)  # (B, side/4, side/4, C)
        canvas = self._model.config.image_size // _PATCH
        y, x = (length // _PATCH for length in self._offset)
        height, width = tokens.shape[1:3]
        place = trunk.position_embedding(canvas, canvas)[:, y : y + height, x : x + width]
        levels: tuple[Tensor, Tensor, Tensor] = self._model.image_encoder.neck(
            trunk.run_blocks(tokens + place)
        )
        return levels

    def decode_as_is(
        self,
        features: ImageFeatures,
        coords_xy: Tensor,
        labels: Tensor,
        mask_logits: Tensor | None = None,
    ) -> DecoderOutput:
        """Decode as `Sam2.decode_as_is` does; points are pixels of the window."""
        encoder = self._model.sam_prompt_encoder
        if mask_logits is None:
            empty = encoder.no_mask_embed.weight.view(1, -1, 1, 1)
            dense = empty.expand(len(labels), -1, self._cells, self._cells)
        else:
            dense = encoder.encode_mask(mask_logits, len(labels))
        output: DecoderOutput = self._model.sam_mask_decoder(
            features,
            self._grid,
            encoder.encode_points(coords_xy + self._offset_xy, labels),
            dense,
        )
        return DecoderOutput(*(part.float() for part in output))


def random_place(canvas: int, side: int) -> tuple[int, int]:
    """Choose where on the canvas a window lies, with torch's generator."""
    places = (canvas - side) // _PLACE + 1
    y, x = torch.randint(places, (2,)).tolist()
    return y * _PLACE, x * _PLACE
