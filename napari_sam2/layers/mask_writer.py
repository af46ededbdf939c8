"""The one door out: masks become pixels of a Labels layer, each change one undo step."""

from __future__ import annotations

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.session.planes import Plane
from napari_sam2.session.results import Prediction

_AT_WORK = "napari_sam2_object"  # key in the layer's metadata: the label of the object at work


class MaskWriter:
    """Draws the mask of the object at work, over empty pixels and its own only.

    Parameters
    ----------
    labels : Labels
        Shaped as the image. What is already in it stays. An object that an earlier writer left
        unfinished, with no higher label since, is gone on with: its prompts may still be there.
    """

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self._drawn: dict[Plane, NDArray[np.bool_]] = {}  # every pixel that a preview has used
        self._object_id = 0
        self._resumed = self._resume()
        if not self._resumed:
            self._take_next_id()

    @property
    def object_id(self) -> int:
        """The label value of the object at work."""
        return self._object_id

    @property
    def has_mask(self) -> bool:
        """Whether any pixel of the object is drawn."""
        return any(self._own_pixels(plane).any() for plane in self._drawn_planes())

    def show(self, prediction: Prediction) -> None:
        """Replace the object's mask on the prediction's plane by the chosen candidate.

        An answer about an object that was committed meanwhile changes nothing.

        Raises
        ------
        PromptError
            If the mask does not fit the layer, or nothing can be written to it.
        """
        request = prediction.request
        if request.object_id != self._object_id:
            return
        plane, mask = Plane(request.axes, request.plane), prediction.mask
        self._check_fits(plane, mask)
        drawn = self._drawn.get(plane)
        if drawn is None and len(prediction.masks) == 0:
            return
        if drawn is None and self._resumed:
            drawn = self._own_pixels(plane)  # the earlier writer's
        self._write(plane, mask, mask if drawn is None else mask | drawn)
        self._drawn[plane] = mask if drawn is None else mask | drawn

    def erase(self) -> None:
        """Take the object's mask off every plane that it was drawn on."""
        for plane in self._drawn_planes():
            own = self._own_pixels(plane)  # with the brush's, which the next object would inherit
            self._write(plane, np.zeros_like(own), own)
        self._drawn.clear()

    def commit(self) -> int:
        """Keep the mask, go on to the next free label, and give the one that was kept."""
        committed = self._object_id
        self._take_next_id()
        self._drawn.clear()
        self._resumed = False
        return committed

    def _resume(self) -> bool:
        """Take up the object that was at work in this layer; tell whether there is one."""
        at_work = int(self.labels.metadata.get(_AT_WORK, 0))
        if at_work < max(1, int(np.max(self.labels.data))):
            return False
        self._object_id = self.labels.selected_label = at_work
        return True

    def _take_next_id(self) -> None:
        highest = max(int(np.max(self.labels.data)), self._object_id)
        limit = np.iinfo(self.labels.data.dtype).max
        if highest >= limit:
            raise PromptError(
                f"{self.labels.name!r} needs room for another label, but its type "
                f"{self.labels.data.dtype} ends at {limit}. Convert it: right-click the layer, "
                "Convert data type."
            )
        self._object_id = highest + 1
        self.labels.metadata[_AT_WORK] = self._object_id
        self.labels.selected_label = self._object_id  # so that the brush corrects this object

    def _drawn_planes(self) -> list[Plane]:
        """List where the object is drawn: nowhere, once the layer has data of another shape."""
        return [plane for plane, drawn in self._drawn.items() if self._fits(plane, drawn.shape)]

    def _own_pixels(self, plane: Plane) -> NDArray[np.bool_]:
        pixels = plane.as_displayed(np.asarray(self.labels.data[plane.key]))
        return np.asarray(pixels == self._object_id)

    def _check_fits(self, plane: Plane, mask: NDArray[np.bool_]) -> None:
        if not self._fits(plane, mask.shape):
            raise PromptError(
                f"{self.labels.name!r} must have the shape of the image, got "
                f"{self.labels.data.shape} for a plane of {mask.shape}. Delete it, then press "
                "Annotate to make a new one."
            )

    def _fits(self, plane: Plane, shape: tuple[int, ...]) -> bool:
        sizes = self.labels.data.shape
        return (
            len(sizes) == len(plane.index) + 2
            and plane.shape_of(sizes) == shape
            and all(i < sizes[axis] for i, axis in zip(plane.index, plane.hidden_axes, strict=True))
        )

    def _write(self, plane: Plane, mask: NDArray[np.bool_], touched: NDArray[np.bool_]) -> None:
        """Set the `touched` pixels that are empty or the object's: to it in the mask, else to 0."""
        rows, columns = np.nonzero(touched)
        indices = _data_indices(plane, rows, columns)
        current = np.asarray(self.labels.data[indices])
        wanted = np.where(mask[rows, columns], self._object_id, 0).astype(current.dtype)
        changed = (wanted != current) & ((current == 0) | (current == self._object_id))
        if changed.any():
            self.labels.data_setitem(tuple(axis[changed] for axis in indices), wanted[changed])


def _data_indices(
    plane: Plane, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[NDArray[np.intp], ...]:
    """Give what indexes the pixels of a plane in the data: one array for each axis."""
    indices: dict[int, NDArray[np.intp]] = {plane.axes[0]: rows, plane.axes[1]: columns}
    for axis, value in zip(plane.hidden_axes, plane.index, strict=True):
        indices[axis] = np.full(len(rows), value)
    return tuple(indices[axis] for axis in sorted(indices))
