"""The command `propagate`: objects prompted on one plane, followed through a stack or a movie."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from napari_sam2.cli_model import load_segmenter
from napari_sam2.cli_options import (
    Box,
    BoxOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    Point,
    PointsOption,
    Region,
)
from napari_sam2.cli_output import exit_codes, say
from napari_sam2.errors import PromptError
from napari_sam2.image_files import TIFF_SUFFIXES, read_picture
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.tracks import (
    PropagationOptions,
    StopRules,
    TrackedMask,
    TrackedObject,
)

if TYPE_CHECKING:
    from napari_sam2.session.image_segmenter import ImageSegmenter
    from napari_sam2.session.plane_image import PlaneImage
    from napari_sam2.session.prompt_table import PromptTable

_INTERRUPTED = 130  # as shells tell it


class Way(str, Enum):
    """See `PropagationOptions.direction`."""

    FORWARD = "forward"
    BACKWARD = "backward"
    BOTH = "both"


class MethodName(str, Enum):
    """See `PropagationOptions.method`."""

    AUTO = "auto"
    MEMORY = "memory"
    CARRY = "carry"


def propagate(
    stack: Annotated[Path, typer.Argument(help="TIFF with three axes; colours may come last.")],
    output: Annotated[
        Path, typer.Option(help="Write the labels, shaped as the stack: .tif, one value an object.")
    ],
    axis: Annotated[
        int, typer.Option(min=0, max=2, help="Along which to follow: depth or time.")
    ] = 0,
    plane: Annotated[
        int | None, typer.Option(help="The plane of --point and --box, counted from 0.")
    ] = None,
    point: PointsOption = None,
    box: BoxOption = None,
    prompts: Annotated[
        Path | None,
        typer.Option(
            help="Several objects from a CSV table, one prompt a row: object, frame, kind (point "
            "or box), y, x, polarity (0 on the background), or y0, x0, y1, x1."
        ),
    ] = None,
    direction: Annotated[
        Way, typer.Option(help="From the first prompted plane on, back, or both.")
    ] = Way.BOTH,
    first: Annotated[int | None, typer.Option(min=0, help="No plane before this one.")] = None,
    last: Annotated[int | None, typer.Option(min=0, help="No plane after this one.")] = None,
    method: Annotated[
        MethodName,
        typer.Option(
            help="memory is SAM 2's own; carry asks about each plane with the mask of the one "
            "before; auto takes the memory of a model whose memory was trained."
        ),
    ] = MethodName.AUTO,
    region: Annotated[
        Region,
        typer.Option(
            help="Where the model looks: auto, at a part of the planes with room around the "
            "object, or at whole planes, for objects that travel far."
        ),
    ] = Region.AUTO,
    patience: Annotated[
        int, typer.Option(min=0, help="So many bad planes in a row may pass before a track ends.")
    ] = 0,
    travels: Annotated[
        bool, typer.Option("--travels", help="The object may move by more than itself in a step.")
    ] = False,
    fades: Annotated[
        bool,
        typer.Option("--fades", help="The object may lose its contrast to what is around it."),
    ] = False,
    never_stop: Annotated[
        bool, typer.Option("--never-stop", help="Follow to the end, whatever is found.")
    ] = False,
    model: ModelOption = "micro",
    device: DeviceOption = "auto",
    table: Annotated[
        Path | None,
        typer.Option(help="Write a CSV of object, frame, centroid, area, score and role."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Follow objects through a stack or a movie, from prompts on one plane or more.

    Positions are pixels of the planes that are cut along the axis, rows first; 0,0 is the top left.
    Ctrl+C writes what is done.

    Example: napari-sam2 propagate cells.tif --plane 15 --point 120,80 --output labels.tif
    """
    with exit_codes():
        _check_outputs(stack, output, table)
        asked = _read_prompts(prompts, plane, point or [], box)
        options = PropagationOptions(
            direction=direction.value,
            first=first,
            last=last,
            method=method.value,
            stop=_stop_rules(patience, travels=travels, fades=fades, never=never_stop),
        )
        pixels = read_picture(stack)
        frames = _frames(pixels, axis, asked)
        segmenter = load_segmenter(model, device)
        run = _Run(segmenter, frames, options)
        run.follow(asked, region)
        labels = _draw(run.found, pixels.shape[:3], axis)
        _write(labels, output, run.found, table)
    summary = _summary(run, stack, output, table)
    typer.echo(json.dumps(summary, indent=2) if as_json else _in_words(summary))
    if run.is_interrupted:
        say(f"Stopped. What was done until then is in {output}.")
        raise typer.Exit(_INTERRUPTED)


