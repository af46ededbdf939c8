"""Following objects by SAM 2's memory.

References
----------
SAM 2 (arXiv:2408.00714), "Model".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam2.model.outputs import FrameOutput, MaskOutput
from napari_sam2.model.sam2 import Sam2
from napari_sam2.model.tracking import accept_mask, condition, decode_frame, encode_memory
from napari_sam2.session.followers import Frame, Look, Upcoming, given_mask, model_inputs
from napari_sam2.session.low_res_holes import fill_holes
from napari_sam2.session.masks import PackedMask
from napari_sam2.session.memory_bank import Memory, MemoryBank
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.refinement import refine

_NO_PROMPTS = torch.zeros(1, 0, 2), torch.zeros(1, 0, dtype=torch.int32)
_INSIDE = 0.5  # of a mask resized to the model's input


class MemoryFollower:
    """Finds objects on a frame by what is remembered of them.

    Parameters
    ----------
    model : Sam2
        With a memory that was trained.
    num_frames : int
        Length of the clip.
    hole_area : int
        Holes of up to so many low-resolution pixels are filled.
    keeps_all : bool
        Never forget, as the official predictor.
    loses_corrections : bool
        Remember prompts on frames that were tracked before as if they had been tracked: following
        them again overwrites them, as the official predictor does.
    """

    def __init__(
        self,
        model: Sam2,
        num_frames: int,
        hole_area: int = 0,
        *,
        keeps_all: bool = False,
        loses_corrections: bool = False,
    ) -> None:
        self._model = model
        self._hole_area = hole_area
        self._keeps_all = keeps_all
        self._loses_corrections = loses_corrections
        self._banks: dict[int, MemoryBank] = defaultdict(lambda: MemoryBank(num_frames))
        self._came_from: dict[int, dict[int, int]] = defaultdict(dict)  # direction by frame

    def bank(self, object_id: int) -> MemoryBank:
        """Give what is remembered of an object."""
        return self._banks[object_id]

    def prompted_frames(self, object_id: int) -> Sequence[int]:
        """Give the conditioning frames of an object."""
        return self._banks[object_id].prompted_frames

    @torch.inference_mode()
    def prompt(
        self, object_id: int, frame: Frame, prompts: Prompts, logits: Tensor | None = None
    ) -> Look:
        """Answer prompts: by the frame alone, or with the memory where it was tracked before.

        Parameters
        ----------
        object_id : int
        frame : Frame
        prompts : Prompts
            A mask alone is taken as it is.
        logits : Tensor, shape (1, 1, S/4, S/4), optional
            Of the answer before, exactly; by default those of `prompts.mask_prompt`.
        """
        model, mask = self._model, given_mask(prompts)
        coords_xy, labels, rough = model_inputs(model, frame, prompts)
        if mask is not None:
            output = accept_mask(model, frame.features, self._on_input(mask, frame))
        else:
            direction = self._came_from[object_id].get(frame.index)
            memories, pointers = self._banks[object_id].recall(frame.index, direction or 0)
            if direction is None or not memories:
                seen = model.without_memory(frame.features)
            else:
                span = self._banks[object_id].pointer_span
                seen = condition(model, frame.features, memories, pointers, span)
            given = rough if logits is None else logits
            output = decode_frame(model, seen, coords_xy, labels, given)
            output = self._refined(frame, output, coords_xy, labels, given)
        output = self._filled(output)
        return self._look(frame, output, output, is_prompted=True)

    def keep_prompted(self, object_id: int, frame: int, look: Look) -> None:
        """Remember an answer to prompts."""
        assert look.memory is not None
        if self._loses_corrections and frame in self._came_from[object_id]:
            self._banks[object_id].put_tracked(frame, look.memory)
        else:
            self._banks[object_id].put_prompted(frame, look.memory)

    def release(self, object_id: int, frame: int) -> None:
        """Let a frame be a conditioning frame no longer."""
        self._banks[object_id].drop_prompted(frame)

    def forget_object(self, object_id: int) -> None:
        """Let go of all that is remembered of an object."""
        self._banks.pop(object_id, None)
        self._came_from.pop(object_id, None)

    @torch.inference_mode()
    def follow(self, object_id: int, frame: Frame, direction: int) -> Look:
        """Find an object by its memories."""
        bank = self._banks[object_id]
        memories, pointers = bank.recall(frame.index, direction)
        seen = condition(self._model, frame.features, memories, pointers, bank.pointer_span)
        output = self._refined(frame, decode_frame(self._model, seen), *_NO_PROMPTS)
        return self._look(frame, output, self._filled(output), is_prompted=False)

    def keep_tracked(self, object_id: int, frame: int, direction: int, look: Look) -> None:
        """Remember what was found on a frame."""
        assert look.memory is not None
        self._banks[object_id].put_tracked(frame, look.memory)
        self._came_from[object_id][frame] = direction

    def forget(self, object_id: int, upcoming: Upcoming) -> None:
        """Let go of memories that no frame to come can look at."""
        if not self._keeps_all:
            self._banks[object_id].forget(upcoming)

    def _look(
        self, frame: Frame, output: FrameOutput, shown: FrameOutput, *, is_prompted: bool
    ) -> Look:
        memory = encode_memory(self._model, frame.features, output, is_prompted=is_prompted)
        return Look(
            low_res_mask=shown.low_res_masks.float(),
            iou=float(output.iou_predictions[0]),
            object_score=float(output.object_score[0]),
            # half the bytes, and as the official predictor rounds them
            memory=Memory(memory.bfloat16(), output.object_pointer),
        )

    def _refined(
        self,
        frame: Frame,
        output: FrameOutput,
        coords_xy: Tensor,
        labels: Tensor,
        given: Tensor | None = None,
    ) -> FrameOutput:
        """Look again at what was found, if the model can and there is anything."""
        if not (output.low_res_masks > 0).any():
            return output
        masks, ious = output.low_res_masks, output.iou_predictions[None]
        found = MaskOutput(masks, ious, output.object_score)
        better = refine(self._model, frame.features, found, coords_xy, labels, given)
        return output._replace(
            low_res_masks=better.low_res_masks, iou_predictions=better.iou_predictions[0]
        )

    def _filled(self, output: FrameOutput) -> FrameOutput:
        if not self._hole_area:
            return output
        return output._replace(low_res_masks=fill_holes(output.low_res_masks, self._hole_area))

    def _on_input(self, mask: PackedMask, frame: Frame) -> Tensor:
        """Give a mask of the plane on the square model input, (1, 1, S, S), 0 or 1."""
        size = self._model.config.image_size
        pixels = torch.from_numpy(mask.within(frame.region).to_array()).float()[None, None]
        resized = F.interpolate(
            pixels, (size, size), mode="bilinear", align_corners=False, antialias=True
        )
        # an object that is thinner than half a pixel of the input is kept by its thickest part
        threshold = resized.max().clamp(1e-6, _INSIDE)
        return (resized >= threshold).float().to(self._model.device)
