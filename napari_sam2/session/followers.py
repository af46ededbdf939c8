"""What every way of following an object from frame to frame offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.model.sam2 import Sam2
from napari_sam2.session.mask_prompts import as_logits
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.memory_bank import Memory
from napari_sam2.session.prompts import Prompts

Upcoming = Sequence[tuple[int, int]]
"""Frame and direction at which each pass over the frames goes on."""

_LOW_RES_STRIDE = 4


@dataclass(frozen=True, eq=False)
class Frame:
    """One embedded frame.

    Attributes
    ----------
    index : int
        Along the axis.
    features : ImageFeatures
        Of the region, batch 1.
    region : (y0, x0, y1, x1)
        The part of the plane that the model sees.
    shape : (H, W)
        Size of the plane.
    """

    index: int
    features: ImageFeatures
    region: Box
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Look:
    """What a follower found of an object on a frame.

    Attributes
    ----------
    low_res_mask : Tensor, shape (1, 1, S/4, S/4)
        Logits of the region.
    iou, object_score : float
        As in `TrackedMask`.
    memory : Memory or None
        What frames to come may look at, if the follower has a memory.
    """

    low_res_mask: Tensor
    iou: float
    object_score: float
    memory: Memory | None = None


class Follower(Protocol):
    """Follows objects from frame to frame. It answers, and remembers only what it is told to."""

    def prompted_frames(self, object_id: int) -> Sequence[int]:
        """Give the conditioning frames that are remembered of an object."""

    def prompt(self, object_id: int, frame: Frame, prompts: Prompts) -> Look:
        """Answer prompts on a frame."""

    def keep_prompted(self, object_id: int, frame: int, look: Look) -> None:
        """Remember the answer to prompts: the frame becomes a conditioning frame."""

    def release(self, object_id: int, frame: int) -> None:
        """Let a frame be a conditioning frame no longer."""

    def forget_object(self, object_id: int) -> None:
        """Let go of all that is remembered of an object: it is about to be told anew."""

    def follow(self, object_id: int, frame: Frame, direction: int) -> Look:
        """Find an object again, coming from the frames before (1) or behind (-1)."""

    def keep_tracked(self, object_id: int, frame: int, direction: int, look: Look) -> None:
        """Remember what was found."""

    def forget(self, object_id: int, upcoming: Upcoming) -> None:
        """Let go of what no frame to come can use."""


def given_mask(prompts: Prompts) -> PackedMask | None:
    """Give the mask of prompts that are a mask and nothing else: there is nothing to answer."""
    mask = prompts.mask_prompt
    if isinstance(mask, PackedMask) and not prompts.points and prompts.box is None:
        return mask
    return None


def model_inputs(
    model: Sam2, frame: Frame, prompts: Prompts
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Give coordinates (1, N, 2), labels (1, N) and mask logits of prompts, as the decoder takes.

    Raises
    ------
    PromptError
        If prompts are malformed, or outside the plane.
    """
    prompts.check(frame.shape)
    device, size = model.device, model.config.image_size
    coords_xy, labels = prompts.as_model_inputs(frame.region, size)
    logits = None
    if prompts.mask_prompt is not None:
        low_res = as_logits(prompts.mask_prompt, size // _LOW_RES_STRIDE, frame.region, frame.shape)
        logits = torch.from_numpy(np.ascontiguousarray(low_res)).to(device)
    return (
        torch.from_numpy(coords_xy)[None].to(device),
        torch.from_numpy(labels)[None].to(device),
        logits,
    )
