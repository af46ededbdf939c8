"""What the command line says: results on stdout, progress and complaints on stderr, exit codes."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import typer

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.session.results import Prediction

FAILED, MISUSED = 1, 2  # exit codes
_LISTED_PACKAGES = ("napari-sam2", "torch", "napari", "numpy", "huggingface-hub")


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn our errors into one sentence on stderr and an exit code."""
    try:
        yield
    except PromptError as error:
        say(f"Error: {error}")
        raise typer.Exit(MISUSED) from error
    except Sam2Error as error:
        say(f"Error: {error}")
        raise typer.Exit(FAILED) from error


def say(text: str) -> None:
    """Tell people what goes on, on stderr: stdout is for results."""
    typer.echo(text, err=True)


def show_bytes(done: int, total: int) -> None:
    """Draw a download's progress on one line of stderr; a log file gets the last line only."""
    finished = done >= total
    if sys.stderr.isatty() or finished:
        end = "\n" if finished else ""
        typer.echo(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB{end}", err=True, nl=False)


def show_count(done: int, total: int) -> None:
    """Count objects on one line of stderr; a log file gets the last line only."""
    finished = done >= total
    if sys.stderr.isatty() or finished:
        end = "\n" if finished else ""
        typer.echo(f"\r{done} of {total} objects{end}", err=True, nl=False)


def facts_of(prediction: Prediction) -> dict[str, Any]:
    """Give what is worth knowing of an answer, as JSON can hold it."""
    mask = prediction.packed_mask
    return {
        "shape": list(mask.shape),
        "model": prediction.request.model,
        "device": prediction.request.device,
        "region": list(prediction.region or prediction.request.image.whole),  # that was looked at
        "area": mask.area,
        "bbox": list(mask.box) if mask else None,  # y0, x0, y1, x1; the last row is y1 - 1
        "candidate": prediction.chosen + 1,
        "iou_predictions": [float(iou) for iou in prediction.iou_predictions],
        "object_score": prediction.object_score,
        "embed_seconds": prediction.embed_seconds,
        "decode_seconds": prediction.decode_seconds,
    }


def in_words(result: dict[str, Any]) -> str:
    """Tell the result of `segment` to people."""
    ious, chosen = result["iou_predictions"], result["candidate"]
    lines = [
        f"Mask: {result['area']} pixels, box {result['bbox']} (y0, x0, y1, x1)",
        f"Candidate {chosen} of {len(ious)}, predicted IoU {ious[chosen - 1]:.3f}",
        f"Object score {result['object_score']:.2f} (above 0: there is an object)",
        f"Looked at {result['region']} (y0, x0, y1, x1)",
        f"Embedding {result['embed_seconds']:.3f} s, decoding {result['decode_seconds']:.3f} s",
        f"Model {result['model']} on {result['device']}",
    ]
    lines += [f"Wrote {path}" for path in (result["output"], result["overlay"]) if path]
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Give the versions of what a bug report should name."""
    found = {"python": platform.python_version()}
    for package in _LISTED_PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def info_in_words(facts: dict[str, Any]) -> str:
    """Tell the result of `info` to people."""
    lines = [f"{package} {number}" for package, number in facts["versions"].items()]
    lines += ["", f"Device: {facts['device']}", "", "Models:"]
    for model in facts["models"]:
        size = f"{model['parameters'] / 1e6:.1f} M" if model["parameters"] else ""
        where = model["path"] or f"not on this computer (napari-sam2 download {model['name']})"
        lines.append(f"  {model['name']:<15} {size:>8}  {model['licence'] or '':<11} {where}")
    kept = facts["embeddings"]
    lines += ["", f"Embeddings on disk: {kept['bytes'] / 1e9:.2f} GB in {kept['path']}"]
    return "\n".join(lines)
