"""Memory and speed of propagation: `python -m tests.benchmarks.propagation_memory`.

Peak memory is that of a process of its own for each length, with frames that are made as they are
read and a small cache, so that only what grows with the clip can show. Speed is that of random
weights, whose values do not matter for time.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.frames import frames_along
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.prompts import Prompts
from napari_sam2.session.propagation import propagate
from napari_sam2.session.tracks import NEVER_STOP, Method, PropagationOptions, TrackedObject
from tests.configs import TINY

SIDE = 256
CACHE_BYTES = 8 * 2**20
MODELS = ("micro", "sam2.1_hiera_tiny")
UNITS = {"linux": 1024, "darwin": 1}  # bytes of `ru_maxrss`


class MadeFrames:
    """A stack that exists only where it is read."""

    def __init__(self, count: int) -> None:
        self.shape = (count, SIDE, SIDE)

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        index, *region = key
        plane = np.random.default_rng(index).integers(0, 255, (SIDE, SIDE), np.uint8)
        return plane[tuple(region)]


def follow(model: Sam2, count: int, objects: int, method: Method = "memory") -> float:
    """Follow objects through a clip from its middle, and give the seconds."""
    prompts = Prompts(points=((SIDE / 2, SIDE / 2),), polarity=(1,))
    started = time.perf_counter()
    for _ in propagate(
        ImageSegmenter(model, FeatureCache(CACHE_BYTES)),
        frames_along(MadeFrames(count)),
        [TrackedObject(number, {count // 2: prompts}) for number in range(1, objects + 1)],
        PropagationOptions(method=method, stop=NEVER_STOP),
    ):
        pass
    return time.perf_counter() - started


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", nargs="+", type=int, default=[10, 1000])
    parser.add_argument("--frames", type=int, default=20, help="for the speed")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--peak", type=int, help="follow so many frames and print the peak")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        follow(build_sam2(replace(TINY, image_size=128)), options.peak, objects=2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sys.stdout.write(f"{peak * UNITS[sys.platform]}\n")
        return
    lines = ["| frames | peak memory of the process, MiB |", "| --- | --- |"]
    for length in options.lengths:
        command = [sys.executable, "-m", __spec__.name, "--peak", str(length), "--threads", "1"]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        lines.append(f"| {length} | {peak / 2**20:.0f} |")
    lines += ["", f"torch {torch.__version__}, {options.threads} threads"]
    lines += ["| model | method | objects | planes per second |", "| --- | --- | --- | --- |"]
    for name in MODELS:
        model = build_sam2(name)
        follow(model, 2, objects=1)  # warms up
        for method in ("memory", "carry"):
            for objects in (1, 5):
                seconds = follow(model, options.frames, objects, method)
                speed = options.frames / seconds
                lines.append(f"| {name} | {method} | {objects} | {speed:.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
