"""What the user asks, as frozen values: equal requests are the same request."""

from __future__ import annotations

import math
from dataclasses import dataclass
from dataclasses import field as dataclass_field

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.boxes import box_around
from napari_sam2.session.masks import Box, PackedMask
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.regions import WHOLE, FieldOfView

POSITIVE, NEGATIVE = 1, 0
_BOX_FIRST, _BOX_SECOND = 2, 3  # the prompt encoder's labels for the two box corners
_LOGIT_LIMIT = 32.0  # float16 is exact enough below it


@dataclass(frozen=True)
class LowResMask:
    """Logits as the decoder gave them, hashable: what a correction starts from.

    Attributes
    ----------
    shape : (h, w)
        Size.
    logits : bytes
        float16 in C order, clamped to [-32, 32].
    region : (y0, x0, y1, x1) or None
        The part of the plane that they cover; None for all of it.
    """

    shape: tuple[int, int]
    logits: bytes = dataclass_field(repr=False)
    region: Box | None = None

    @classmethod
    def of(cls, logits: NDArray[np.float32], region: Box | None = None) -> LowResMask:
        """Take one entry of `Prediction.low_res_masks`, (h, w), and its `region`."""
        height, width = logits.shape
        clamped = logits.clip(-_LOGIT_LIMIT, _LOGIT_LIMIT)
        return cls((height, width), clamped.astype(np.float16).tobytes(), region)

    def to_array(self) -> NDArray[np.float32]:
        """Give the logits, (h, w)."""
        return np.frombuffer(self.logits, np.float16).reshape(self.shape).astype(np.float32)


