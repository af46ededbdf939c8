"""Write a run's averaged weights as a file that ships: `python -m napari_sam2.training.export`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from napari_sam2.model import build_sam2
from napari_sam2.weights.loading import save_weights


def export(run: Path, output: Path, config: str = "micro") -> int:
    """Write a run's averaged weights in half precision, with its history; give its step.

    The memory's weights are written if the run was theirs.
    """
    state = torch.load(run / "state.pt", weights_only=True)
    model = build_sam2(config)
    model.load_state_dict(state["average"])
    model.has_memory = state["memory"]
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
    options = parser.parse_args()
    export(options.run, options.output, options.config)


if __name__ == "__main__":
    main()
