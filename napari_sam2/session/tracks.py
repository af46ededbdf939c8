"""What is asked of a propagation and what comes back, as values: numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.prompts import Prompts

Direction = Literal["forward", "backward", "both"]
Method = Literal["auto", "memory", "carry"]
Role = Literal["prompted", "tracked", "filled"]


@dataclass(frozen=True)
class TrackedObject:
    """One object, and where it is known already.

    Attributes
    ----------
    object_id : int
        The label value that the masks are written as.
    prompts : mapping of int to Prompts
        By frame. These are the conditioning frames: all others look at them. A mask prompt alone
        (`Prompts(mask_prompt=mask)`) is taken as it is; points and boxes are answered first.
    accepted : mapping of int to PackedMask
        Masks that must stay as they are, by frame: the user accepted or painted them.
    region : (y0, x0, y1, x1) or None
        The part of every frame that fills the model's input; None for all of it. Objects of one
        region share the embeddings.
    """

    object_id: int
    prompts: Mapping[int, Prompts] = field(default_factory=dict)
    accepted: Mapping[int, PackedMask] = field(default_factory=dict)
    region: Box | None = None


@dataclass(frozen=True)
class StopRules:
    """When a track ends. None turns a rule off.

    Attributes
    ----------
    min_object_score : float or None
        Logit; at or below it the model believes that the object is gone, or hidden. A mask
        without a pixel always counts as gone, unless this is None.
    max_growth, max_shrinkage : float or None
        By what factor the area may differ from the median of the last good frames.
    min_overlap : float or None
        IoU of a mask and the last good one, at least. Turn it off for objects that travel.
    min_contrast : float or None
        How much of the object's contrast to its surroundings must be left, of the strongest in the
        last ten good frames: in a stack an object fades where it ends, and another may lie behind.
    patience : int
        So many bad frames in a row may pass before the track ends.
    """

    min_object_score: float | None = 0.0
    max_growth: float | None = 2.0
    max_shrinkage: float | None = 10.0
    min_overlap: float | None = 0.25
    min_contrast: float | None = 0.7
    patience: int = 0

    def __post_init__(self) -> None:
        for name, value in (
            ("max_growth", self.max_growth),
            ("max_shrinkage", self.max_shrinkage),
        ):
            if value is not None and not value > 1:
                raise ValueError(f"{name} must be a factor above 1, got {value}. Use None for off.")
        if self.patience < 0:
            raise ValueError(f"patience must be a number of frames, got {self.patience}.")


NEVER_STOP = StopRules(None, None, None, None, None)


@dataclass(frozen=True)
class PropagationOptions:
    """How objects are followed.

    Attributes
    ----------
    direction : "forward", "backward" or "both"
        Forward from the first prompted frame of each object, backward from the last one; "both"
        goes both ways from the first, and with `link` as well backward from the last.
    first, last : int or None
        Frames before `first` and after `last` are neither read nor answered, except those that
        are prompted: what is said there still counts.
    method : "auto", "memory" or "carry"
        "memory" is SAM 2's own; "carry" gives the mask of the frame before as a prompt, which
        every model can do. "auto" takes the memory if the model has one that was trained.
    stop : StopRules
        When a track ends.
    close_gaps : bool
        Fill what the object's absence left open, up to `stop.patience` frames, by shapes between
        those around it.
    link : bool
        Between the first and the last prompted frame go both ways, and answer a frame a second
        time where the way back has the better score. Only with the direction "both".
    use_accepted : bool
        Let the nearest accepted mask on either side count as a prompt.
    region_moves : bool
        Let the region of an object go along when the object nears its border.
    keep_logits : bool
        Give the low-resolution logits with each mask.
    fill_holes : int
        Fill holes of up to so many pixels of the low-resolution mask; the official predictor
        has 8, where it runs on CUDA.
    official : bool
        As the official video predictor: 8-bit pictures resized as it does, corrections of tracked
        frames lost, nothing ever forgotten. For comparisons.

    Raises
    ------
    ValueError
        If they contradict each other, or are none of the choices.
    """

    direction: Direction = "both"
    first: int | None = None
    last: int | None = None
    method: Method = "auto"
    stop: StopRules = StopRules()
    close_gaps: bool = False
    link: bool = False
    use_accepted: bool = False
    region_moves: bool = True
    keep_logits: bool = False
    fill_holes: int = 0
    official: bool = False

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("direction", self.direction, get_args(Direction)),
            ("method", self.method, get_args(Method)),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
        if self.link and self.direction != "both":
            raise ValueError(f'link needs the direction "both", got {self.direction!r}.')
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError(
                f"first must not come after last, got {self.first} and {self.last}. Swap them."
            )


OFFICIAL = PropagationOptions(official=True, stop=NEVER_STOP, method="memory")


@dataclass(frozen=True, eq=False)
class TrackedMask:
    """One object on one frame.

    Attributes
    ----------
    frame : int
        Index along the axis.
    object_id : int
        Whose mask it is.
    mask : PackedMask
        Empty where the object is not, or where the track has ended.
    role : "prompted", "tracked" or "filled"
        Answered or given by the user, followed, or put between two others.
    iou : float
        The decoder's estimate of the mask's IoU, in [0, 1]; 1 for a mask that was given.
    object_score : float
        Logit: above 0 the model believes that there is an object.
    stop : str
        Why the track ends here, in words; empty where it goes on.
    low_res_mask : float32, shape (h, w), or None
        Logits of the region, where they were asked for.
    """

    frame: int
    object_id: int
    mask: PackedMask
    role: Role = "tracked"
    iou: float = 0.0
    object_score: float = 0.0
    stop: str = ""
    low_res_mask: NDArray[np.float32] | None = None

    @property
    def score(self) -> float:
        """What frames are compared by: `iou`, or 0 where there is no mask."""
        return self.iou if self.mask else 0.0
