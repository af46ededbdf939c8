"""Embedding beside a viewer that is panned: `python -m tests.benchmarks.stall`.

A real viewer is panned by a timer, without a pause, while a plane is read, prepared and embedded:
not at all, on the main thread (as a tool without workers does), on our worker thread, and in a
process of its own that shares memory. A heartbeat of a few milliseconds tells how long the event
loop stood still. All ways take turns in one run, because the machine has other work as well.
Under Linux without a display:
`xvfb-run -a -s "-screen 0 1400x900x24" python -m tests.benchmarks.stall`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory

# isort: split
from tests.benchmarks.in_viewer import WINDOW, Waiting, nuclei, pause

# isort: split
import napari
import numpy as np
import torch
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Qt, QTimer, Signal

import napari_sam2
from napari_sam2.model import build_sam2
from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache import FeatureCache
from napari_sam2.session.image_segmenter import ImageSegmenter

SIDE = 2048  # pixels of the plane
_BEAT_MS, _PAN_MS = 4, 16
_IDLE_SECONDS = 1.0
_STEP = 7.0  # pixels of the image for each step of the pan
_SWITCH_SECONDS = sys.getswitchinterval()

Work = Callable[[], object]


def main() -> None:
    """Embed in all ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="micro", help="micro, or an architecture")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3600, help="begin no round after that")
    parser.add_argument("--ways", nargs="+", default=["worker", "process"], choices=list(WAYS))
    options = parser.parse_args()
    ways = [WAYS[name] for name in options.ways]
    bench = Bench(options.model)
    notes: dict[str, Notes] = {}
    started, rounds = time.perf_counter(), 0
    bench.play(ways, {})  # warms up
    while rounds < options.rounds and time.perf_counter() - started < options.seconds:
        bench.play(ways, notes)
        rounds += 1
    bench.close()
    sys.stdout.write(table(options.model, rounds, notes))


@dataclass(frozen=True)
class Way:
    """One way to embed.

    Attributes
    ----------
    where : str
        "main", "thread" or "process".
    threads : int
        Of torch; 0 leaves its own number.
    switch : float
        Seconds after which Python asks a thread to let another one work.
    """

    where: str
    threads: int = 0
    switch: float = _SWITCH_SECONDS


WAYS = {
    "main thread": Way("main"),
    "worker": Way("thread"),
    "worker of one thread": Way("thread", threads=1),
    "worker, switch 1 ms": Way("thread", switch=0.001),
    "process": Way("process"),
}


@dataclass
class Notes:
    """What one way took: all in milliseconds.

    Attributes
    ----------
    work : list of float
        One embedding.
    longest, p99 : list of float
        Gaps between heartbeats meanwhile, of each round.
    frames : list of float
        Steps of the pan in a second.
    """

    work: list[float] = field(default_factory=list)
    longest: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    frames: list[float] = field(default_factory=list)

    def add(self, seconds: float, viewing: Viewing) -> None:
        """Take note of one round."""
        self.work.append(seconds * 1e3)
        self.longest.append(max(viewing.gaps) * 1e3)
        self.p99.append(float(np.percentile(viewing.gaps, 99)) * 1e3)
        self.frames.append(viewing.steps / sum(viewing.gaps))


