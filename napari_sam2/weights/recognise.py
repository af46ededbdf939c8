"""Which model a file holds, from the names and shapes of its tensors alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import groupby
from typing import Any

from napari_sam2.errors import WeightsError
from napari_sam2.model.config import CONFIGS, Sam2Config
from napari_sam2.model.refiner import widths_in

Shapes = Mapping[str, tuple[int, ...]]

_TRUNK = "image_encoder.trunk."
_LANDMARK = f"{_TRUNK}patch_embed.proj.weight"
_ONLY_IN_2_1 = ("no_obj_embed_spatial", "obj_ptr_tpos_proj.weight", "obj_ptr_tpos_proj.bias")


def recognise(shapes: Shapes) -> Sam2Config:
    """Give the architecture of a checkpoint whose file does not tell it.

    Widths, depths and the version are read from the tensors. The image size, the heads, the
    windows and the global blocks leave no trace there: they come from the known model that agrees
    in all the rest.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        The state dict's shapes, under SAM 2's own names.

    Raises
    ------
    WeightsError
        If this is not a SAM 2 checkpoint, or not of a known size.
    """
    if _LANDMARK not in shapes:
        first = ", ".join(list(shapes)[:3]) or "none"
        raise WeightsError(
            f"This is not a SAM 2 checkpoint: it has no {_LANDMARK!r} among its {len(shapes)} "
            f"tensors (the first are: {first})."
        )
    seen = visible_fields(shapes)
    for config in CONFIGS.values():
        if all(getattr(config, name) == value for name, value in seen.items()):
            return replace(config, refiner_widths=widths_in(shapes))
    told = ", ".join(f"{name} {value}" for name, value in seen.items())
    raise WeightsError(
        f"This SAM 2 is of no known size ({told}), and the file does not carry its configuration. "
        "Save it with napari_sam2.weights.loading.save_weights, which writes it into the file."
    )


def visible_fields(shapes: Shapes) -> dict[str, Any]:
    """Give the fields of `Sam2Config` that shapes betray, less those of missing tensors."""
    readers: dict[str, Callable[[], Any]] = {
        "embed_dim": lambda: shapes[_LANDMARK][0],
        "stages": lambda: _stages(shapes),
        "pos_embed_grid": lambda: tuple(shapes[f"{_TRUNK}pos_embed"][2:]),
        "d_model": lambda: shapes["image_encoder.neck.convs.0.conv.weight"][0],
        "memory_dim": lambda: shapes["maskmem_tpos_enc"][-1],
        "memory_layers": lambda: _count(shapes, "memory_attention.layers."),
        "memory_feedforward": lambda: shapes["memory_attention.layers.0.linear1.weight"][0],
    }
    seen: dict[str, Any] = {"version": _version(shapes)} if "maskmem_tpos_enc" in shapes else {}
    for name, read in readers.items():
        try:
            seen[name] = read()
        except KeyError:
            continue
    return seen


def _stages(shapes: Shapes) -> tuple[int, ...]:
    """Count the blocks of equal width; a block's second norm already has the new stage's width."""
    count = _count(shapes, f"{_TRUNK}blocks.")
    widths = [shapes[f"{_TRUNK}blocks.{i}.norm2.weight"][0] for i in range(count)]
    return tuple(len(list(blocks)) for _, blocks in groupby(widths))


def _version(shapes: Iterable[str]) -> str:
    return "2.1" if any(key in shapes for key in _ONLY_IN_2_1) else "2.0"


def _count(shapes: Iterable[str], prefix: str) -> int:
    """Count the children 0, 1, 2, ... of a module list; `KeyError` if there are none."""
    indices = {key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)}
    if not indices:
        raise KeyError(prefix)
    return len(indices)
