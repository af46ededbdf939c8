"""Pictures on disk: read as the stack of planes that they are, written whole or not at all."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from napari_sam2.errors import PromptError, Sam2Error

TIFF_SUFFIXES = (".tif", ".tiff")
WRITABLE_SUFFIXES = (*TIFF_SUFFIXES, ".png")
_MODES_AS_THEY_ARE = ("1", "L", "RGB", "RGBA", "I", "F")
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# What Pillow and tifffile raised on some thousand files with flipped bytes.
_UNREADABLE = (
    *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError),
    *(TypeError, ValueError, struct.error, zlib.error),
    *(Image.DecompressionBombError, tifffile.TiffFileError),
)
_COLOUR_AXIS = "S"  # tifffile's letter for samples of one pixel


def read_plane(path: Path, plane: tuple[int, ...] = ()) -> NDArray[Any]:
    """Read one plane of a picture.

    Parameters
    ----------
    path : Path
        TIFF, or anything that Pillow opens (PNG, JPEG, BMP, GIF, ...).
    plane : tuple of int
        Index along each axis in front of the rows; empty for a file with one plane.

    Returns
    -------
    array, shape (H, W), (H, W, 3) or (H, W, 4)
        In the file's own dtype.

    Raises
    ------
    PromptError
        If the file is not there, is no picture, or `plane` does not fit it.
    """
    if not path.is_file():
        raise PromptError(f"There is no image at {path}. Check the path.")
    stack, colour_axes = _read(path)
    axes = stack.shape[: stack.ndim - 2 - colour_axes]
    if len(plane) != len(axes):
        raise PromptError(_which_plane(path, axes, plane))
    for axis, (index, size) in enumerate(zip(plane, axes, strict=True)):
        if not 0 <= index < size:
            raise PromptError(
                f"Plane {index} does not exist along axis {axis} of {path}: it has {size} planes, "
                "counted from 0."
            )
    chosen: NDArray[Any] = stack[plane]
    return chosen


def read_stack(path: Path) -> NDArray[Any]:
    """Read all planes of a grey picture: (..., H, W), in the file's own dtype.

    Raises
    ------
    PromptError
        If the file is not there, is no picture, or has colours.
    """
    if not path.is_file():
        raise PromptError(f"There is no image at {path}. Check the path.")
    stack, colour_axes = _read(path)
    if colour_axes:
        raise PromptError(f"{path} is a colour picture. Give one with a single number a pixel.")
    return stack


def read_picture(path: Path) -> NDArray[Any]:
    """Read a whole picture as it is: (..., H, W), or (..., H, W, C) with colours.

    Raises
    ------
    PromptError
        If the file is not there or is no picture.
    """
    if not path.is_file():
        raise PromptError(f"There is no image at {path}. Check the path.")
    return _read(path)[0]


def read_planes(path: Path) -> NDArray[Any]:
    """Read all planes of a picture: (N, H, W), or (N, H, W, C) with colours, in its own dtype.

    Raises
    ------
    PromptError
        If the file is not there or is no picture.
    """
    if not path.is_file():
        raise PromptError(f"There is no image at {path}. Check the path.")
    stack, colour_axes = _read(path)
    return stack.reshape(-1, *stack.shape[stack.ndim - 2 - colour_axes :])


def check_writable(path: Path) -> None:
    """Raise if a picture cannot go there: better before the work than after it.

    Raises
    ------
    PromptError
        If the suffix is not one that `write_image` knows.
    Sam2Error
        If the folder does not exist.
    """
    if path.suffix.lower() not in WRITABLE_SUFFIXES:
        raise PromptError(
            f"Images are written as {', '.join(WRITABLE_SUFFIXES)}, got {path}. "
            "End the name with one of these."
        )
    if not path.parent.is_dir():
        raise Sam2Error(f"Cannot write {path}: there is no folder {path.parent}. Make it first.")


def write_image(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W) or (H, W, 3) as the suffix says; an old file stays until the new one is whole.

    Raises
    ------
    Sam2Error
        If it cannot be written.
    """
    encoded = io.BytesIO()
    if path.suffix.lower() in TIFF_SUFFIXES:
        colour = "rgb" if image.ndim == 3 else "minisblack"
        tifffile.imwrite(encoded, image, photometric=colour, compression="zlib")
    else:
        Image.fromarray(image).save(encoded, "PNG")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(encoded.getvalue())
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise Sam2Error(f"Cannot write {path}: {error.strerror}.") from error


def _read(path: Path) -> tuple[NDArray[Any], int]:
    """Give the whole file, and how many axes (0 or 1) at its end are colours."""
    try:
        return _read_tiff(path) if _is_tiff(path) else _read_with_pillow(path)
    except _UNREADABLE as error:
        raise PromptError(f"Cannot read {path} as an image: {error}") from error


def _is_tiff(path: Path) -> bool:
    """Look at the content: microscopes give TIFF many names (.lsm, .stk, ...)."""
    with path.open("rb") as file:
        return file.read(4) in _TIFF_MAGIC


def _read_tiff(path: Path) -> tuple[NDArray[Any], int]:
    with tifffile.TiffFile(path) as tiff:
        series = tiff.series[0]
        try:
            stack = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            return _read_with_pillow(path)  # which brings LZW and JPEG, that tifffile lacks
        colour = series.axes.find(_COLOUR_AXIS)
    return (stack, 0) if colour < 0 else (np.moveaxis(stack, colour, -1), 1)


def _read_with_pillow(path: Path) -> tuple[NDArray[Any], int]:
    with Image.open(path) as file:
        frames = [_as_array(frame) for frame in ImageSequence.Iterator(file)]
    stack = frames[0] if len(frames) == 1 else np.stack(frames)
    return stack, frames[0].ndim - 2


def _as_array(frame: Image.Image) -> NDArray[Any]:
    mode = frame.mode
    if mode in _MODES_AS_THEY_ARE or mode.startswith("I;16"):
        return np.array(frame)
    return np.array(frame.convert("L" if mode in ("LA", "La") else "RGB"))


def _which_plane(path: Path, axes: tuple[int, ...], plane: tuple[int, ...]) -> str:
    if not axes:
        return f"{path} holds a single plane. Leave --plane out."
    sizes = " x ".join(str(size) for size in axes)
    example = ",".join(str(size // 2) for size in axes)
    indices = "one index" if len(axes) == 1 else f"{len(axes)} indices"
    given = f", got {len(plane)}" if plane else ""
    return (
        f"{path} holds {sizes} planes; choose one with {indices}{given}. "
        f"For example --plane {example}."
    )
