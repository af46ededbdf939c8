"""Write a run's averaged weights as a file that ships: `python -m napari_sam2.training.export`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from napari_sam2.errors import PromptError
from napari_sam2.model import build_sam2
from napari_sam2.model.config import named_config
from napari_sam2.model.refiner import widths_in
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.weights.loading import save_weights


def export(run: Path, output: Path, config: str = "micro", *, old_memory: bool = False) -> int:
    """Write a run's averaged weights in half precision, with its history; give its step.

    Parameters
    ----------
    run, output : Path
    config : str
    old_memory : bool
        The memory's weights are written if the run trained them; or, on demand, those that it began
        with, which are of another image path: the memory's training can go on from there.

    Raises
    ------
    PromptError
        If the old memory is asked for, and there was none.
    """
    state = torch.load(run / "state.pt", weights_only=True)
    shapes = {key: tuple(tensor.shape) for key, tensor in state["average"].items()}
    model = build_sam2(replace(named_config(config), refiner_widths=widths_in(shapes)))
    model.load_state_dict(state["average"])
    names = memory_keys(state["average"])
    if old_memory and not any(state["average"][name].any() for name in names):
        raise PromptError(
            f"{run} began with weights that have no memory. Leave out --old-memory, and train one."
        )
    model.has_memory = state["memory"] or old_memory
    recipe = {"step": state["step"], **state["recipe"]}
    told = {"recipe": recipe, "history": state["history"]}
    save_weights(model, output, told, dtype=torch.float16)
    step: int = state["step"]
    return step


def main() -> None:
    """Export a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--config", default="micro")
    parser.add_argument(
        "--old-memory",
        action="store_true",
        help="write the memory that the run began with, to train it on from there",
    )
    options = parser.parse_args()
    export(options.run, options.output, options.config, old_memory=options.old_memory)


if __name__ == "__main__":
    main()
