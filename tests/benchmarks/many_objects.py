"""Work among 5 000 objects: `python -m tests.benchmarks.many_objects`.

A plane of 4096x4096 and a stack of 50 such planes, in a real viewer with the panel, or with
`--no-window` without what draws the layers. Times are those of the GUI thread, which can do nothing
else meanwhile: until the call returns, table and layers included, without the repaint after it.
Under Linux without a display:
`xvfb-run -a -s "-screen 0 1400x900x24" python -m tests.benchmarks.many_objects`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable

# isort: split
from tests.benchmarks.in_viewer import Desk, nuclei, pause, percentile, seconds

# isort: split
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit

from napari_sam2.session.masks import PackedMask
from napari_sam2.session.planes import Plane
from napari_sam2.widget.object_model import AREA, ID
from napari_sam2.widget.object_view import ObjectView

SIDE, OBJECTS = 4096, 5_000
_PLANE = 25  # of the stack, to begin objects on
_RADIUS, _PITCH = 16, 56  # of discs, and from one to the next


def main() -> None:
    """Time both images and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--planes", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--no-window", action="store_true", help="only what is not drawing")
    options = parser.parse_args()
    times: dict[str, dict[str, list[float]]] = {}
    for planes in options.planes:
        name = f"{planes}x{SIDE}x{SIDE}"
        desk = open_desk(planes, not options.no_window)
        times[name] = {"open": [desk.begin_seconds * 1e3], **work(desk, options.rounds)}
        desk.close()
    sys.stdout.write(table(times))


def open_desk(planes: int, has_window: bool) -> Desk:
    """Show an image on which 5 000 objects are labelled already."""
    shape = (SIDE, SIDE) if planes == 1 else (planes, SIDE, SIDE)
    image = np.broadcast_to(nuclei(SIDE), shape)
    return Desk(image, labels(shape), has_window=has_window)


def labels(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Give discs, numbered from 1, spread over the planes evenly; the last columns stay free."""
    array = np.zeros(shape, np.int32)
    stack = array.reshape(-1, *shape[-2:])
    along = SIDE // _PITCH
    for index in range(OBJECTS):
        number, plane = divmod(index, len(stack))
        row, column = divmod(number, along - 1)
        disc = stack[plane, row * _PITCH :, column * _PITCH :][:_PITCH, :_PITCH]
        disc[: 2 * _RADIUS + 1, : 2 * _RADIUS + 1][_disc()] = index + 1
    return array


def work(desk: Desk, rounds: int) -> dict[str, list[float]]:
    """Do everything once in each round; gives milliseconds."""
    panel, controller = desk.panel.panel, desk.controller
    view, field = panel.findChild(ObjectView), panel.table.findChild(QLineEdit)
    ids = np.random.default_rng(0).integers(1, OBJECTS, rounds)
    times: dict[str, list[float]] = {}

    def time(what: str, act: Callable[[], object]) -> None:
        times.setdefault(what, []).append(seconds(act) * 1e3)
        pause(30)

    for round_, object_id in enumerate(int(one) for one in ids):
        show_plane(desk)
        begin_object(desk, round_)
        time("commit", controller.commit)
        time("undo", controller.undo)
        time("redo", controller.redo)
        time("select a row", lambda one=object_id: _select(view, one))
        time("delete", lambda one=object_id: controller.delete([one]))
        time("undo the deletion", controller.undo)
        time("jump to its plane", lambda one=object_id: panel.table.jump_requested.emit(one))
        if round_ < rounds // 8:
            time("filter", lambda: field.setText("area>100"))
            time("filter no more", field.clear)
            time("sort", lambda: view.sortByColumn(AREA, Qt.SortOrder.DescendingOrder))
            time("sort by id", lambda: view.sortByColumn(ID, Qt.SortOrder.AscendingOrder))
    return times


def show_plane(desk: Desk) -> None:
    """Look at the plane on which the next object begins."""
    for axis in range(desk.viewer.dims.ndim - 2):
        desk.viewer.dims.set_point(axis, _PLANE)
    desk.settle()


def begin_object(desk: Desk, number: int) -> None:
    """Take a disc on free ground to work, as if a model had drawn it."""
    document = desk.controller.document
    assert document is not None
    ndim = len(document.labels.shape)
    disc = PackedMask.of(_disc(), (number * _PITCH, SIDE - _PITCH), (SIDE, SIDE))
    plane = Plane((ndim - 2, ndim - 1), (_PLANE,) * (ndim - 2))
    document.begin_from({plane: disc})
    pause(30)


def _select(view: ObjectView, object_id: int) -> None:
    model = view.model()
    index = model.mapFromSource(model.sourceModel().index(object_id - 1, 0))
    view.setCurrentIndex(index)


def _disc() -> NDArray[np.bool_]:
    y, x = np.ogrid[-_RADIUS : _RADIUS + 1, -_RADIUS : _RADIUS + 1]
    return np.asarray(y**2 + x**2 <= _RADIUS**2)


def table(times: dict[str, dict[str, list[float]]]) -> str:
    """Lay out medians and 95th percentiles."""
    lines = ["milliseconds on the GUI thread, p50 (p95)"]
    lines.append(f"| {OBJECTS} objects | {' | '.join(times)} |")
    lines.append("| --- |" + " --- |" * len(times))
    for what in next(iter(times.values())):
        cells = [_summary(of[what]) for of in times.values()]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _summary(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.0f}"
    return f"{statistics.median(values):.1f} ({percentile(values, 95):.1f})"


if __name__ == "__main__":
    main()
