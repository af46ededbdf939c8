"""Makes a layer of tracks: where the middle of each object is, plane by plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Tracks

from napari_sam2.errors import PromptError
from napari_sam2.layers.create import drawn_on, new_mark
from napari_sam2.layers.place import lay_on
from napari_sam2.session.planes import Plane
from napari_sam2.session.track_table import TrackRow


def show_tracks(
    viewer: ViewerModel, image: Image, planes: Sequence[Plane], rows: Sequence[TrackRow]
) -> Tracks:
    """Put tracks onto an image; a layer of its tracks that is there becomes these.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.
    image : Image
        Whose planes were followed.
    planes : sequence of Plane
        By frame.
    rows : sequence of TrackRow
        In order of objects and frames.

    Raises
    ------
    PromptError
        If there is no object on these planes.
    """
    if not rows:
        raise PromptError("There is no object on these planes yet: keep or follow one first.")
    data = np.array([_place(planes[row.frame], row) for row in rows])  # (N, 1 + D)
    features = {
        "area": [row.area for row in rows],
        "score": [row.score for row in rows],
        "frame": [row.frame for row in rows],
    }
    for layer in drawn_on(viewer.layers, image):
        if isinstance(layer, Tracks):
            layer.data, layer.features = data, features
            return layer
    tracks = Tracks(
        data,
        features=features,
        name=f"{image.name}: tracks",
        metadata=new_mark(image, "tracks"),
        tail_length=len(planes),
    )
    lay_on(tracks, image)
    viewer.add_layer(tracks)
    return tracks


def _place(plane: Plane, row: TrackRow) -> list[float]:
    """Give the object and its middle, in the order of the data's axes."""
    along = dict(zip(plane.axes, (row.centroid_y, row.centroid_x), strict=True))
    along |= dict(zip(plane.hidden_axes, plane.index, strict=True))
    return [row.object, *(along[axis] for axis in sorted(along))]
