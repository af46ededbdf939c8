"""Following objects without a memory: the mask of the frame before is the prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_sam2.model.outputs import MaskOutput
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.followers import Frame, Look, Upcoming, given_mask, model_inputs
from napari_sam2.session.postprocess import LOGIT_LIMIT
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.refinement import refine

_LABELS = (2, 3, 1)  # the prompt encoder's for the corners of a box and a positive point
_STRIDE = 4  # model pixels per low-resolution pixel
_CERTAIN = 10.0  # object score of a mask that was given


@dataclass
class _Carried:
    """Logits of one object by frame: where it was prompted, and the last ones each way."""

    prompted: dict[int, Tensor] = field(default_factory=dict)
    tracked: dict[int, tuple[int, Tensor]] = field(default_factory=dict)  # by direction

    def behind(self, frame: int, direction: int) -> Tensor | None:
        """Give the nearest logits on the side that the tracking comes from, if there are any."""
        known = dict(self.prompted)
        if direction in self.tracked:
            at, logits = self.tracked[direction]
            known[at] = logits
        passed = [at for at, logits in known.items() if (frame - at) * direction > 0]
        seen = [at for at in passed if (known[at] > 0).any()]
        return known[max(seen, key=lambda at: at * direction)] if seen else None


class CarryFollower:
    """Asks about each frame with the box and the logits of the mask on the frame before.

    Parameters
    ----------
    model : Sam2
        Any; its memory is not used.
    """

    def __init__(self, model: Sam2) -> None:
        self._model = model
        self._carried: dict[int, _Carried] = defaultdict(_Carried)

    def prompted_frames(self, object_id: int) -> Sequence[int]:
        """Give the conditioning frames of an object."""
        return tuple(self._carried[object_id].prompted)

    @torch.inference_mode()
    def prompt(self, object_id: int, frame: Frame, prompts: Prompts) -> Look:  # noqa: ARG002
        """Answer prompts by the frame alone; a mask alone is taken as it is."""
        coords_xy, labels, logits = model_inputs(self._model, frame, prompts)
        mask = given_mask(prompts)
        if mask is not None:
            assert logits is not None
            return Look(logits, 1.0, _CERTAIN if mask else -_CERTAIN)
        is_ambiguous = labels.shape[1] <= 1
        return self._answer(frame, coords_xy, labels, logits, is_ambiguous=is_ambiguous)

    def keep_prompted(self, object_id: int, frame: int, look: Look) -> None:
        """Remember an answer to prompts."""
        self._carried[object_id].prompted[frame] = look.low_res_mask

    def release(self, object_id: int, frame: int) -> None:
        """Let a frame be a conditioning frame no longer."""
        self._carried[object_id].prompted.pop(frame, None)

    def forget_object(self, object_id: int) -> None:
        """Let go of all that is remembered of an object."""
        self._carried.pop(object_id, None)

    @torch.inference_mode()
    def follow(self, object_id: int, frame: Frame, direction: int) -> Look:
        """Ask about the mask of the frame before."""
        logits = self._carried[object_id].behind(frame.index, direction)
        if logits is None:
            return self._nothing()
        coords_xy = torch.from_numpy(_prompts_xy(logits)).to(logits.device)
        labels = torch.tensor([_LABELS], dtype=torch.int32, device=logits.device)
        fed = logits.clamp(-LOGIT_LIMIT, LOGIT_LIMIT)
        return self._answer(frame, coords_xy, labels, fed, is_ambiguous=False)

    def keep_tracked(self, object_id: int, frame: int, direction: int, look: Look) -> None:
        """Carry what was found on, unless it is nothing."""
        if look.object_score > 0 and (look.low_res_mask > 0).any():
            self._carried[object_id].tracked[direction] = (frame, look.low_res_mask)

    def forget(self, object_id: int, upcoming: Upcoming) -> None:
        """Nothing: one mask a direction is all that is kept."""

    def _answer(
        self,
        frame: Frame,
        coords_xy: Tensor,
        labels: Tensor,
        logits: Tensor | None,
        *,
        is_ambiguous: bool,
    ) -> Look:
        model, features = self._model, frame.features
        output = model.decode(features, coords_xy, labels, logits, multimask=is_ambiguous)
        return _best(refine(model, features, output, coords_xy, labels, logits))

    def _nothing(self) -> Look:
        side = self._model.config.image_size // _STRIDE
        nowhere = torch.full((1, 1, side, side), -LOGIT_LIMIT, device=self._model.device)
        return Look(nowhere, 0.0, -_CERTAIN)


def _best(output: MaskOutput) -> Look:
    best = int(output.iou_predictions[0].argmax())
    return Look(
        low_res_mask=output.low_res_masks[:, best : best + 1].float(),
        iou=float(output.iou_predictions[0, best]),
        object_score=float(output.object_score[0]),
    )


def _prompts_xy(logits: Tensor) -> NDArray[np.float32]:
    """Give a tight box around the positive logits and their most interior pixel, (1, 3, 2)."""
    inside = np.pad((logits[0, 0] > 0).cpu().numpy(), 1)
    rows, columns = np.nonzero(inside)
    depth = ndimage.distance_transform_edt(inside)
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    first, last = (columns.min(), rows.min()), (columns.max() + 1, rows.max() + 1)
    places = np.array([first, last, (x + 0.5, y + 0.5)], np.float32) - 1  # less the padding
    return places[None] * _STRIDE
