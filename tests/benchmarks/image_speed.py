"""Time of the two halves of a click, and of loading: `python -m tests.benchmarks.image_speed`.

The models take turns, so that a machine whose speed drifts treats them alike; compare the ratios.
Official models are timed with random weights, whose values do not matter for time; only what ships
is loaded.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from napari_sam2._sample_data import read_sample
from napari_sam2.model import CONFIGS, Sam2, build_sam2
from napari_sam2.session.preprocess import to_model_input
from napari_sam2.session.refinement import refine
from napari_sam2.weights.loading import load_weights
from napari_sam2.weights.registry import REGISTRY


def main() -> None:
    """Time the models and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["micro", "sam2.1_hiera_tiny"])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    image = read_sample("nuclei_fluorescence")
    ships = {name for name in options.models if name in REGISTRY and REGISTRY[name].bundled}
    tasks = {
        (name, half): task
        for name in options.models
        for half, task in tasks_of(
            load_weights(name) if name in ships else build_sam2(name), image
        ).items()
    }
    tasks |= {(name, "load"): partial(load_weights, name) for name in ships}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in tasks}
    for round_ in range(options.rounds + 1):  # the first round warms up
        for key, task in tasks.items():
            started = time.perf_counter()
            task()
            if round_:
                times[key].append((time.perf_counter() - started) * 1e3)
    sys.stdout.write(table(times, options.threads))


@torch.inference_mode()
def tasks_of(model: Sam2, image: np.ndarray) -> dict[str, Callable[[], object]]:
    """Give the halves of a click: prepare and embed a plane, decode one point and refine that."""
    size = model.config.image_size
    features = model.embed(to_model_input(image, size)[None])
    coords = torch.full((1, 1, 2), size / 2)
    labels = torch.ones(1, 1, dtype=torch.int32)
    output = model.decode(features, coords, labels, multimask=True)
    refining = torch.inference_mode()(lambda: refine(model, features, output, coords, labels))
    return {
        "embed": torch.inference_mode()(lambda: model.embed(to_model_input(image, size)[None])),
        "decode": torch.inference_mode()(
            lambda: model.decode(features, coords, labels, multimask=True)
        ),
        **({} if model.refiner is None else {"refine three masks": refining}),
    }


def table(times: dict[tuple[str, str], list[float]], threads: int) -> str:
    """Lay the times out, with each one's ratio to the first model's."""
    first = next(iter(times))[0]
    lines = [
        f"torch {torch.__version__}, {threads} threads, milliseconds",
        "| model | input | half | median | quartiles | times the first model's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for (name, half), values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        ratio = middle / statistics.median(times[first, half])
        side = CONFIGS[name].image_size
        cells = (name, str(side), half, f"{middle:.1f}", f"{low:.1f} to {high:.1f}", f"{ratio:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
