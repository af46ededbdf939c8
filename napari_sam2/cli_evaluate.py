"""The command `evaluate`: how good a model is on labelled pictures, beside classical methods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_sam2 import __version__
from napari_sam2.cli_model import load_segmenter
from napari_sam2.cli_options import DeviceOption, ModelOption, Region
from napari_sam2.cli_output import exit_codes, say, show_count

if TYPE_CHECKING:
    from napari_sam2.session.image_segmenter import ImageSegmenter
    from napari_sam2.training.data import Picture
    from napari_sam2.training.report import Evaluation

_INTERRUPTED = 130  # as shells tell it
_DRAWN_SEED = 4_710_113  # far from the small seeds that runs of training are given
_DRAWN = "drawn"


def evaluate(
    data: Annotated[
        Path,
        typer.Argument(help="Folder with NAME_image.png and NAME_label.png (or .tif), or of such."),
    ],
    split: Annotated[
        str, typer.Option(help="Which pictures, where a folder has lists of names: SPLIT.txt.")
    ] = "val",
    model: ModelOption = "micro",
    device: DeviceOption = "auto",
    region: Annotated[
        Region,
        typer.Option(
            help="Where the model looks: auto, at a part of the picture that suits the object, as "
            "the plugin does; or at the whole picture."
        ),
    ] = Region.AUTO,
    objects: Annotated[
        int, typer.Option(min=1, help="At most so many random objects of each kind of picture.")
    ] = 200,
    every: Annotated[bool, typer.Option("--all", help="All objects.")] = False,
    drawn: Annotated[
        int, typer.Option(min=0, help="Score so many drawn scenes too, of the kind shapes.")
    ] = 0,
    classical: Annotated[
        bool, typer.Option("--classical", help="Score methods without a model beside it.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option(help="Write the table there as well.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures.")] = None,
) -> None:
    """Measure a model: IoU by kind of picture and by way of prompting, as one table.

    In a folder with lists of names the kind is the first word of a picture's name (fluo_0001:
    fluo), elsewhere it is the folder's name. Planes of stacks are pictures of their own.

    Example: napari-sam2 evaluate data --split val --drawn 20 --classical --markdown table.md
    """
    with exit_codes(), _stopped_by_key():
        _check_outputs(markdown, json_file)
        folders = _collect(data, split, drawn)
        segmenter = load_segmenter(model, device)
        evaluation = _measure(segmenter, folders, region, None if every else objects, classical)
        _write(evaluation, markdown, json_file)


@contextmanager
def _stopped_by_key() -> Iterator[None]:
    """End at Ctrl+C with a sentence; what is written is written at the end, whole or not at all."""
    try:
        yield
    except KeyboardInterrupt:
        say("\nStopped. Nothing was written.")
        raise typer.Exit(_INTERRUPTED) from None


def _check_outputs(*paths: Path | None) -> None:
    """Refuse before the work what cannot be written after it."""
    from napari_sam2.session.exporters.whole_file import refuse_existing

    for path in paths:
        if path is not None:
            refuse_existing(path, overwrite=True)


def _collect(data: Path, split: str, drawn: int) -> dict[str, list[Picture]]:
    from napari_sam2.training.collect import collect
    from napari_sam2.training.data import draw_pictures

    folders = collect(data, split)
    if drawn:
        folders[_DRAWN] = draw_pictures(drawn, _DRAWN_SEED)
    return folders


def _measure(
    segmenter: ImageSegmenter,
    folders: dict[str, list[Picture]],
    region: Region,
    per_kind: int | None,
    classical: bool,
) -> Evaluation:
    from napari_sam2.training.evaluate import choose_targets, evaluate
    from napari_sam2.training.evaluate_classical import evaluate_classical
    from napari_sam2.training.report import Evaluation

    pictures = [picture for folder in folders.values() for picture in folder]
    targets = choose_targets(pictures, per_kind)
    say(f"Asking {segmenter.model.name} about {len(targets)} objects ...")
    scores = evaluate(segmenter, targets, region.value, progress=show_count)
    by_hand = []
    if classical:
        say("Asking classical methods ...")
        by_hand = evaluate_classical(targets, progress=show_count)
    facts = {
        "weights": segmenter.model.weights_hash[:12],
        "region": region.value,
        "objects": "all" if per_kind is None else f"at most {per_kind} random ones of each kind",
        "napari-sam2": __version__,
    }
    kinds = {name: [picture.kind for picture in folder] for name, folder in folders.items()}
    return Evaluation(segmenter.model.name, facts, kinds, scores, by_hand)


def _write(evaluation: Evaluation, markdown: Path | None, json_file: Path | None) -> None:
    from napari_sam2.session.exporters.whole_file import written_whole
    from napari_sam2.training.report import to_figures, to_markdown

    table = to_markdown(evaluation)
    typer.echo(table)
    figures = json.dumps(to_figures(evaluation), indent=2)
    for path, text in ((markdown, table), (json_file, figures)):
        if path is not None:
            with written_whole(path, overwrite=True) as unfinished:
                unfinished.write_text(f"{text}\n", encoding="utf-8")
