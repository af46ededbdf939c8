"""A box says where its object ends: logits are raised inside it and lowered outside, a little.

For models that cannot refine their masks; a refiner sees the box itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_sam2.model.outputs import MaskOutput
from napari_sam2.session.masks import Box
from napari_sam2.session.prompts import Prompts

# Chosen on training pictures: tight boxes gain, loose ones do not lose on average.
_STRENGTH = 1.5  # logits: far inside more, far outside less
_SMALLER = 0.2  # logits: everywhere less, so that outside counts for more than inside
_BLUR = 0.08  # of the root of the box's area: how far from an edge most of the strength is reached


def is_box_alone(prompts: Prompts) -> bool:
    """Tell whether prompts are one box and nothing else.

    Corrections come with the logits of its answer, which know of the box already.
    """
    return prompts.box is not None and not prompts.points and prompts.mask_prompt is None


def ends_at_box(output: MaskOutput, prompts: Prompts, region: Box) -> MaskOutput:
    """Give the same output with logits that know of the box.

    Parameters
    ----------
    output : MaskOutput
        Of prompts with a box.
    prompts : Prompts
    region : (y0, x0, y1, x1)
        That the logits cover, in pixels of the plane.
    """
    assert prompts.box is not None
    logits = output.low_res_masks
    height, width = logits.shape[-2:]
    top, left, bottom, right = prompts.box
    y = _depth(top, bottom, (region[0], region[2]), height)
    x = _depth(left, right, (region[1], region[3]), width)
    depth = torch.minimum(y[:, None], x[None])  # (h, w), pixels of the plane
    blur = _BLUR * ((bottom - top) * (right - left)) ** 0.5
    evidence = _STRENGTH * torch.tanh(depth / blur) - _SMALLER
    return output._replace(low_res_masks=logits + evidence.to(logits.device, logits.dtype))


def _depth(low: float, high: float, extent: tuple[int, int], size: int) -> Tensor:
    """Tell how far inside two edges the middles of coarse pixels lie, (size,); below 0 outside."""
    start, stop = extent
    at = start + (torch.arange(size) + 0.5) * ((stop - start) / size)
    return torch.minimum(at - low, high - at)
