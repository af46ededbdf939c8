"""From a click to changed pixels of the mask: `python -m tests.benchmarks.click_to_pixels`.

Real viewers, the real panel, worker and shipped model. Three images take turns: 512x512 pixels, and
twice a stack of 50x4096x4096, with 64 times as many nuclei, or with as many of 64 times the area
(and three candidates of 100 000 pixels each to draw). The time runs from the point that is added
until the pixels of the mask layer have changed, on the GUI thread. The decoder alone is timed in
the same run, between the clicks, and taken off. Under Linux without a display:
`xvfb-run -a -s "-screen 0 1400x900x24" python -m tests.benchmarks.click_to_pixels`.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# isort: split
from tests.benchmarks.in_viewer import Desk, Waiting, nuclei, percentile, places, seconds

# isort: split
import numpy as np
import torch

import napari_sam2
from napari_sam2._sample_data import read_sample
from napari_sam2.session.results import Prediction
from tests.benchmarks.image_speed import tasks_of

_SMALL, _LARGE = (512, 512), (50, 4096, 4096)
SCENES = {  # shape, and whether the nuclei are magnified
    "512x512": (_SMALL, False),
    "50x4096x4096, more nuclei": (_LARGE, False),
    "50x4096x4096, larger nuclei": (_LARGE, True),
}


def main() -> None:
    """Click on both images in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clicks", type=int, default=60)
    parser.add_argument("--warm-up", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-window", action="store_true", help="only what is not drawing")
    parser.add_argument("--profile", type=int, default=0, help="show so many functions per size")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    decode = decoder()
    desks = {name: open_desk(name, not options.no_window) for name in SCENES}
    for desk in desks.values():
        desk.settle()
    runs = {name: Run(desk, bool(options.profile)) for name, desk in desks.items()}
    alone: list[float] = []
    count = options.clicks + options.warm_up
    where = {
        name: places(count, shape[-1], magnified=magnified)
        for name, (shape, magnified) in SCENES.items()
    }
    for index in range(count):
        for name, run in runs.items():
            run.click(where[name][index], counts=index >= options.warm_up)
        alone += decode()
    sys.stdout.write(table(runs, alone, options.threads))
    for name, run in runs.items():
        if options.profile:
            sys.stdout.write(f"\n{name}\n")
            pstats.Stats(run.profile).sort_stats("cumulative").print_stats(options.profile)
        run.desk.close()


class Run:
    """Clicks on one image, and how long each took, in milliseconds.

    Attributes
    ----------
    pixels : list of float
        From the click until the pixels of the mask had changed.
    answering : list of float
        What the worker said that it needed to decode, beside a GUI that draws.
    redrawing : list of float
        One repaint of the window, with nothing beside it.
    """

    def __init__(self, desk: Desk, profiles: bool) -> None:
        self.desk, self.profile = desk, cProfile.Profile()
        self._profiles = profiles
        self.pixels: list[float] = []
        self.answering: list[float] = []
        self.redrawing: list[float] = []

    def click(self, place: tuple[float, float], *, counts: bool) -> None:
        """Place a point, wait for its mask, and take both away again."""
        desk, times = self.desk, list[float]()
        layers, plane = desk.layers, desk.viewer.dims.point[:-2]
        answers: list[Prediction] = []
        loop = Waiting()

        def on_update() -> None:
            times.append(time.perf_counter())
            loop.quit()

        layers.mask.events.labels_update.connect(on_update)
        desk.controller.answered.connect(answers.append)
        with self._profiling(counts):
            started = time.perf_counter()
            layers.points.add((*plane, *place))
            loop.wait()
        layers.mask.events.labels_update.disconnect(on_update)
        desk.controller.answered.disconnect(answers.append)
        desk.settle()
        desk.controller.cancel()
        redrawing = desk.redraw()
        if counts:
            self.pixels.append((times[0] - started) * 1e3)
            self.answering.append(answers[0].decode_seconds * 1e3)
            self.redrawing.append(redrawing * 1e3)

    @contextmanager
    def _profiling(self, counts: bool) -> Iterator[None]:
        if self._profiles and counts:
            self.profile.enable()
        yield
        self.profile.disable()


def open_desk(scene: str, has_window: bool = True) -> Desk:
    """Show nuclei; a stack repeats one plane without taking memory for it."""
    shape, magnified = SCENES[scene]
    plane = nuclei(shape[-1], magnified=magnified)
    return Desk(np.broadcast_to(plane, shape), has_window=has_window)


def decoder() -> Callable[[], list[float]]:
    """Give what times the model's decoder alone, three times, in milliseconds."""
    model = napari_sam2.load_model("micro")
    image = read_sample("nuclei_fluorescence")[:512, :512]
    decode = tasks_of(model, image)["decode"]
    return lambda: [seconds(decode) * 1e3 for _ in range(3)]


def table(runs: dict[str, Run], alone: list[float], threads: int) -> str:
    """Lay out medians and 95th percentiles, and what remains beyond the decoder alone."""
    decoding, clicks = statistics.median(alone), len(next(iter(runs.values())).pixels)
    lines = [
        f"torch {torch.__version__}, {threads} threads, {clicks} clicks each, milliseconds",
        f"decoder alone: {decoding:.1f} (p95 {percentile(alone, 95):.1f})",
        "| image | to pixels p50 | p95 | beyond decoding p50 | p95 | answer | repaint |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, run in runs.items():
        p50, p95 = percentile(run.pixels, 50), percentile(run.pixels, 95)
        values = (p50, p95, p50 - decoding, p95 - decoding)
        values += (statistics.median(run.answering), statistics.median(run.redrawing))
        lines.append(f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} |")
    small, *others = runs.items()
    for name, run in others:
        ratios = [percentile(run.pixels, at) / percentile(small[1].pixels, at) for at in (50, 95)]
        lines.append(f"{name}, to {small[0]}: p50 {ratios[0]:.2f}, p95 {ratios[1]:.2f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