class _Run:
    """Follows the objects, and keeps what was found when it is interrupted."""

    def __init__(
        self, segmenter: ImageSegmenter, frames: list[PlaneImage], options: PropagationOptions
    ) -> None:
        self.segmenter, self._frames, self.options = segmenter, frames, options
        self.found: dict[tuple[int, int], TrackedMask] = {}  # by object and frame
        self._scores: dict[tuple[int, int], float] = {}  # of the answers to prompts
        self.is_interrupted = False
        self.seconds = 0.0
        first, last = options.first or 0, options.last
        end = len(frames) if last is None else min(last + 1, len(frames))
        self._planned = max(end - first, 1)  # at most: tracks end

    def follow(self, asked: PromptTable, region: Region) -> None:
        from napari_sam2.session.propagation import propagate

        segmenter, model = self.segmenter, self.segmenter.model
        if self.options.method == "memory" and not model.has_memory:
            raise PromptError(
                f"The memory of the model {model.name!r} was not trained. Leave --method out, or "
                "choose another --model."
            )
        say(f"Following {len(asked)} object{'s' * (len(asked) > 1)} on {model.device} ...")
        started = time.perf_counter()
        try:
            objects = [self._object(object_id, asked[object_id], region) for object_id in asked]
            for one in propagate(segmenter, self._frames, objects, self.options):
                key = one.object_id, one.frame
                self.found[key] = replace(one, iou=self._scores.get(key, one.iou))
                _show_progress({at for _, at in self.found}, self._planned, started)
        except KeyboardInterrupt:
            self.is_interrupted = True
        self.seconds = time.perf_counter() - started
        if sys.stderr.isatty():
            say("")

    def _object(self, object_id: int, prompts: dict[int, Any], region: Region) -> TrackedObject:
        """Answer the prompts as the plugin does, looking close, and follow what was found."""
        from napari_sam2.session.track_regions import first_mask, region_around

        if region is Region.WHOLE:
            return TrackedObject(object_id, prompts)
        masks, shown = [], dict(prompts)
        for at, said in prompts.items():
            mask, self._scores[object_id, at] = first_mask(self.segmenter, self._frames[at], said)
            if mask:
                masks.append(mask)
                shown[at] = Prompts(mask_prompt=mask)
        where = region_around(self.segmenter, self._frames[0], masks)
        return TrackedObject(object_id, shown, region=where)


def _check_outputs(stack: Path, output: Path, table: Path | None) -> None:
    """Refuse before the work what cannot be written after it."""
    from napari_sam2.session.exporters.whole_file import refuse_existing

    if output.suffix.lower() not in TIFF_SUFFIXES:
        raise PromptError(f"Labels are written as .tif, got {output}. End the name with it.")
    for path in (output, table):
        if path is None:
            continue
        refuse_existing(path, overwrite=True)
        if path.exists() and stack.exists() and path.samefile(stack):
            raise PromptError(f"{path} is the input, which is never overwritten.")


def _read_prompts(
    table: Path | None, plane: int | None, points: list[Point], box: Box | None
) -> PromptTable:
    from napari_sam2.session.arguments import as_prompts
    from napari_sam2.session.prompt_table import read_prompt_table

    has_own = bool(points) or box is not None
    if table is not None and has_own:
        raise PromptError("Give --prompts with a table, or --point and --box, not both.")
    if table is not None:
        return read_prompt_table(table)
    if not has_own:
        raise PromptError("Say what to follow: give --plane with --point or --box, or --prompts.")
    if plane is None:
        raise PromptError("Say on which plane the prompts are: give --plane, counted from 0.")
    said = as_prompts([(p.y, p.x) for p in points], [p.polarity for p in points], box)
    return {1: {plane: said}}


def _stop_rules(patience: int, *, travels: bool, fades: bool, never: bool) -> StopRules:
    from napari_sam2.session.tracks import NEVER_STOP

    if never:
        return NEVER_STOP
    return StopRules(
        min_overlap=None if travels else StopRules.min_overlap,
        min_contrast=None if fades else StopRules.min_contrast,
        patience=patience,
    )


