"""A real viewer with the panel in its dock, to be timed. Needs a display; import it first of all.

Settings and recovery files go to a folder of their own, which is gone at the end.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_home = tempfile.TemporaryDirectory(prefix="napari-sam2-benchmark-", ignore_cleanup_errors=True)
os.environ |= {  # each reader looks once, when it is imported
    "NAPARI_CONFIG": str(Path(_home.name) / "napari.yaml"),
    **{f"XDG_{kind}_HOME": str(Path(_home.name) / kind) for kind in ("CACHE", "CONFIG", "DATA")},
}

import napari  # noqa: E402
import numpy as np  # noqa: E402
from napari.components import ViewerModel  # noqa: E402
from napari.layers import Image  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from qtpy.QtCore import QEventLoop, QTimer  # noqa: E402
from qtpy.QtWidgets import QApplication  # noqa: E402

from napari_sam2._sample_data import read_sample  # noqa: E402
from napari_sam2.layers.create import OurLayers, find_layers  # noqa: E402
from napari_sam2.session.recovery import Recovery  # noqa: E402
from napari_sam2.widget import SegmentWidget  # noqa: E402

_PATIENCE_MS = 60_000
_PART, _BRIGHT = 512, 40  # of the sample: its size, and what is no background
WINDOW = (1400, 900)
_app = napari.qt.get_qapp()


class Desk:
    """One viewer with one image, the panel, and our layers of the image.

    Parameters
    ----------
    image : array, shape (H, W) or (Z, H, W)
        Is shown as it is.
    labels : integer array, optional
        What the layer of objects holds before the annotation begins.
    has_window : bool
        Else there is no viewer around the panel, and nobody draws the layers.
    """

    def __init__(
        self,
        image: NDArray[np.uint16],
        labels: NDArray[np.int32] | None = None,
        *,
        has_window: bool = True,
    ) -> None:
        self.viewer = napari.Viewer(show=True) if has_window else ViewerModel()
        if has_window:
            self.viewer.window.resize(*WINDOW)
        self.image: Image = self.viewer.add_image(
            image, name="nuclei", contrast_limits=(0, int(image[(0,) * (image.ndim - 2)].max()))
        )
        folder = Path(tempfile.mkdtemp(dir=_home.name))
        self.panel = SegmentWidget(self.viewer, recovery=Recovery(folder))
        if has_window:
            self.viewer.window.add_dock_widget(self.panel, name="Segment with SAM 2")
        else:
            self.panel.show()
        if labels is not None:
            self._prepare(labels)
        self.controller = self.panel.controller
        self.begin_seconds = seconds(self.panel.panel.annotate.click)
        self.viewer.reset_view()
        pause(300)

    @property
    def layers(self) -> OurLayers:
        """Those of the image."""
        layers = find_layers(self.viewer, self.image)
        assert layers is not None
        return layers

    def _prepare(self, labels: NDArray[np.int32]) -> None:
        from napari_sam2.layers.create import create_objects, no_longer_new

        layer = create_objects(self.image)
        no_longer_new(layer)  # so that somebody looks into it
        layer.data = labels
        self.viewer.add_layer(layer)

    def settle(self) -> None:
        """Wait until the worker rests and everything is drawn."""
        while self.panel.controller.busy:
            pause(5)
        pause(40)

    def redraw(self) -> float:
        """Give how many seconds a repaint of the window takes, by nothing but a point's."""
        self.settle()
        self.layers.points.refresh()
        return seconds(QApplication.processEvents)

    def close(self) -> None:
        """Close the viewer."""
        self.settle()
        self.panel.close()
        if isinstance(self.viewer, napari.Viewer):
            self.viewer.close()


def pause(milliseconds: int) -> None:
    """Let Qt work for a while."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec_()


class Waiting:
    """Lets Qt work until somebody calls `quit`."""

    def __init__(self) -> None:
        self._loop = QEventLoop()
        self.quit = self._loop.quit

    def wait(self) -> None:
        """Wait for that, for a minute at most."""
        QTimer.singleShot(_PATIENCE_MS, lambda: self._loop.exit(1))
        if self._loop.exec_() != 0:
            raise TimeoutError(f"Nothing came within {_PATIENCE_MS / 1e3:.0f} seconds.")


def seconds(act: Callable[[], object]) -> float:
    """Give how long this takes on the GUI thread."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def nuclei(side: int, *, magnified: bool = False) -> NDArray[np.uint16]:
    """Give the shipped nuclei, (side, side): a part of 512 pixels, repeated or magnified.

    Repeated, there are more nuclei of the same size in pixels. Magnified, there are as many of them
    and they look the same to the model, but each has more pixels.
    """
    part, times = _part().astype(np.uint16) * 256, (side // _PART,) * 2
    return np.kron(part, np.ones(times, np.uint16)) if magnified else np.tile(part, times)


def places(count: int, side: int, *, magnified: bool = False) -> list[tuple[float, float]]:
    """Give (y, x) inside nuclei of such a picture, always the same ones."""
    rng = np.random.default_rng(0)
    bright = np.argwhere(_part() > _BRIGHT)
    chosen = rng.choice(bright, count, replace=False)  # (N, 2)
    times = side // _PART
    if magnified:
        found = (chosen + 0.5) * times - 0.5
    else:
        found = chosen + _PART * rng.integers(0, times, chosen.shape)
    return [(float(y), float(x)) for y, x in found]


def _part() -> NDArray[np.uint8]:
    return read_sample("nuclei_fluorescence")[:_PART, :_PART]


def percentile(values: Sequence[float], at: int) -> float:
    """Give the value below which `at` percent lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[at - 1]