class Viewing:
    """Counts heartbeats of the event loop, and pans meanwhile."""

    def __init__(self, viewer: napari.Viewer, pans: bool) -> None:
        self._camera = getattr(viewer, "scene", viewer).camera  # napari 0.9 has moved it
        self.gaps: list[float] = []
        self.steps = 0
        self._timers = [_timer(_BEAT_MS, self._beat)]
        if pans:
            self._timers.append(_timer(_PAN_MS, self._pan))
        self._last = 0.0

    def begin(self) -> None:
        """Count from now on."""
        self.gaps.clear()
        self.steps = 0
        self._last = time.perf_counter()

    def stop(self) -> None:
        """Count no more."""
        self._beat()
        for timer in self._timers:
            timer.stop()

    def _beat(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def _pan(self) -> None:
        self.steps += 1
        away = SIDE / 4 + _STEP * (self.steps % 128)
        self._camera.center = (away, away)


class Bench:
    """A viewer with a picture, and a model that embeds it anew each time."""

    def __init__(self, model: str) -> None:
        plane = nuclei(SIDE)
        # As in the plugin, only the worker calls torch: OpenMP threads for the main thread
        # as well make those of the worker sleep at each barrier.
        self._pool = ThreadPoolExecutor(1)
        self._work = self._pool.submit(embedding, model, plane).result()
        self._viewer = napari.Viewer(show=True)
        self._viewer.window.resize(*WINDOW)
        self._viewer.add_image(plane, contrast_limits=(0, int(plane.max())))
        getattr(self._viewer, "scene", self._viewer).camera.zoom = 1.0
        self._bare = Process(model, plane)
        pause(300)

    def play(self, ways: list[Way], notes: dict[str, Notes]) -> None:
        """Do everything once."""
        names = {way: name for name, way in WAYS.items()}
        self._note(notes, "idle pan", _idle, pans=True)
        self._note(notes, "bare call", self._bare.embed, pans=False)
        for way in ways:
            for pans in (False, True):
                state = "panned" if pans else "at rest"
                self._note(notes, f"{names[way]}, {state}", lambda way=way: self._do(way), pans)

    def close(self) -> None:
        """End the processes and close the viewer."""
        self._pool.shutdown()
        self._bare.close()
        self._viewer.close()

    def _note(
        self, notes: dict[str, Notes], name: str, act: Callable[[], float], pans: bool
    ) -> None:
        pause(100)
        viewing = Viewing(self._viewer, pans)
        if pans:
            pause(200)  # until it is in full swing
        viewing.begin()
        seconds = act()
        viewing.stop()
        notes.setdefault(name, Notes()).add(seconds, viewing)

    def _do(self, way: Way) -> float:
        """Embed in a way, and let Qt work meanwhile."""
        if way.where == "main":
            waiting, taken = Waiting(), list[float]()
            QTimer.singleShot(0, lambda: (taken.append(_seconds(self._work)), waiting.quit()))
            waiting.wait()
            return taken[0]
        if way.where == "process":
            return elsewhere(self._pool, self._bare.embed)
        sys.setswitchinterval(way.switch)
        try:
            return elsewhere(self._pool, lambda: _embed_as(way, self._work))
        finally:
            sys.setswitchinterval(_SWITCH_SECONDS)


class Process:
    """Embeds in a process of its own; the plane and the features lie in shared memory."""

    def __init__(self, model: str, plane: NDArray[np.uint16]) -> None:
        context = multiprocessing.get_context("spawn")
        self._memory = SharedMemory(create=True, size=plane.nbytes)
        self._features = SharedMemory(create=True, size=2**25)
        np.ndarray(plane.shape, plane.dtype, self._memory.buf)[:] = plane
        self._ours, theirs = context.Pipe()
        names = self._memory.name, self._features.name
        self._process = context.Process(target=_serve, args=(theirs, model, *names))
        self._process.start()
        self._ours.recv()

    def embed(self) -> float:
        """Ask for it and wait; give how long that took."""
        started = time.perf_counter()
        self._ours.send("embed")
        self._ours.recv()
        return time.perf_counter() - started

    def close(self) -> None:
        """End it."""
        self._ours.send("")
        self._process.join()
        for memory in (self._memory, self._features):
            memory.close()
            memory.unlink()


def _serve(pipe: Connection, model: str, plane: str, features: str) -> None:
    pixels, out = SharedMemory(plane), SharedMemory(features)
    shared = np.ndarray((SIDE, SIDE), np.uint16, pixels.buf)
    work = embedding(model, shared)
    pipe.send("ready")
    while pipe.recv():
        found = work()
        at = 0
        for tensor in (found.image_embed, *found.high_res_features):
            there = np.ndarray(tensor.shape, np.float32, out.buf, at)
            there[:] = tensor.numpy()
            at += tensor.nbytes
        pipe.send("done")
    os._exit(0)  # without a word about the arrays that still look into the shared memory


def embedding(model: str, plane: NDArray[np.uint16]) -> Callable[[], ImageFeatures]:
    """Give what reads, prepares and embeds a plane, anew each time."""
    net = napari_sam2.load_model(model, "cpu") if model == "micro" else build_sam2(model)
    segmenter = ImageSegmenter(net, FeatureCache(max_bytes=0))
    return lambda: segmenter.embed(plane, (0, 65535))


def _embed_as(way: Way, work: Work) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(way.threads or before)
    try:
        return _seconds(work)
    finally:
        torch.set_num_threads(before)


class _Bell(QObject):
    rung = Signal()


def elsewhere(pool: ThreadPoolExecutor, act: Callable[[], float]) -> float:
    """Do something on a thread, let Qt work meanwhile, and give what comes back."""
    bell, waiting = _Bell(), Waiting()
    bell.rung.connect(waiting.quit, _QUEUED)
    future = pool.submit(act)
    future.add_done_callback(lambda _: bell.rung.emit())
    waiting.wait()
    return future.result()


_QUEUED = Qt.ConnectionType.QueuedConnection


def _idle() -> float:
    pause(int(_IDLE_SECONDS * 1e3))
    return 0.0


def _seconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _timer(milliseconds: int, act: Callable[[], None]) -> QTimer:
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(act)
    timer.start(milliseconds)
    return timer


def table(model: str, rounds: int, notes: dict[str, Notes]) -> str:
    """Lay out the medians of all rounds; ratios are those of the same round, to the bare call."""
    bare, idle = notes["bare call"].work, notes["idle pan"].longest
    lines = [
        f"{model}, torch {torch.__version__}, {torch.get_num_threads()} threads, {rounds} rounds",
        "| what | embedding | times bare | longest gap | beyond idle pan | p99 gap | pans per s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, note in notes.items():
        ratio = statistics.median(own / base for own, base in zip(note.work, bare, strict=True))
        beyond = statistics.median(own - base for own, base in zip(note.longest, idle, strict=True))
        longest, p99 = statistics.median(note.longest), statistics.median(note.p99)
        work, frames = statistics.median(note.work), statistics.median(note.frames)
        lines.append(
            f"| {name} | {work:.0f} | {ratio:.2f} | {longest:.0f} | {beyond:.0f} | {p99:.0f} "
            f"| {frames:.1f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
