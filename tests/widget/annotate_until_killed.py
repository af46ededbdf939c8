"""A process that annotates, says when its work is safe, and waits for its end.

`python -m tests.widget.annotate_until_killed RECOVERY_FOLDER`
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_sam2.session.objects import ObjectClass
from napari_sam2.session.recovery import Recovery
from napari_sam2.widget import SegmentWidget
from tests.fakes import SquarePredict

READY = "all is safe"


def cells() -> np.ndarray:
    """The image, which must be the same in both processes."""
    return np.random.default_rng(7).integers(0, 255, (5, 40, 60), np.uint8)


def main(folder: Path) -> None:
    app = QApplication(["annotate"])
    viewer = ViewerModel()
    viewer.add_layer(Image(cells(), name="cells", scale=(2, 0.5, 0.5)))
    panel = SegmentWidget(viewer, SquarePredict(), recovery=Recovery(folder))
    panel.panel.annotate.click()
    panel.panel.view.normalisation_changed.emit("min-max")
    controller = panel.controller
    points = next(layer for layer in viewer.layers if isinstance(layer, Points))

    def click(plane: int, y: float, x: float) -> None:
        viewer.dims.set_point(0, 2 * plane)
        points.add((plane, y, x))
        wait_until(lambda: controller.can_commit and not controller.busy)

    click(1, 10, 20)
    controller.commit()
    click(3, 30, 40)
    controller.cycle()
    controller.commit()
    controller.document.set_classes([ObjectClass("nucleus", "#0072b2")])
    controller.document.set_class([2], "nucleus")
    controller.document.rename(2, "the dividing one")
    click(3, 10, 10)
    panel.panel.prompts.polarity_chosen.emit(0)
    click(3, 10.25, 15)
    controller.cycle()
    wait_until(lambda: panel._safety.is_safe)
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    app.exec()


def wait_until(is_true: Callable[[], bool]) -> None:
    while not is_true():
        QTest.qWait(5)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
