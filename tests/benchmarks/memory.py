"""Peak memory of annotating: `python -m tests.benchmarks.memory`.

A plane of 2048 x 2048, 20 such planes, and a lazy pyramid of 100 000 x 100 000, each in a process
of its own: opened in a viewer without a window, annotated with the panel, an object clicked, kept,
undone and done again (on each of the 20 planes), and the work kept safe. `--model stub` answers
with small squares and loads no torch: what is left is ours and napari's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIDE, PLANES, HUGE = 2048, 20, 100_000
CASES = ("plane", "stack", "huge")
_MIB = 2**20
Steps = dict[str, float]


def main() -> None:
    """Measure the cases, each in a fresh process, and print a table in MiB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="micro", help="a model's name, or 'stub'")
    parser.add_argument("--case", choices=CASES, action="append", help="all by default")
    parser.add_argument("--json", action="store_true", help="print what was measured, for programs")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    cases = options.case or list(CASES)
    if options.here:
        sys.stdout.write(json.dumps(measure(cases[0], options.model)))
        return
    found = {case: in_fresh_process(case, options.model) for case in cases}
    sys.stdout.write(json.dumps(found) if options.json else table(found))


def in_fresh_process(case: str, model: str) -> Steps:
    """Give the peak after each step, in MiB."""
    command = [sys.executable, "-m", __spec__.name, "--here", "--case", case, "--model", model]
    environment = {"QT_QPA_PLATFORM": "offscreen", **os.environ}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    steps: Steps = json.loads(done.stdout)
    return steps


def measure(case: str, model: str) -> Steps:
    """Annotate in this process; the steps hold the highest resident memory so far, in MiB."""
    from tests.benchmarks.in_viewer import pause

    # isort: split
    from napari.components import ViewerModel

    from napari_sam2.widget.runner import LazyPredict
    from tests.widget.desk import Desk

    steps: Steps = {}

    def step(name: str, act: Callable[[], object]) -> None:
        act()
        steps[name] = peak() / _MIB

    viewer = ViewerModel()
    step("start", lambda: None)
    step("open", lambda: viewer.add_image(IMAGES[case](), contrast_limits=(0, 65535)))
    desk = Desk(viewer, None if model == "stub" else LazyPredict())
    if model != "stub":
        desk.controller.model = model
    step("annotate", desk.annotate)
    for plane in range(PLANES if case == "stack" else 1):
        at = (HUGE * 0.7, HUGE * 0.6) if case == "huge" else (SIDE * 0.7, SIDE * 0.6)
        if case == "huge":  # the whole of it on screen, nuclei could not be seen
            viewer.scene.camera.center, viewer.scene.camera.zoom = (0, *at), 1
        if case == "stack":
            desk.go_to(plane)
            at = (plane, *at)
        step("click", lambda at=at: desk.click(*at))
        step("keep", desk.controller.commit)
        step("undo", desk.controller.undo)
        step("redo", desk.controller.redo)
        desk.settle()
    step("autosave", lambda: pause(2_000))
    assert len(desk.state.objects) == (PLANES if case == "stack" else 1), desk.said
    desk.close()
    return steps


def plane() -> Any:
    """Give nuclei, in memory."""
    from tests.benchmarks.in_viewer import nuclei

    return nuclei(SIDE)


def stack() -> Any:
    """Give the nuclei on many planes, each with its own memory, as one that was read has."""
    import numpy as np

    return np.stack([plane()] * PLANES)


def huge() -> Any:
    """Give nuclei all over, that are made when they are looked at, and coarser levels of them."""
    import dask.array as da

    tile, levels, side = plane(), [], HUGE
    while side > SIDE // 2:
        level = tile[:: 2 ** len(levels), :: 2 ** len(levels)]
        times = -(-side // len(level)), -(-side // len(level))
        levels.append(da.tile(da.from_array(level, chunks=-1), times)[:side, :side])
        side = -(-side // 2)
    return levels


IMAGES: dict[str, Callable[[], Any]] = {"plane": plane, "stack": stack, "huge": huge}


def peak() -> float:
    """Give the highest resident memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux; what `getrusage` tells there may be the parent's
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024.0 * int(lines["VmHWM"].split()[0])
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def table(found: dict[str, Steps]) -> str:
    """Give the peaks after each step, a column for each case."""
    steps = list(next(iter(found.values())))
    lines = ["| MiB | " + " | ".join(found) + " |", "| --- |" + " --- |" * len(found)]
    lines += [
        f"| {step} | " + " | ".join(f"{peaks[step]:.0f}" for peaks in found.values()) + " |"
        for step in steps
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
