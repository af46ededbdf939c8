"""Tries all combinations, prints what came of them, and writes docs/matrix.md."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.matrix.cases import Case, all_cases
from tests.matrix.trial import run

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"
HEAD = """# The test matrix

*Written by `python -m tests.matrix`; do not edit it.*

Each of the {count} combinations below is an image of its own kind, placed in the world in its own
way, with a shape in it that is known in the world. A user clicks on the shape, keeps the mask, and
draws around it; a stub answers in the model's place with what is bright under the click, as the
model would be shown it. All else is the plugin: reading the plane, carrying the click from its
layer over the world into the plane, writing the mask. Each pixel of the objects layer must then
agree with the shape in the world to half a pixel of the image, and so must the box around the
outline. The user's image must be as it was, and in the 3-D view the prompts stay and one sentence
asks for 2-D.

Where things are in the world is computed by the test from the parts of the transforms, not asked of
napari or of the plugin. Nothing here says how good a model is: see [micro](models/micro.md).

| word | means |
| --- | --- |
| P, T, C, Z, Y, X | axes of the data; rgb and rgba are colours |
| scaled | pixels of another size along each axis |
| moved | translated |
| rotated | scaled, translated and turned by 25 degrees on screen |
| sheared | scaled and sheared on screen |
| affine | translated, and an affine matrix on top |
| mixed | all of these at once |
| flipped | scaled, with one axis backwards |
| in order, transposed | the last two axes on screen, and exchanged |
| rolled | the axes rolled once, as Ctrl+E does |
| across | the first and the last axis on screen |
| larger stack | another image has one axis more, so that the sliders stand elsewhere |
| other units | another image in nanometres below ours in micrometres |
| on the image | our layers lie where the image is |
| elsewhere | points and shapes each have a transform of their own, and labels were moved by hand |
| before the image | our layers were made, and then the image was scaled, turned and moved |

Geometry (axes x placing x order) is a full grid; so is data (dtype x kind, on five kinds of axes).
What a grid does not fix goes round.

What cannot be, is said in one sentence and changes nothing: clicks in the 3-D view; a layer that is
turned or sheared out of the plane on screen; a slider beyond the image; an axis on screen that the
image does not have. These have tests of their own in `tests/layers/test_axes.py`.

"""


def main() -> int:
    """Give 1 if a combination failed."""
    warnings.simplefilter("error")
    cases, failures = all_cases(), dict[Case, str]()
    started = time.perf_counter()
    for number, case in enumerate(cases):
        failures |= {case: why} if (why := tried(case)) else {}
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{number + 1} of {len(cases)}, {len(failures)} failed")
    page = HEAD.format(count=len(cases)) + tables(cases, failures)
    PAGE.write_text(page, encoding="utf-8")
    sys.stdout.write(page)
    seconds = time.perf_counter() - started
    right = len(cases) - len(failures)
    sys.stdout.write(f"{right} of {len(cases)} are right, in {seconds:.0f} s.\n")
    return int(bool(failures))


def tried(case: Case) -> str:
    """Give what is wrong with a case, also if that is an exception."""
    try:
        return run(case)
    except Exception as error:  # noqa: BLE001  # the others are to be tried as well
        return f"{type(error).__name__}: {error}"


def tables(cases: list[Case], failures: dict[Case, str]) -> str:
    """Give what came of the cases as Markdown."""
    parts = [
        _grid("Axes and placing", cases, failures, lambda c: c.axes, lambda c: c.placing),
        _grid("Axes and order", cases, failures, lambda c: c.axes, lambda c: c.order),
        _grid("Data", cases, failures, lambda c: c.dtype, lambda c: c.kind),
        _grid("Other layers", cases, failures, lambda c: c.company, lambda c: c.prompts),
        "## Every combination\n\n```text\n"
        + "".join(f"{failures.get(case, 'right')}: {case}\n" for case in cases)
        + "```\n",
    ]
    return "\n".join(parts)


def _grid(
    title: str,
    cases: list[Case],
    failures: dict[Case, str],
    row_of: Callable[[Case], str],
    column_of: Callable[[Case], str],
) -> str:
    """Count what is right for each pair of values."""
    rows, columns = _values(map(row_of, cases)), _values(map(column_of, cases))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    for row in rows:
        cells = []
        for column in columns:
            here = [c for c in cases if (row_of(c), column_of(c)) == (row, column)]
            right = sum(case not in failures for case in here)
            cells.append(f"{right} of {len(here)}" if here else "")
        lines.append([row, *cells])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"## {title}\n\nCombinations that are right, of those tried.\n\n{table}"


def _values(found: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    sys.exit(main())
