"""Where to look at an object that is followed: one part of all frames, with room around it."""

from __future__ import annotations

from collections.abc import Iterable

from napari_sam2.session.boxes import box_around
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.prompts import Prompts, Request
from napari_sam2.session.region_grid import RegionGrid
from napari_sam2.session.regions import FieldOfView

_ROOM = 4  # a region's side at least, in sides of the object, which may grow and move


def region_around(
    segmenter: ImageSegmenter, image: PlaneImage, masks: Iterable[PackedMask]
) -> Box | None:
    """Give the part of all frames in which an object is not small; None for all of it.

    Parameters
    ----------
    segmenter : ImageSegmenter
    image : PlaneImage
        Any of the frames.
    masks : iterable of PackedMask
        The object, as far as it is known.
    """
    boxes = [mask.box for mask in masks if mask]
    box = box_around([], *boxes)
    if box is None:
        return None
    extent = max(max(y1 - y0, x1 - x0) for y0, x0, y1, x1 in boxes)
    grid = RegionGrid(image.shape, segmenter.model.config.image_size, image.levels)
    region = grid.around(box, _ROOM * extent)
    return None if region == image.whole else region


def first_mask(
    segmenter: ImageSegmenter, image: PlaneImage, prompts: Prompts
) -> tuple[PackedMask, float]:
    """Answer prompts as a click in the plugin is answered: where the object is not small.

    Returns
    -------
    mask : PackedMask
    iou : float
        As the model predicts it; 0 where there is no mask.
    """
    asked = Request(image, prompts, field=FieldOfView("auto"))
    answer = segmenter.predict(asked).tidied(Cleanup())
    scores = answer.iou_predictions
    return answer.packed_mask, float(scores[answer.chosen]) if len(scores) else 0.0
