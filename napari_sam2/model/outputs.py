"""What the model's halves hand on."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ImageFeatures(NamedTuple):
    """An embedded plane: all that is needed of the picture for masks and the memory.

    Attributes
    ----------
    image_embed : Tensor, shape (B, C, S/16, S/16)
        The stride-16 level as the neck gives it; `Sam2.without_memory` and `tracking.condition`
        make of it what the decoder takes.
    high_res_features : tuple of Tensor, shapes (B, C/8, S/4, S/4) and (B, C/4, S/8, S/8)
        The finer levels after the decoder's `conv_s0` and `conv_s1`.
    picture : Tensor, shape (B, 3, S, S), float16, or None
        What was embedded, for a model with a refiner.
    """

    image_embed: Tensor
    high_res_features: tuple[Tensor, Tensor]
    picture: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that there are."""
        picture = () if self.picture is None else (self.picture,)
        return self.image_embed, *self.high_res_features, *picture

    def take(self, index: Tensor) -> ImageFeatures:
        """Give the features of the images at `index` (N,), one entry per prompt."""
        fine, middle = self.high_res_features
        picture = None if self.picture is None else self.picture[index]
        return ImageFeatures(self.image_embed[index], (fine[index], middle[index]), picture)


class DecoderOutput(NamedTuple):
    """All four masks of the decoder, before any choice.

    Attributes
    ----------
    low_res_masks : Tensor, shape (B, 4, S/4, S/4)
        Logits; 0 is the single mask, 1 to 3 are the candidates.
    iou_predictions : Tensor, shape (B, 4)
        In [0, 1].
    mask_tokens : Tensor, shape (B, 4, C)
        The tokens that made the masks; an object pointer is made from one of them.
    object_score : Tensor, shape (B,)
        Logit: above 0 there is an object.
    """

    low_res_masks: Tensor
    iou_predictions: Tensor
    mask_tokens: Tensor
    object_score: Tensor


class MaskOutput(NamedTuple):
    """The masks that a prompt gets.

    Attributes
    ----------
    low_res_masks : Tensor, shape (B, M, S/4, S/4)
        Logits; M is 3 for candidates, 1 for a single mask.
    iou_predictions : Tensor, shape (B, M)
        In [0, 1], in the decoder's order.
    object_score : Tensor, shape (B,)
        Logit: above 0 there is an object.
    """

    low_res_masks: Tensor
    iou_predictions: Tensor
    object_score: Tensor


class FrameOutput(NamedTuple):
    """The mask of an object on a frame, and what later frames may know of it.

    Attributes
    ----------
    low_res_masks : Tensor, shape (B, 1, S/4, S/4)
        Logits; far below 0 everywhere where there is no object.
    iou_predictions : Tensor, shape (B,)
        In [0, 1].
    object_score : Tensor, shape (B,)
        Logit: above 0 there is an object.
    object_pointer : Tensor, shape (B, C)
        What the object is, in one token.
    """

    low_res_masks: Tensor
    iou_predictions: Tensor
    object_score: Tensor
    object_pointer: Tensor
