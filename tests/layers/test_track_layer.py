from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_sam2.errors import PromptError
from napari_sam2.layers.track_layer import show_tracks
from napari_sam2.session.planes import Plane
from napari_sam2.session.track_table import TrackRow

ROW = TrackRow(7, 1, 3.5, 4.5, 9, 0.8, 2.0, "tracked", "")


def test_positions_are_in_the_order_of_the_axes() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 4, 20, 30)), scale=(1, 2, 0.5, 0.5))
    planes = [Plane((2, 3), (at, 2)) for at in range(3)]
    tracks = show_tracks(viewer, image, planes, [ROW])
    np.testing.assert_array_equal(tracks.data, [[7, 1, 2, 3.5, 4.5]])
    assert list(tracks.features["score"]) == [0.8]


def test_no_object_is_no_layer() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 20, 30)))
    with pytest.raises(PromptError, match="There is no object"):
        show_tracks(viewer, image, [Plane((1, 2), (0,))], [])
    assert len(viewer.layers) == 1
