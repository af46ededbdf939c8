"""What callers may write for prompts, turned into the frozen values of `session.prompts`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.prompts import NEGATIVE, POSITIVE, Prompts
from napari_sam2.session.regions import FieldOfView


def as_prompts(
    points: ArrayLike | None, polarity: ArrayLike | None, box: ArrayLike | None
) -> Prompts:
    """Make prompts from lists or arrays; their position is checked later, against a plane.

    Parameters
    ----------
    points : array_like, shape (N, 2), or None
        (y, x) in pixels; None is no points.
    polarity : array_like, shape (N,), or None
        1 object, 0 background; None makes all points positive.
    box : array_like, shape (4,), or None
        (y0, x0, y1, x1).

    Raises
    ------
    PromptError
        If one of them has another shape, or is not made of numbers.
    """
    yx = _numbers(
        () if points is None else points, "points must be (y, x) pairs, such as [(40, 30)]"
    )
    if yx.size == 0:
        yx = yx.reshape(0, 2)
    if yx.ndim != 2 or yx.shape[1] != 2:
        raise PromptError(
            f"points must be (y, x) pairs, got shape {yx.shape}. Write one point as [(40, 30)]."
        )
    return Prompts(
        points=tuple((float(y), float(x)) for y, x in yx),
        polarity=_as_polarity(polarity, len(yx)),
        box=None if box is None else _as_box(box),
    )


def as_mask_logits(mask_logits: ArrayLike, size: int) -> NDArray[np.float32]:
    """Check logits of an earlier answer, and give them with the axes that the decoder takes.

    Parameters
    ----------
    mask_logits : array_like, shape (h, w) or (1, h, w)
        One entry of `Prediction.low_res_masks`.
    size : int
        What h and w must be.

    Returns
    -------
    float32, shape (1, 1, h, w)

    Raises
    ------
    PromptError
        If the shape is another, or a value is not finite.
    """
    wanted = f"mask_logits must be one entry of low_res_masks, ({size}, {size})"
    logits = _numbers(mask_logits, wanted)
    if logits.shape not in ((size, size), (1, size, size)):
        raise PromptError(f"{wanted}, got shape {logits.shape}. Full-size masks do not fit.")
    if not np.isfinite(logits).all():
        raise PromptError(f"{wanted}, got NaN or infinite values among them.")
    return logits.astype(np.float32).reshape(1, 1, size, size)


def as_field_of_view(region: str | Sequence[float]) -> FieldOfView:
    """Make a field of view of "whole", "auto" or a box (y0, x0, y1, x1).

    Raises
    ------
    PromptError
        If it is another word, or not a box.
    """
    wanted = "region must be 'whole', 'auto' or (y0, x0, y1, x1)"
    if isinstance(region, str):
        if region not in ("whole", "auto"):
            raise PromptError(f"{wanted}, got {region!r}.")
        return FieldOfView("whole" if region == "whole" else "auto")
    edges = _numbers(region, wanted)
    if edges.shape != (4,) or not np.isfinite(edges).all():
        raise PromptError(f"{wanted}, got {region!r}.")
    y0, x0, y1, x1 = (int(edge) for edge in edges)
    if not (y0 < y1 and x0 < x1):
        raise PromptError(f"{wanted} with y0 < y1 and x0 < x1, got {region!r}.")
    return FieldOfView("fixed", (y0, x0, y1, x1))


def _as_polarity(polarity: ArrayLike | None, count: int) -> tuple[int, ...]:
    if polarity is None:
        return (POSITIVE,) * count
    values = _numbers(polarity, "polarity must be one 1 (object) or 0 (background) per point")
    if not np.isin(values, (POSITIVE, NEGATIVE)).all():
        raise PromptError(f"polarity must be 1 (object) or 0 (background), got {polarity!r}.")
    return tuple(int(value) for value in values.ravel())


def _as_box(box: ArrayLike) -> tuple[float, float, float, float]:
    corners = _numbers(box, "box must be (y0, x0, y1, x1)")
    if corners.shape != (4,):
        raise PromptError(
            f"box must be (y0, x0, y1, x1), four numbers, got shape {corners.shape}. "
            "Segment one box at a time."
        )
    y0, x0, y1, x1 = (float(value) for value in corners)
    return y0, x0, y1, x1


def _numbers(values: ArrayLike, wanted: str) -> NDArray[Any]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PromptError(f"{wanted}, got {values!r}.") from error
