"""The command line: segment a picture, export labels, look at what is installed, fetch models.

Results go to stdout, progress and complaints to stderr. Exit codes: 0 done, 1 it could not be done
(weights not to be had, a file not to be written), 2 the question was wrong (a bad option or image).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import numpy as np
import typer
from numpy.typing import NDArray

from napari_sam2.cli_evaluate import evaluate
from napari_sam2.cli_model import load_segmenter
from napari_sam2.cli_options import (
    Box,
    BoxOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    Plane,
    Point,
    PointsOption,
    RegionOrBox,
    Scale,
)
from napari_sam2.cli_output import (
    exit_codes,
    facts_of,
    in_words,
    info_in_words,
    say,
    show_bytes,
    versions,
)
from napari_sam2.cli_propagate import propagate
from napari_sam2.cli_train import train
from napari_sam2.errors import PromptError
from napari_sam2.image_files import check_writable, read_plane, read_stack, write_image
from napari_sam2.session.arguments import as_field_of_view, as_prompts
from napari_sam2.session.cleanup import Cleanup

if TYPE_CHECKING:
    from napari_sam2.session.results import Prediction

_Points: TypeAlias = list[tuple[float, float]]
_Arguments: TypeAlias = tuple[_Points, list[int], Box | None]

app = typer.Typer(
    help="Segment anything in microscopy images with SAM 2.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line, as the console script `napari-sam2` does."""
    app()


@app.command()
def segment(
    image: Annotated[Path, typer.Argument(help="TIFF, PNG, JPEG, ... grey or RGB.")],
    point: PointsOption = None,
    box: BoxOption = None,
    plane: Annotated[
        Plane | None,
        typer.Option(
            parser=Plane.parse, metavar="I", help="Which plane of a stack; I,J for two axes."
        ),
    ] = None,
    region: Annotated[
        RegionOrBox | None,
        typer.Option(
            parser=RegionOrBox.parse,
            metavar="REGION",
            help="What the model looks at: auto (default), the part where the object is, closer "
            "for a small one; whole, the picture, as the official predictor does; or a box, "
            "Y0,X0,Y1,X1.",
        ),
    ] = None,
    model: ModelOption = "micro",
    device: DeviceOption = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the mask: .tif or .png, 8-bit, 255 on the object and 0 elsewhere."
        ),
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Write a picture of the mask and the prompts on the image.")
    ] = None,
    candidate: Annotated[
        int,
        typer.Option(
            min=1,
            max=3,
            help="Which mask, best first. 2 or 3 asks for three candidates, which otherwise only "
            "a single point does.",
        ),
    ] = 1,
    all_parts: Annotated[
        bool,
        typer.Option(
            "--all-parts",
            help="Keep every part of a mask; otherwise only those that points lie in, if any do.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Segment one object of an image, by points, a box, or both.

    Positions are pixels, rows first; 0,0 is the top left.

    Example: napari-sam2 segment cells.tif --point 120,80 --point -150,95 --output mask.tif
    """
    index = () if plane is None else plane.indices
    look_at = "auto" if region is None else region.region
    with exit_codes():
        _check_outputs(image, output, overlay)
        as_field_of_view(look_at)
        pixels = read_plane(image, index)
        prompts = _check_prompts(point or [], box, pixels)
        segmenter = load_segmenter(model, device)
        say(f"Segmenting {image.name} on {segmenter.model.device} ...")
        prediction = segmenter.segment(
            pixels,
            *prompts,
            multimask=True if candidate > 1 else None,
            region=look_at,
        )
        prediction = prediction.tidied(Cleanup(not all_parts)).choose(candidate - 1)
        _write(prediction, pixels, output, overlay)
    result = {
        "image": str(image),
        "plane": list(index),
        **facts_of(prediction),
        "output": None if output is None else str(output),
        "overlay": None if overlay is None else str(overlay),
    }
    typer.echo(json.dumps(result, indent=2) if as_json else in_words(result))
    if output is None and overlay is None and not as_json:
        say("Nothing was written: give --output mask.tif or --overlay overlay.png.")


@app.command()
def export(
    labels: Annotated[
        Path,
        typer.Argument(help="A session (.sam2.zip), or labels: TIFF, PNG, NPY or OME-Zarr."),
    ],
    output: Annotated[Path, typer.Option(help="What to write; for OME-Zarr a folder.")],
    format_name: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="tiff, ome-zarr, coco, geojson or csv. By default what OUTPUT ends with: .tif, "
            ".zarr, .json, .geojson, .csv.",
        ),
    ] = "",
    scale: Annotated[
        Scale | None,
        typer.Option(
            parser=Scale.parse,
            metavar="S,...",
            help="Size of a pixel along each axis, rows and columns last; or one for all.",
        ),
    ] = None,
    unit: Annotated[str, typer.Option(help="Of the scale, such as um.")] = "",
    image: Annotated[
        Path | None, typer.Option(help="The grey image, whose intensities go into the table.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Export labels: as an image, as outlines, as COCO instances, or as a table.

    Example: napari-sam2 export cells.sam2.zip --output cells.geojson
    """
    with exit_codes():
        from napari_sam2.session.export import find_format, write
        from napari_sam2.session.export_source import open_export, with_facts

        find_format(output, format_name)
        pixels = None if image is None else read_stack(image)
        source = open_export(labels)
        sizes = () if scale is None else scale.sizes
        write(with_facts(source, sizes, unit, pixels), output, format_name, overwrite=overwrite)
    typer.echo(output)


@app.command()
def info(as_json: JsonOption = False) -> None:
    """Show versions, the device, and the models: which there are, which are on this computer."""
    from napari_sam2.session.cache_folder import CacheFolder, default_folder
    from napari_sam2.session.device import choose_device, describe_device
    from napari_sam2.weights.hub import available
    from napari_sam2.weights.registry import REGISTRY, own_models

    here, cache = available(), CacheFolder(default_folder())
    facts: dict[str, Any] = {
        "versions": versions(),
        "device": describe_device(choose_device()),
        "models": [
            {
                "name": entry.name,
                "parameters": entry.parameters,
                "licence": entry.licence,
                "source": entry.repo
                or ("comes with napari-sam2" if entry.bundled else "trained on this computer"),
                "path": str(here[entry.name]) if entry.name in here else None,
            }
            for entry in (*REGISTRY.values(), *own_models().values())
        ],
        "embeddings": {"path": str(cache.path), "bytes": cache.nbytes},
    }
    typer.echo(json.dumps(facts, indent=2) if as_json else info_in_words(facts))


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="Name from `napari-sam2 info`, or owner/repo:file.")],
) -> None:
    """Fetch a model's weights, so that it works without a network later."""
    with exit_codes():
        from napari_sam2.weights.hub import fetch
        from napari_sam2.weights.registry import find_entry

        typer.echo(fetch(find_entry(name), progress=show_bytes))


