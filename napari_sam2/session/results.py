"""What comes back: the masks, with the question inside."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.prompts import Request


@dataclass(frozen=True, eq=False)
class Prediction:
    """Candidates for one request, best predicted IoU first.

    Attributes
    ----------
    request : Request
        The question that this answers.
    masks : bool, shape (M, H, W)
        Candidates on the plane; M is 0 for a request without prompts.
    iou_predictions : float32, shape (M,)
        The decoder's estimate of each candidate's IoU, in [0, 1], descending.
    low_res_masks : float32, shape (M, h, w)
        Logits, clamped to [-32, 32]; may be fed back as `mask_logits`.
    object_score : float
        Logit: above 0 the model believes that there is an object.
    chosen : int
        The candidate that is shown.
    embed_seconds, decode_seconds : float
        Time of the two halves; embedding that was found in the cache takes about 0.
    """

    request: Request
    masks: NDArray[np.bool_]
    iou_predictions: NDArray[np.float32]
    low_res_masks: NDArray[np.float32]
    object_score: float
    chosen: int = 0
    embed_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The chosen candidate, (H, W); all False when there is none."""
        if len(self.masks) == 0:
            return np.zeros(self.request.image.shape, bool)
        mask: NDArray[np.bool_] = self.masks[self.chosen]
        return mask

    def choose(self, candidate: int) -> Prediction:
        """Give the same answer with another candidate chosen; counts round past either end."""
        return replace(self, chosen=candidate % max(len(self.masks), 1))
