"""The door in for pixels: the chosen image and the plane of it that is on screen."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from psygnal import Signal

from napari_sam2.errors import PromptError
from napari_sam2.layers.axes import displayed_plane, world_of_plane
from napari_sam2.layers.channels import Channels
from napari_sam2.layers.pyramid import PlanePyramid
from napari_sam2.layers.visible import VisiblePart
from napari_sam2.session.masks import Box
from napari_sam2.session.plane_image import PlaneImage
from napari_sam2.session.planes import Plane

_DIMS_EVENTS = ("point", "order", "ndisplay")


class ImageSource:
    """Reads the plane on screen of one image, and tells when it becomes another.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.

    Attributes
    ----------
    channels : Channels
        What the model sees of the image, and of layers beside it.
    screen : VisiblePart
        Tells which part of the plane is seen.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self.channels = Channels(viewer)
        self.channels.changed.connect(self.changed.emit)
        self.screen = VisiblePart(viewer)
        self._dims = viewer.dims
        self._image: Image | None = None
        self._versions = count()
        self._version = next(self._versions)
        self._seen: Plane | None = None
        for name in _DIMS_EVENTS:
            getattr(self._dims.events, name).connect(self._on_dims_changed)

    @property
    def image(self) -> Image | None:
        """The chosen image."""
        return self._image

    @property
    def plane(self) -> Plane:
        """The plane on screen.

        Raises
        ------
        PromptError
            If there is no image, or no whole plane of it is on screen.
        """
        if self._image is None:
            raise PromptError("Segmenting needs an image, got none. Open one and choose it here.")
        return displayed_plane(self._image, self._dims)

    def show(self, plane: Plane) -> None:
        """Move the sliders to a plane; seen from another side, the axes are rolled as well."""
        if self._image is None:
            return
        offset = self._dims.ndim - self._image.ndim  # layers share the last axes of the world
        shown = tuple(axis + offset for axis in plane.axes)
        if self._dims.ndisplay != 2 or tuple(sorted(self._dims.displayed)) != shown:
            hidden = (axis for axis in range(self._dims.ndim) if axis not in shown)
            self._dims.ndisplay = 2
            self._dims.order = (*hidden, *shown)
        for axis, point in world_of_plane(self._image, plane, self._dims).items():
            self._dims.set_point(axis, point)

    def select(self, image: Image | None) -> None:
        """Choose the image to read, or none."""
        if image == self._image:
            return
        self._disconnect_image()
        self._image = image
        self.channels.follow(image)
        if image is not None:
            image.events.set_data.connect(self._on_image_read)
        self._notice_plane()
        self._version = next(self._versions)
        self.changed.emit()

    def read(self) -> tuple[PlaneImage, Plane]:
        """Give the plane on screen; its pixels are read later, by whoever calls its `read`.

        Raises
        ------
        PromptError
            If there is no image, or no whole plane of it is on screen.
        """
        plane = self.plane
        return self.read_plane(plane), plane

    def read_plane(self, plane: Plane) -> PlaneImage:
        """Give any plane of the chosen image.

        Raises
        ------
        PromptError
            If the channels of this plane cannot be put together.
        """
        return self.channels.plane(plane, self._version, _plane_image)

    def visible_box(self, plane: Plane) -> Box | None:
        """Give the part of a plane of the image that is on screen; None if nothing is."""
        return None if self._image is None else self.screen.box_on(self._image, plane)

    def close(self) -> None:
        """Disconnect from the viewer and the image."""
        self.screen.close()
        self._disconnect_image()
        self._image = None
        self.channels.close()
        self.channels.changed.disconnect(self.changed.emit)
        for name in _DIMS_EVENTS:
            getattr(self._dims.events, name).disconnect(self._on_dims_changed)

    def _disconnect_image(self) -> None:
        if self._image is not None:
            self._image.events.set_data.disconnect(self._on_image_read)

    def _on_dims_changed(self) -> None:
        if self._notice_plane():
            self.changed.emit()

    def _on_image_read(self) -> None:
        # napari reads an image again when the slider moves and when its pixels may have changed.
        if not self._notice_plane():
            self._version = next(self._versions)
        self.changed.emit()

    def _notice_plane(self) -> bool:
        """Remember the plane on screen; tell whether it is another than before."""
        try:
            plane = None if self._image is None else displayed_plane(self._image, self._dims)
        except PromptError:
            plane = None
        is_new, self._seen = plane != self._seen, plane
        return is_new


def finest_level(image: Image) -> Any:
    """Give the image's data, of a pyramid the finest level."""
    return image.data[0] if image.multiscale else image.data


def _plane_image(image: Image, plane: Plane, version: int) -> PlaneImage:
    """Give a plane of an image; the version is another one when its pixels are."""
    pyramid = PlanePyramid.of(image, plane)
    return PlaneImage(
        key=(str(image.unique_id), id(pyramid.arrays[0]), version, plane.axes, plane.index),
        shape=pyramid.shape,
        read=partial(_read, pyramid),
        levels=pyramid.levels,
    )


def _read(pyramid: PlanePyramid, region: Box, step: float) -> tuple[NDArray[Any], ...]:
    """Read a region of a plane, and nothing around it."""
    return (pyramid.read(region, step),)
