"""The command `train`: a model that knows your objects, from pictures that you have labelled."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_sam2.cli_model import load_segmenter
from napari_sam2.cli_options import DeviceOption, JsonOption
from napari_sam2.cli_output import FAILED, exit_codes, say
from napari_sam2.errors import PromptError

if TYPE_CHECKING:
    from napari_sam2.training.finetune import FineTuner
    from napari_sam2.training.tuning import Progress

_INTERRUPTED = 130  # as shells tell it


class TrainedPart(str, Enum):
    """What is trained; see `training.tuning.Recipe`."""

    HEAD = "head"
    FULL = "full"


def train(
    images: Annotated[Path, typer.Option(help="Folder of pictures: TIFF, PNG, JPEG, ...")],
    labels: Annotated[
        Path,
        typer.Option(
            help="Folder of label images: cell.tif or cell_label.tif for cell.tif; one integer per "
            "object, 0 elsewhere."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The new model: a .safetensors file.")],
    base: Annotated[
        str, typer.Option("--from", help="Model to begin with; as --model of other commands.")
    ] = "micro",
    mode: Annotated[
        TrainedPart,
        typer.Option(
            help="head: what reads prompts and draws masks; quick, also without a graphics card. "
            "full: what looks at the pictures as well."
        ),
    ] = TrainedPart.HEAD,
    steps: Annotated[int, typer.Option(min=1, help="More take longer and learn more.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Draws what is held out, and the order.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was stopped.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    device: DeviceOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Train a model on your own labelled pictures.

    A fifth of the pictures (or of the objects, of one or two pictures) is held out to see whether
    it helps; the best model on these is written, and none if it does not help.

    Example: napari-sam2 train --images raw --labels labels --output mine.safetensors
    """
    from napari_sam2.weights.registry import state_path

    state = state_path(output)
    with exit_codes():
        _check_files(output, state, resume, overwrite)
        tuner = _prepare(images, labels, base, device, (mode.value, steps, seed))
        if resume:
            tuner.resume(state)
        with _stopped_by_key(tuner, state):
            _train(tuner, state)
        told = _finish(tuner, state, output)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    elif told["output"]:
        typer.echo(output)
    if not told["output"]:
        raise typer.Exit(FAILED)


def _check_files(output: Path, state: Path, resume: bool, overwrite: bool) -> None:
    """Refuse before the work what cannot be written after it, or would be lost by it."""
    from napari_sam2.session.exporters.whole_file import refuse_existing

    if output.suffix != ".safetensors":
        raise PromptError(f"A model is written as .safetensors, got {output}. End its name so.")
    refuse_existing(output, overwrite=overwrite)
    if state.exists() and not (resume or overwrite):
        raise PromptError(
            f"{state} holds a training that was stopped. Go on with it by --resume, or begin anew "
            "by --overwrite."
        )
    if resume and not state.exists():
        raise PromptError(f"There is no training to go on with at {state}. Leave --resume out.")


def _prepare(
    images: Path, labels: Path, base: str, device: str, recipe: tuple[Any, int, int]
) -> FineTuner:
    from napari_sam2.training.pairs import read_pairs

    pictures = read_pairs(images, labels)
    model = load_segmenter(base, device).model
    from napari_sam2.training.finetune import FineTuner
    from napari_sam2.training.tuning import Recipe

    tuner = FineTuner(model, pictures, Recipe(*recipe))
    say(
        f"Learning from {tuner.split.objects} objects of {len(tuner.split.learnt)} pictures on "
        f"{model.device}; {len(tuner.split.held_out)} others are checked on."
    )
    return tuner


def _train(tuner: FineTuner, state: Path) -> None:
    from napari_sam2.training.finetune import train as train_to_the_end

    train_to_the_end(tuner, state, _Teller())


@contextmanager
def _stopped_by_key(tuner: FineTuner, state: Path) -> Iterator[None]:
    """End at Ctrl+C with a sentence; the state has been kept by then."""
    try:
        yield
    except KeyboardInterrupt:
        say(
            f"\nStopped after step {tuner.step} of {tuner.recipe.steps}, which is kept in {state}. "
            "Give the same command with --resume to go on."
        )
        raise typer.Exit(_INTERRUPTED) from None


def _finish(tuner: FineTuner, state: Path, output: Path) -> dict[str, Any]:
    """Write the model if it is better, and tell the figures."""
    outcome = tuner.outcome
    before, after = outcome.before, outcome.after
    say(
        f"IoU of {outcome.held_out} objects held out: one click {before.click:.3f} -> "
        f"{after.click:.3f}, box {before.box:.3f} -> {after.box:.3f} (step {outcome.best_step})."
    )
    if outcome.helped:
        tuner.export(output)
    else:
        say(
            "Training did not make it better on these, so no model is written. Label more objects, "
            "or try --mode full."
        )
    state.unlink(missing_ok=True)
    return {
        "output": str(output) if outcome.helped else None,
        "base": tuner.model.name,
        **asdict(tuner.recipe),
        "objects": outcome.objects,
        "held_out": outcome.held_out,
        "best_step": outcome.best_step,
        "iou_before": before._asdict(),
        "iou_after": after._asdict(),
    }


class _Teller:
    """Tells progress on one line of stderr; a log file gets a line for each check."""

    def __call__(self, progress: Progress) -> None:
        if progress.figures is not None:
            figures = progress.figures
            self._line(f"held out: one click {figures.click:.3f}, box {figures.box:.3f}\n")
        elif sys.stderr.isatty():
            loss = "" if progress.loss is None else f", loss {progress.loss:.2f}"
            self._line(f"{progress.stage} {progress.done} of {progress.total}{loss}")

    @staticmethod
    def _line(text: str) -> None:
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""
        typer.echo(f"{clear}{text}", err=True, nl=False)
