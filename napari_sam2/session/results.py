"""What comes back: the masks, with the question inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.prompts import Request


@dataclass(frozen=True, eq=False)
class Prediction:
    """Candidates for one request, best predicted IoU first.

    Attributes
    ----------
    request : Request
        The question that this answers.
    candidates : tuple of PackedMask
        M masks of the plane; none for a request without prompts.
    iou_predictions : float32, shape (M,)
        The decoder's estimate of each candidate's IoU, in [0, 1], descending.
    low_res_masks : float32, shape (M, h, w)
        Logits, clamped to [-32, 32]; may be fed back as `mask_logits`.
    object_score : float
        Logit: above 0 the model believes that there is an object.
    chosen : int
        The candidate that is shown.
    region : (y0, x0, y1, x1) or None
        The part of the plane that the model saw, and that `low_res_masks` cover; None for all.
    weights_hash : str
        Of the model's file.
    device : str
        Where it was computed, such as "cuda:0".
    note : str
        A sentence for the user when that is not where it was asked for; else empty.
    embed_was_cached : bool
        Whether the plane had been embedded before.
    embed_seconds, decode_seconds : float
        Time of the two halves; with features from the cache the first one is about 0.
    """

    request: Request
    candidates: tuple[PackedMask, ...]
    iou_predictions: NDArray[np.float32]
    low_res_masks: NDArray[np.float32]
    object_score: float
    chosen: int = 0
    region: Box | None = None
    weights_hash: str = ""
    device: str = ""
    note: str = ""
    embed_was_cached: bool = False
    embed_seconds: float = 0.0
    decode_seconds: float = 0.0

    @classmethod
    def of_masks(
        cls,
        request: Request,
        masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
        iou_predictions: NDArray[np.float32],
        low_res_masks: NDArray[np.float32],
        object_score: float,
    ) -> Prediction:
        """Make a prediction of candidates that are not packed, (M, H, W)."""
        candidates = tuple(PackedMask.of(mask) for mask in masks)
        return cls(request, candidates, iou_predictions, low_res_masks, object_score)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """All candidates, (M, H, W). Unpacked anew each time: one byte for each pixel."""
        masks = np.zeros((len(self.candidates), *self.request.image.shape), bool)
        for mask, candidate in zip(masks, self.candidates, strict=True):
            y0, x0, y1, x1 = candidate.box
            mask[y0:y1, x0:x1] = candidate.crop()
        return masks

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The chosen candidate, (H, W); all False when there is none. Unpacked anew each time."""
        return self.packed_mask.to_array()

    @property
    def packed_mask(self) -> PackedMask:
        """The chosen candidate; empty when there is none."""
        if not self.candidates:
            return PackedMask(self.request.image.shape)
        return self.candidates[self.chosen]

    def choose(self, candidate: int) -> Prediction:
        """Give the same answer with another candidate chosen; counts round past either end."""
        return replace(self, chosen=candidate % max(len(self.candidates), 1))

    def tidied(self, cleanup: Cleanup) -> Prediction:
        """Give the same answer with tidied candidates, as the panel shows them."""
        clicks = self.request.prompts.clicks
        return replace(self, candidates=tuple(cleanup.apply(c, clicks) for c in self.candidates))
