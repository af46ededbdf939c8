"""Between the panel of propagation and what follows objects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari.components import ViewerModel

from napari_sam2.controller import Controller
from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.layers.image_source import ImageSource
from napari_sam2.layers.track_layer import show_tracks
from napari_sam2.session.planes import Plane
from napari_sam2.session.track_job import TrackStarted
from napari_sam2.session.track_plan import cells_of, line_of_planes
from napari_sam2.session.track_table import rows_of_document, write_track_table
from napari_sam2.widget.propagation_panel import Axis, PropagationPanel

_TABLE = "Comma-separated values (*.csv)"
AskWhere = Callable[[str, str, str], str]


class PropagationLink:
    """Lets the panel start and stop, and show what is known of each plane.

    Parameters
    ----------
    panel : PropagationPanel
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    source : ImageSource
    controller : Controller
    ask_where : callable
        Gives the path to save to, as `FileDialogs.ask_where_to_save`.
    say, complain : callable
        Take a sentence for the user.
    """

    def __init__(
        self,
        panel: PropagationPanel,
        viewer: ViewerModel,
        source: ImageSource,
        controller: Controller,
        ask_where: AskWhere,
        say: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._panel, self._viewer, self._source = panel, viewer, source
        self._controller, self._tracking = controller, controller.tracking
        self._ask_where, self._say, self._complain = ask_where, say, complain
        self._slots = (
            (panel.requested, self._on_requested),
            (panel.stop_requested, self._on_stop_requested),
            (panel.accept_requested, self._on_accept_requested),
            (panel.tracks_requested, self._on_tracks_requested),
            (panel.table_requested, self._on_table_requested),
            (panel.plane_chosen, self._on_plane_chosen),
            (panel.axis_changed, self.show),
            (controller.changed, self.show),
            (source.changed, self.show),
            (self._tracking.started, self._on_started),
            (self._tracking.progressed, self._on_progressed),
            (self._tracking.ended, self._on_ended),
            (self._tracking.failed, self._on_failed),
        )
        for signal, slot in self._slots:
            signal.connect(slot)

    def close(self) -> None:
        """Listen no more."""
        for signal, slot in self._slots:
            signal.disconnect(slot)

    def show(self) -> None:
        """Show along which axes one can go, and what is known of the planes."""
        line = self._line(shows_axes=True)
        document = self._controller.document
        if line is None or document is None:
            self._panel.show_cells((), None)
            self._panel.allow(start=False, output=False)
            return
        planes, here = line
        cells = cells_of(document, planes, self._tracking.ends)
        self._panel.show_cells(cells, here)
        has_mask = any(cell.kind for cell in cells)
        self._panel.allow(
            start=has_mask or bool(document.state.objects),
            output=has_mask or bool(document.state.objects),
        )

    def _line(self, *, shows_axes: bool = False) -> tuple[tuple[Plane, ...], int] | None:
        """Give the planes along the chosen axis, and which of them is on screen."""
        document, image = self._controller.document, self._source.image
        try:
            plane = None if image is None else self._source.plane
        except PromptError:
            plane = None
        if plane is None or document is None or image is None:
            return None
        shape = document.labels.shape
        if shows_axes:
            names = [str(name) for name in image.axis_labels]
            axes = [Axis(a, _name(names[a], a), shape[a]) for a in plane.hidden_axes]
            self._panel.show_axes([axis for axis in axes if axis.length > 1], None)
        axis = self._panel.axis
        if axis is None or axis not in plane.hidden_axes:
            return None
        return line_of_planes(plane, axis, shape)

    def _on_requested(self) -> None:
        axis = self._panel.axis
        if axis is not None:
            self._controller.propagate(axis, self._panel.reach, self._panel.options)

    def _on_stop_requested(self, revert: bool) -> None:
        self._tracking.stop(revert=revert)

    def _on_accept_requested(self) -> None:
        line = self._line()
        if line is not None:
            self._controller.accept(line[0])

    def _on_plane_chosen(self, at: int) -> None:
        line = self._line()
        if line is not None:
            self._source.show(line[0][at])

    def _on_tracks_requested(self) -> None:
        line, document, image = self._line(), self._controller.document, self._source.image
        if line is None or document is None or image is None:
            return
        try:
            show_tracks(self._viewer, image, line[0], rows_of_document(document, line[0]))
        except PromptError as error:
            self._complain(str(error))

    def _on_table_requested(self) -> None:
        line, document, image = self._line(), self._controller.document, self._source.image
        if line is None or document is None or image is None:
            return
        chosen = self._ask_where("Write a table of tracks", f"{image.name}-tracks.csv", _TABLE)
        if not chosen:
            return
        path = Path(chosen)
        path = path if path.suffix else path.with_suffix(".csv")
        try:
            write_track_table(rows_of_document(document, line[0]), path, overwrite=True)
        except Sam2Error as error:
            self._complain(str(error))
        else:
            self._say(f"Wrote {path}.")

    def _on_started(self, started: TrackStarted) -> None:
        self._panel.show_method(started.method, started.model, has_memory=started.has_memory)

    def _on_progressed(self, done: int, total: int, seconds: float) -> None:
        self._panel.show_progress(done, total, seconds)

    def _on_ended(self, sentence: str) -> None:
        self._panel.show_progress(0, 0, 0.0)
        self._say(sentence)
        self.show()

    def _on_failed(self, sentence: str) -> None:
        self._panel.show_progress(0, 0, 0.0)
        self._complain(sentence)
        self.show()


def _name(label: str, axis: int) -> str:
    """Give a name for people: napari calls axes without one "axis -3"."""
    return f"axis {axis}" if label.startswith("axis ") else label