def _frames(pixels: NDArray[Any], axis: int, asked: PromptTable) -> list[PlaneImage]:
    """Cut the stack, all planes equally bright, and refuse prompts that are not on it."""
    from napari_sam2.session.frames import frames_along
    from napari_sam2.session.pixels import value_range
    from napari_sam2.session.view import View

    frames_along(pixels, axis)  # refuses other shapes
    low, high = value_range(pixels.reshape(-1, *pixels.shape[2:]))
    frames = frames_along(pixels, axis, View.of_limits((low, high) if low < high else None))
    for object_id, prompts in asked.items():
        for at, said in prompts.items():
            if not 0 <= at < len(frames):
                raise PromptError(
                    f"Plane {at}, of object {object_id}, does not exist: there are {len(frames)} "
                    f"along axis {axis}, counted from 0."
                )
            said.check(frames[at].shape)
    return frames


def _draw(
    found: dict[tuple[int, int], TrackedMask], shape: tuple[int, ...], axis: int
) -> NDArray[Any]:
    """Give the labels; where objects meet, the lower label keeps the pixels."""
    largest = max((object_id for object_id, _ in found), default=1)
    labels = np.zeros(shape, np.min_scalar_type(largest))
    planes = np.moveaxis(labels, axis, 0)
    for object_id, frame in sorted(found, reverse=True):
        planes[frame][found[object_id, frame].mask.pixels()] = object_id
    return labels


def _write(
    labels: NDArray[Any],
    output: Path,
    found: dict[tuple[int, int], TrackedMask],
    table: Path | None,
) -> None:
    from napari_sam2.session.export import Export
    from napari_sam2.session.exporters.label_tiff import write_label_tiff
    from napari_sam2.session.track_table import rows_of, write_track_table

    write_label_tiff(Export(labels), output, overwrite=True)
    if table is not None:
        write_track_table(rows_of(found.values()), table, overwrite=True)


def _show_progress(planes: set[int], planned: int, started: float) -> None:
    """Count planes on one line of stderr, where somebody looks."""
    if sys.stderr.isatty():
        speed = len(planes) / max(time.perf_counter() - started, 1e-9)
        left = max(planned - len(planes), 0) / speed
        text = f"plane {len(planes)} of at most {planned}, {speed:.1f} a second, {left:.0f} s left"
        typer.echo(f"\r{text:<70}", err=True, nl=False)


def _summary(run: _Run, stack: Path, output: Path, table: Path | None) -> dict[str, Any]:
    model = run.segmenter.model
    memory = model.has_memory and run.options.method != "carry"
    objects = []
    for object_id in sorted({one for one, _ in run.found}):
        track = [run.found[key] for key in sorted(run.found) if key[0] == object_id]
        seen = [one for one in track if one.mask]
        objects.append(
            {
                "object": object_id,
                "planes": len(seen),
                "first": seen[0].frame if seen else None,
                "last": seen[-1].frame if seen else None,
                "area": sum(one.mask.area for one in seen),
                "weakest": min(seen, key=lambda one: one.score).frame if seen else None,
                "stops": {one.frame: one.stop for one in track if one.stop},
            }
        )
    planes = len({at for _, at in run.found})
    return {
        "stack": str(stack),
        "output": str(output),
        "table": None if table is None else str(table),
        "model": model.name,
        "method": "memory" if memory else "carry",
        "planes": planes,
        "seconds": round(run.seconds, 3),
        "interrupted": run.is_interrupted,
        "objects": objects,
    }


def _in_words(summary: dict[str, Any]) -> str:
    lines = []
    for one in summary["objects"]:
        span = f"planes {one['first']} to {one['last']}" if one["planes"] else "nowhere"
        lines.append(f"Object {one['object']}: {span}, {one['area']} pixels")
        lines += [f"  ended at {at}: {why}" for at, why in one["stops"].items()]
    speed = summary["planes"] / max(summary["seconds"], 1e-9)
    lines.append(
        f"{summary['planes']} planes in {summary['seconds']:.1f} s ({speed:.1f} a second), model "
        f"{summary['model']}, method {summary['method']}"
    )
    lines += [f"Wrote {path}" for path in (summary["output"], summary["table"]) if path]
    return "\n".join(lines)
