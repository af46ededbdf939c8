"""Draws how a model learnt, from the log of its training.

    python docs/learning_curve.py

Reads the logs of `micro`, its memory and its refiner in `models/` beside this file, and writes
`images/micro-learning.svg` and so on. Other logs:
`python docs/learning_curve.py runs/mine/log.jsonl mine.svg`. Standard library only.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LOGS = {
    HERE / "models" / f"{name}-log.jsonl": HERE / "images" / f"{name}-learning.svg"
    for name in ("micro", "micro-memory", "micro-refiner")
}

# Keys of the log that are IoUs on training windows: what they are called, and a colour that
# colour-blind people tell from the others.
SERIES = {
    "click": ("one click", "#0072b2"),
    "click2": ("click, corrected", "#56b4e9"),
    "box": ("box", "#d55e00"),
    "box2": ("box, corrected", "#e69f00"),
    "near": ("next frame", "#009e73"),
    "far": ("last frame", "#cc79a7"),
    "click0_was": ("click, unrefined", "#56b4e9"),
    "click0_now": ("click, refined", "#0072b2"),
    "click2_now": ("3 clicks, refined", "#009e73"),
    "box0_was": ("box, unrefined", "#e69f00"),
    "box0_now": ("box, refined", "#d55e00"),
}
WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 56, 150, 34, 48  # margins; names stand to the right of their lines
LINE_HEIGHT = 17  # of names that would else overlap
MOST_DOTS = 250  # of one colour; each is a faint one
MEAN_OF = 9  # dots that a point of a line stands for

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Where steps and IoUs lie on the picture."""

    last_step: float

    def x(self, step: float) -> float:
        """Give the place of a step."""
        return LEFT + step / self.last_step * (WIDTH - LEFT - RIGHT)

    def y(self, iou: float) -> float:
        """Give the place of an IoU."""
        return HEIGHT - BOTTOM - iou * (HEIGHT - TOP - BOTTOM)


def draw(entries: Sequence[dict[str, Any]]) -> str:
    """Draw the IoUs of a log, one entry for each line of it, as SVG."""
    chart = Chart(max(entry["step"] for entry in entries))
    series = {key: points_of(entries, key) for key in SERIES}
    series = {key: points for key, points in series.items() if points}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<g font-family="sans-serif" font-size="13">',
        "<title>IoU on training windows, by step</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *axes(chart),
        *stages(chart, entries),
    ]
    for key, points in series.items():
        parts += line(chart, points, SERIES[key][1])
    parts += names(chart, series)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def points_of(entries: Sequence[dict[str, Any]], key: str) -> Points:
    """Give (step, IoU) of the entries that have it; of a long log, means of a few in a row."""
    points = [(entry["step"], entry[key]) for entry in entries if key in entry]
    size = math.ceil(len(points) / MOST_DOTS) or 1
    return [mean(points[start : start + size]) for start in range(0, len(points), size)]


def smooth(points: Points) -> Points:
    """Give running means, over fewer dots towards either end."""
    reach = MEAN_OF // 2
    return [
        (step, mean(points[max(index - reach, 0) : index + reach + 1])[1])
        for index, (step, _) in enumerate(points)
    ]


def mean(points: Points) -> tuple[float, float]:
    """Give the mean step and the mean IoU."""
    steps, ious = zip(*points, strict=True)
    return sum(steps) / len(steps), sum(ious) / len(ious)


def axes(chart: Chart) -> Iterator[str]:
    """Draw grid, numbers and titles."""
    for tenth in range(0, 11, 2):
        y = chart.y(tenth / 10)
        yield f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>'
        yield text(LEFT - 8, y + 4, f"{tenth / 10:.1f}", anchor="end")
    for step in ticks(chart.last_step):
        yield text(chart.x(step), HEIGHT - BOTTOM + 18, f"{step:,.0f}".replace(",", "\u202f"))
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, "step")
    yield text(LEFT - 40, TOP - 16, "mean IoU on training windows", anchor="start")


def ticks(last: float) -> list[float]:
    """Give four to ten round numbers from 0 to the last one."""
    size = 10 ** math.floor(math.log10(last))
    pace = next(size * part for part in (0.1, 0.2, 0.5, 1, 2) if last <= 10 * size * part)
    return [pace * index for index in range(int(last / pace) + 1)]


def stages(chart: Chart, entries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Mark where the windows that were trained on change their size."""
    side, begun = None, 0
    for entry in entries:
        if entry.get("side", side) != side:
            side = entry["side"]
            x = chart.x(begun)
            yield f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#999" stroke-dasharray="3"/>'
            yield text(x + 4, HEIGHT - BOTTOM - 6, f"{side} px", anchor="start")
        begun = entry["step"]


def line(chart: Chart, points: Points, colour: str) -> Iterator[str]:
    """Draw faint dots, and their running mean as a line."""
    dots = "".join(f"M{chart.x(step):.1f} {chart.y(iou):.1f}h.1" for step, iou in points)
    dot = 'stroke-width="3" stroke-linecap="round" opacity="0.25"'
    yield f'<path d="{dots}" stroke="{colour}" {dot}/>'
    places = " ".join(f"{chart.x(step):.1f},{chart.y(iou):.1f}" for step, iou in smooth(points))
    yield f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'


def names(chart: Chart, series: dict[str, Points]) -> Iterator[str]:
    """Write each name beside the end of its line, with the IoU there."""
    last = {key: smooth(points)[-1][1] for key, points in series.items()}
    lowest = math.inf
    for key in sorted(last, key=last.__getitem__):
        lowest = min(chart.y(last[key]) + 4, lowest - LINE_HEIGHT)
        name, colour = SERIES[key]
        label = f"{name} {last[key]:.2f}"
        yield text(WIDTH - RIGHT + 8, lowest, label, anchor="start", colour=colour)


def text(x: float, y: float, words: str, *, anchor: str = "middle", colour: str = "#333") -> str:
    """Write words."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def main() -> None:
    """Draw the log that was named, or those of `micro`."""
    named = {Path(sys.argv[1]): Path(sys.argv[2])} if len(sys.argv) > 2 else LOGS
    for log, picture in named.items():
        entries = [json.loads(entry) for entry in log.read_text(encoding="utf-8").splitlines()]
        picture.write_text(draw(entries), encoding="utf-8")


if __name__ == "__main__":
    main()