@dataclass(frozen=True)
class Prompts:
    """Points, a box and a mask on one plane, in pixels of that plane.

    Attributes
    ----------
    points : tuple of (y, x)
        0 is the centre of the first pixel; 0 <= y <= H and 0 <= x <= W are inside.
    polarity : tuple of int
        1 object, 0 background; one entry per point.
    box : (y0, x0, y1, x1) or None
        Corners with y0 < y1 and x0 < x1.
    mask_prompt : PackedMask, LowResMask or None
        A mask of the plane that is roughly right, or the logits of an earlier answer.
    """

    points: tuple[tuple[float, float], ...] = ()
    polarity: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask_prompt: PackedMask | LowResMask | None = None

    def __bool__(self) -> bool:
        return bool(self.points) or self.box is not None or self.mask_prompt is not None

    def check(self, shape: tuple[int, int]) -> None:
        """Raise `PromptError` unless all prompts are consistent and inside `shape` (H, W)."""
        if len(self.points) != len(self.polarity):
            raise PromptError(
                f"polarity must have one entry per point, got {len(self.polarity)} for "
                f"{len(self.points)} points. Give 1 for object and 0 for background."
            )
        for value in self.polarity:
            if value not in (POSITIVE, NEGATIVE):
                raise PromptError(f"polarity must be 1 (object) or 0 (background), got {value!r}.")
        for point in self.points:
            _check_inside(point, shape)
        if self.box is not None:
            _check_box(self.box, shape)
        if isinstance(self.mask_prompt, PackedMask):
            _check_mask(self.mask_prompt, shape)
        if isinstance(self.mask_prompt, LowResMask):
            _check_logits(self.mask_prompt)

    @property
    def bounds(self) -> Box | None:
        """The smallest box of whole pixels around all prompts; None without any."""
        boxes = [box for box in (self.box, self._mask_box) if box is not None]
        return box_around(self.points, *boxes)

    @property
    def clicks(self) -> tuple[tuple[float, float], ...]:
        """The points on the object, (y, x)."""
        points = zip(self.points, self.polarity, strict=True)
        return tuple(point for point, value in points if value == POSITIVE)

    @property
    def size(self) -> float:
        """Longer side of the object, as far as the prompts tell; 0 if they tell nothing."""
        boxes = [box for box in (self.box, self._mask_box) if box is not None]
        box = box_around(self.clicks, *boxes)
        return 0.0 if box is None else float(max(box[2] - box[0], box[3] - box[1]))

    @property
    def _mask_box(self) -> Box | None:
        mask = self.mask_prompt
        return mask.box if isinstance(mask, PackedMask) and mask else None

    def as_model_inputs(
        self, region: Box, image_size: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Convert to what the prompt encoder takes: the box corners first, then the points.

        Parameters
        ----------
        region : (y0, x0, y1, x1)
            What fills the model input: the plane, or a part of it.
        image_size : int
            Side of the square model input.

        Returns
        -------
        coords_xy : float32, shape (N, 2)
            (x, y) in pixels of the model input: of a whole plane x * image_size / W, as the
            official predictor.
        labels : int32, shape (N,)
            1 positive, 0 negative, 2 and 3 box corners.
        """
        corners = [] if self.box is None else [self.box[:2], self.box[2:]]
        labels = [] if self.box is None else [_BOX_FIRST, _BOX_SECOND]
        yx = np.array([*corners, *self.points], np.float32).reshape(-1, 2)
        y0, x0, y1, x1 = region
        from_corner_xy = (yx - np.array([y0, x0], np.float32))[:, ::-1]
        size_xy = np.array([x1 - x0, y1 - y0], np.float32)
        coords_xy = from_corner_xy / size_xy * np.float32(image_size)
        return coords_xy, np.array([*labels, *self.polarity], np.int32)


def _check_inside(point: tuple[float, float], shape: tuple[int, int]) -> None:
    if len(point) != 2 or not all(math.isfinite(value) for value in point):
        raise PromptError(f"A point must be two finite numbers (y, x), got {point}.")
    (y, x), (height, width) = point, shape
    if not (0 <= y <= height and 0 <= x <= width):
        raise PromptError(
            f"Point (y, x) = ({y:g}, {x:g}) lies outside the image of {height} x {width} pixels. "
            f"Give 0 <= y <= {height} and 0 <= x <= {width}."
        )


def _check_box(box: tuple[float, float, float, float], shape: tuple[int, int]) -> None:
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise PromptError(f"A box must be four finite numbers (y0, x0, y1, x1), got {box}.")
    y0, x0, y1, x1 = box
    if not (y0 < y1 and x0 < x1):
        raise PromptError(
            "Box must be (y0, x0, y1, x1) with y0 < y1 and x0 < x1, got "
            f"({y0:g}, {x0:g}, {y1:g}, {x1:g}). Draw it from the top-left corner to the "
            "bottom-right one."
        )
    _check_inside((y0, x0), shape)
    _check_inside((y1, x1), shape)


def _check_mask(mask: PackedMask, shape: tuple[int, int]) -> None:
    if mask.shape != shape:
        raise PromptError(
            f"A mask prompt must be as large as the image, {shape[0]} x {shape[1]} pixels, got "
            f"{mask.shape[0]} x {mask.shape[1]}. Take it from labels of this image."
        )


def _check_logits(mask: LowResMask) -> None:
    height, width = mask.shape
    wanted = height * width * np.dtype(np.float16).itemsize
    if not (height > 0 and width > 0 and len(mask.logits) == wanted):
        raise PromptError(
            f"A mask prompt of logits must hold {height} x {width} float16 values, got "
            f"{len(mask.logits)} bytes. Make it with LowResMask.of."
        )
    if not np.isfinite(mask.to_array()).all():
        raise PromptError("A mask prompt must be finite, got NaN or infinite logits.")


@dataclass(frozen=True)
class Request:
    """One question: these prompts on this plane, for this object, by this model.

    A request without prompts is valid: it embeds the plane and gives an empty mask.

    Attributes
    ----------
    image : PlaneImage
        The plane.
    prompts : Prompts
        In pixels of the plane.
    object_id : int
        The label value that the answer is written as.
    plane : tuple of int
        Indices along the axes that are not displayed, in axis order.
    axes : (int, int)
        The data axes that run along the rows and the columns of the plane.
    multimask : bool or None
        Three candidates, one mask, or (None) the model's own rule.
    model, device : str
        Name or path of the model, and "auto", "cpu", "cuda" or "mps".
    field : FieldOfView
        Which part of the plane fills the model's input.
    """

    image: PlaneImage
    prompts: Prompts = Prompts()
    object_id: int = 1
    plane: tuple[int, ...] = ()
    axes: tuple[int, int] = (0, 1)
    multimask: bool | None = None
    model: str = "micro"
    device: str = "auto"
    field: FieldOfView = WHOLE
