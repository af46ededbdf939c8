"""Pixels of any image that a microscope writes: checked, and brought between black and white."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_sam2.errors import PromptError

ROBUST_PERCENTILES = (0.1, 99.9)  # one hot pixel must not turn the rest of the plane black
_PERCENTILE_SAMPLES = 1_000_000  # more pixels make percentiles slower, not better
_REAL_KINDS = "biuf"


def in_memory(part: Any) -> NDArray[Any]:
    """Give a part of any array, lazy or not, as numpy has it: what is masked stays masked."""
    if hasattr(part, "compute"):  # dask forgets masks on numpy's own way
        part = part.compute()
    return np.asanyarray(part)


def as_plane(image: ArrayLike) -> NDArray[Any]:
    """Check an image and drop what the model cannot use.

    Parameters
    ----------
    image : array, shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)
        Grey, grey, RGB or RGBA, of any real dtype. An alpha channel is dropped; pixels that are
        masked (`numpy.ma`) become NaN, in floats that hold the values of all others.

    Returns
    -------
    array, shape (H, W) or (H, W, 3)
        The same dtype, and the same memory where possible.

    Raises
    ------
    PromptError
        If it has another shape, no pixels, or complex numbers, text or objects in it.
    """
    plane = _as_array(image)
    if plane.dtype.kind not in _REAL_KINDS:
        raise PromptError(
            f"Image must hold real numbers, got dtype {plane.dtype}. "
            "Convert it first, for example with abs() or .astype('float32')."
        )
    if plane.ndim == 3 and plane.shape[2] == 1:
        plane = plane[..., 0]
    if plane.ndim == 3 and plane.shape[2] == 4:
        plane = plane[..., :3]
    if plane.ndim != 2 and not (plane.ndim == 3 and plane.shape[2] == 3):
        raise PromptError(
            f"Image must be one plane, (H, W) or (H, W, 3), got shape {plane.shape}. "
            "Take one plane of a stack, and put colours last."
        )
    if plane.size == 0:
        raise PromptError(f"Image must have pixels, got shape {plane.shape}.")
    return _without_masked(plane)


def check_finite(plane: NDArray[Any]) -> None:
    """Raise `PromptError` if a pixel is NaN or infinite."""
    if plane.dtype.kind != "f":
        return
    bad = plane.size - int(np.count_nonzero(np.isfinite(plane)))
    if bad:
        raise PromptError(
            f"Image must hold finite numbers, got {bad} NaN or infinite of {plane.size}. "
            "Replace them, for example with numpy.nan_to_num; masked pixels with filled()."
        )


def value_range(
    plane: NDArray[Any], contrast_limits: tuple[float, float] | None = None
) -> tuple[float, float]:
    """Choose the values that the model sees as black and as white.

    The contrast limits, where there are any. Otherwise by dtype: bool 0 to 1 and uint8 0 to 255,
    as the model was trained; RGB of floats that all lie in [0, 1] likewise as it is, because
    stretching would change colours; anything else between its 0.1 and 99.9 percentiles, over
    all channels together. Where those coincide (few bright pixels on an even ground), the
    smallest and the largest value. NaN and infinity count for nothing.

    Returns
    -------
    low, high : float
        Equal only if all finite pixels are equal, or there are none.

    Raises
    ------
    PromptError
        If `contrast_limits` are not two finite numbers, the first one smaller.
    """
    if contrast_limits is not None:
        return checked_limits(contrast_limits)
    if plane.dtype == np.bool_:
        return 0.0, 1.0
    if plane.dtype == np.uint8:
        return 0.0, 255.0
    darkest, brightest = extremes(plane)
    if plane.ndim == 3 and plane.dtype.kind == "f" and darkest >= 0 and brightest <= 1:
        return 0.0, 1.0
    return robust_extremes(plane)


def checked_limits(limits: tuple[float, float]) -> tuple[float, float]:
    """Give limits as floats, or raise `PromptError` if they cannot be used; see `value_range`."""
    low, high = (float(value) for value in limits)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise PromptError(
            f"Contrast limits must be (low, high) with low < high, got ({low:g}, {high:g}). "
            "Widen them, or reset the contrast."
        )
    return low, high


def extremes(plane: NDArray[Any]) -> tuple[float, float]:
    """Give the smallest and the largest finite value; zeros if there are none."""
    low, high = plane.min(), plane.max()  # NaN and infinity show here without another copy
    if not (np.isfinite(low) and np.isfinite(high)):
        finite = plane[np.isfinite(plane)]
        if finite.size == 0:
            return 0.0, 0.0
        low, high = finite.min(), finite.max()
    return float(low), float(high)


def robust_extremes(plane: NDArray[Any]) -> tuple[float, float]:
    """Give the 0.1 and 99.9 percentiles of finite values; where they coincide, the extremes."""
    step = max(1, math.ceil(math.sqrt(plane.size / _PERCENTILE_SAMPLES)))
    sample = plane[::step, ::step]
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return extremes(plane)
    if sample.dtype.itemsize < np.dtype(np.float32).itemsize:
        sample = sample.astype(np.float32)  # bool has no percentiles, and float16 overflows
    low, high = (float(value) for value in np.percentile(sample, ROBUST_PERCENTILES))
    return (low, high) if low < high else extremes(plane)


def to_unit(plane: NDArray[Any], limits: tuple[float, float]) -> NDArray[np.float32]:
    """Map `limits` to 0 and 1, cutting off what is beyond; NaN gives 0, and so does low == high.

    Returns
    -------
    float32, the shape of `plane`, in [0, 1]
    """
    low, high = limits
    if not low < high:
        return np.zeros(plane.shape, np.float32)
    # float32 holds 8- and 16-bit integers exactly; wider types keep their small differences.
    dtype = np.float32 if plane.dtype.itemsize <= 2 or plane.dtype == np.float32 else np.float64
    unit = plane.astype(dtype)
    with np.errstate(all="ignore"):  # infinite pixels, and limits closer than floats can tell
        unit -= dtype(low)
        unit /= dtype(high - low)
    np.clip(unit, 0, 1, out=unit)
    np.nan_to_num(unit, copy=False, nan=0.0)
    return unit.astype(np.float32, copy=False)


def _as_array(image: ArrayLike) -> NDArray[Any]:
    try:
        return np.asanyarray(image)
    except ValueError as error:  # rows of different lengths
        raise PromptError(f"Image must be an array of numbers: {error}") from error


def _without_masked(plane: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(plane, np.ma.MaskedArray):
        return np.asarray(plane)
    is_exact = plane.dtype.kind == "f"  # else the smallest floats that hold all its values
    narrow = np.float32 if plane.dtype.itemsize <= 2 else np.float64
    return np.ma.filled(plane if is_exact else plane.astype(narrow), np.nan)