@app.command()
def clear_cache() -> None:
    """Remove the embeddings that the plugin keeps on disk; nothing of yours."""
    from napari_sam2.session.cache_folder import CacheFolder, default_folder

    cache = CacheFolder(default_folder())
    freed = cache.nbytes
    cache.clear()
    typer.echo(f"{freed / 1e9:.2f} GB of embeddings removed from {cache.path}.")


app.command()(evaluate)
app.command()(propagate)
app.command()(train)


def _check_outputs(image: Path, output: Path | None, overlay: Path | None) -> None:
    for path in (output, overlay):
        if path is None:
            continue
        check_writable(path)
        if path.exists() and image.exists() and path.samefile(image):
            raise PromptError(f"{path} is the input image, which is never overwritten.")
    if output and overlay and output.resolve() == overlay.resolve():
        raise PromptError(f"The mask and the overlay cannot both be {output}. Name two files.")


def _check_prompts(points: list[Point], box: Box | None, pixels: NDArray[Any]) -> _Arguments:
    """Refuse what cannot work before a model is loaded, or even downloaded."""
    from napari_sam2.session.pixels import as_plane, check_finite

    if not points and box is None:
        raise PromptError("Say what to segment: give --point Y,X or --box Y0,X0,Y1,X1.")
    plane = as_plane(pixels)
    check_finite(plane)
    arguments = [(p.y, p.x) for p in points], [p.polarity for p in points], box
    as_prompts(*arguments).check((plane.shape[0], plane.shape[1]))
    return arguments


def _write(
    prediction: Prediction, pixels: NDArray[Any], output: Path | None, overlay: Path | None
) -> None:
    from napari_sam2.session.overlay import draw_overlay

    if output is not None:
        # 255, not 1: a mask that looks black in every viewer is taken for an empty one.
        write_image(output, prediction.mask.astype(np.uint8) * np.uint8(255))
    if overlay is not None:
        write_image(overlay, draw_overlay(prediction, pixels))
