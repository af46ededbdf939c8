"""Which channels of an image, or which layers, the model sees as one picture, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from napari.components import Dims, ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray
from psygnal import Signal

from napari_sam2.errors import PromptError
from napari_sam2.layers.axes import displayed_plane, plane_below
from napari_sam2.layers.place import PLACE
from napari_sam2.session.masks import Box
from napari_sam2.session.plane_image import PlaneImage, Read
from napari_sam2.session.planes import Plane
from napari_sam2.session.view import BLUE, GREEN, RED, Channel, Colors, Normalisation, View

RGB = (RED, GREEN, BLUE)
_COLORS = 256  # of a colormap whose steps are not even
_LOOKS = ("contrast_limits", "gamma")

MakePlane = Callable[[Image, Plane, int], PlaneImage]
"""Gives a plane of any image; the number is another one when its pixels are."""


@dataclass(frozen=True)
class ChannelChoice:
    """What is put together into one picture; by default the image alone.

    Attributes
    ----------
    axis : int or None
        An axis of the image's data along which its channels lie.
    indices : tuple of int or None
        Places along that axis that are shown red, green and blue; one without others is grey.
    others : tuple of Image
        Layers that are added to the image, all in the colours in which they are shown.
    """

    axis: int | None = None
    indices: tuple[int | None, ...] = ()
    others: tuple[Image, ...] = ()

    def fits(self, image: Image) -> bool:
        """Tell whether an image has such channels."""
        if self.axis is None:
            return image not in self.others
        if image.rgb or image.ndim < 3 or not 0 <= self.axis < image.ndim:
            return False
        size, used = image.data.shape[self.axis], [at for _, at in self.colored]
        return len(self.indices) <= len(RGB) and bool(used) and all(0 <= at < size for at in used)

    @property
    def colored(self) -> list[tuple[Colors, int]]:
        """The places that are used, with their colours."""
        pairs = zip(RGB, self.indices, strict=False)
        return [(colors, at) for colors, at in pairs if at is not None]


ALONE = ChannelChoice()


class Channels:
    """How one image is shown to the model, together with what else.

    Parameters
    ----------
    viewer : ViewerModel
        The viewer, or napari's proxy of it.

    Attributes
    ----------
    changed : Signal
        The model would see something else.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self._layers, self._dims = viewer.layers, viewer.dims
        self._image: Image | None = None
        self._choice = ALONE
        self._normalisation: Normalisation = "limits"
        self._connections: list[tuple[Any, Callable[..., None]]] = []
        self._pixels: list[_Pixels] = []  # of the other layers
        self._layers.events.removed.connect(self._on_layer_removed)

    @property
    def choice(self) -> ChannelChoice:
        """What is put together."""
        return self._choice

    @choice.setter
    def choice(self, choice: ChannelChoice) -> None:
        if self._image is None or not choice.fits(self._image):
            choice = ALONE
        if choice != self._choice:
            self._follow(choice)
            self.changed.emit()

    @property
    def normalisation(self) -> Normalisation:
        """What is black and what is white."""
        return self._normalisation

    @normalisation.setter
    def normalisation(self, value: Normalisation) -> None:
        if value != self._normalisation:
            self._normalisation = value
            self.changed.emit()

    def follow(self, image: Image | None) -> None:
        """Show another image, alone; nothing is told."""
        self._leave()
        self._image = image
        self._follow(ALONE)

    def close(self) -> None:
        """Disconnect from the viewer and all layers."""
        self.follow(None)
        self._layers.events.removed.disconnect(self._on_layer_removed)

    def plane(self, plane: Plane, version: int, make: MakePlane) -> PlaneImage:
        """Give a plane of the image as the model is to see it.

        Raises
        ------
        PromptError
            If the channels of this plane cannot be put together.
        """
        image, choice = self._image, self._choice
        assert image is not None
        if choice.axis is not None:
            parts = [make(image, at, version) for at in _along(image, plane, choice)]
            channels = [channel_of(image, colors) for colors, _ in choice.colored]
            channels = channels if len(channels) > 1 else [channel_of(image)]
        elif choice.others:
            parts = [make(image, plane, version)]
            for pixels in self._pixels:
                other = pixels.layer
                parts.append(make(other, plane_below(image, plane, other), pixels.version))
                _check_levels(image, other, parts)
            channels = [channel_of(one, colors_of(one)) for one in (image, *choice.others)]
        else:
            parts, channels = [make(image, plane, version)], [channel_of(image)]
        return _joined(parts, View(tuple(channels), self._normalisation))

    def describe(self) -> dict[str, Any]:
        """Tell in words of JSON what the model sees, as far as it is not as usual."""
        found: dict[str, Any] = {}
        if self._normalisation != "limits":
            found["normalisation"] = self._normalisation
        choice, image = self._choice, self._image
        if choice.axis is not None and image is not None:
            name = str(image.axis_labels[choice.axis])
            found |= {"axis": choice.axis, "axis_name": name, "indices": list(choice.indices)}
        if choice.others and image is not None:
            found["layers"] = [
                {
                    "name": layer.name,
                    "contrast_limits": [float(value) for value in layer.contrast_limits],
                    "gamma": float(layer.gamma),
                    "colormap": "RGB" if layer.rgb else str(layer.colormap.name),
                }
                for layer in (image, *choice.others)
            ]
        return found

    def _follow(self, choice: ChannelChoice) -> None:
        self._leave()
        self._choice, image = choice, self._image
        if image is None:
            return
        together = (image, *choice.others)
        names = (*_LOOKS, "colormap", *PLACE[:6]) if choice.others else _LOOKS
        self._connections = [
            *((getattr(one.events, name), self._on_changed) for one in together for name in names),
            (image.events.data, self._on_data),
        ]
        for event, slot in self._connections:
            event.connect(slot)
        self._pixels = [_Pixels(other, self._dims, self._on_changed) for other in choice.others]

    def _leave(self) -> None:
        for event, slot in self._connections:
            event.disconnect(slot)
        for pixels in self._pixels:
            pixels.close()
        self._connections, self._pixels, self._choice = [], [], ALONE

    def _on_changed(self) -> None:
        self.changed.emit()

    def _on_data(self) -> None:
        if self._image is not None and not self._choice.fits(self._image):
            self.choice = ALONE

    def _on_layer_removed(self, event: Any) -> None:
        left = tuple(other for other in self._choice.others if other != event.value)
        if left != self._choice.others:
            self.choice = replace(self._choice, others=left)


class _Pixels:
    """Tells when the pixels of a layer may be others than before.

    Attributes
    ----------
    layer : Image
    version : int
        Another one then.
    """

    def __init__(self, layer: Image, dims: Dims, changed: Callable[[], None]) -> None:
        self.layer, self.version = layer, 0
        self._dims, self._changed = dims, changed
        self._seen = self._plane
        layer.events.set_data.connect(self._on_read)

    def close(self) -> None:
        self.layer.events.set_data.disconnect(self._on_read)

    @property
    def _plane(self) -> Plane | None:
        try:
            return displayed_plane(self.layer, self._dims)
        except PromptError:
            return None

    def _on_read(self) -> None:
        # napari reads a layer again when the slider moves and when its pixels may have changed.
        before, self._seen = self._seen, self._plane
        if self._seen == before:
            self.version += 1
            self._changed()


@dataclass(frozen=True, eq=False)
class _JoinedReader:
    """Reads the same region of several planes."""

    readers: tuple[Read, ...]

    def __call__(self, region: Box, step: float) -> tuple[NDArray[Any], ...]:
        return tuple(array for read in self.readers for array in read(region, step))


def choice_from(
    described: Mapping[str, Any], image: Image, layers: Iterable[Layer]
) -> ChannelChoice:
    """Give back what `Channels.describe` told, as far as it is there; a file may tell anything."""
    axis, indices = described.get("axis"), described.get("indices")
    if isinstance(axis, int) and isinstance(indices, Sequence):
        is_usable = all(at is None or isinstance(at, int) for at in indices)
        return ChannelChoice(axis, tuple(indices)) if is_usable else ALONE
    names = layers_in(described)
    others = [layer for layer in layers if isinstance(layer, Image) and layer != image]
    return ChannelChoice(others=tuple(layer for layer in others if layer.name in names))


def layers_in(described: Mapping[str, Any]) -> list[str]:
    """List the names of the layers that `Channels.describe` told of, the image's first."""
    layers = described.get("layers", ())
    told = layers if isinstance(layers, Sequence) else ()
    return [str(layer["name"]) for layer in told if isinstance(layer, Mapping) and "name" in layer]


def channel_of(image: Image, colors: Colors | None = None) -> Channel:
    """Give how a layer is shown, in other colours than its own."""
    low, high = image.contrast_limits
    return Channel((float(low), float(high)), float(image.gamma), colors)


def colors_of(image: Image) -> Colors | None:
    """Give the colours of a layer's colormap, in even steps; None for an RGB layer."""
    if image.rgb:
        return None
    colormap = image.colormap
    colors = np.asarray(colormap.colors, float)
    is_even = np.allclose(colormap.controls, np.linspace(0, 1, len(colormap.controls)))
    if str(colormap.interpolation) != "linear" or not is_even or len(colors) < 2:
        colors = np.asarray(colormap.map(np.linspace(0, 1, _COLORS)), float)
    shown = colors[:, :3] * colors[:, 3:]  # what is transparent adds nothing
    return tuple((float(r), float(g), float(b)) for r, g, b in np.clip(shown, 0, 1))


def _along(image: Image, plane: Plane, choice: ChannelChoice) -> list[Plane]:
    """Give the plane in each of the chosen channels."""
    assert choice.axis is not None
    if choice.axis in plane.axes:
        raise PromptError(
            f"The channel axis of {image.name!r} must not be on screen while its channels are put "
            "together. Roll the axes (Ctrl+E), or let the model see the image alone."
        )
    at = plane.hidden_axes.index(choice.axis)
    index = plane.index
    return [Plane(plane.axes, (*index[:at], c, *index[at + 1 :])) for _, c in choice.colored]


def _check_levels(image: Image, other: Image, parts: Sequence[PlaneImage]) -> None:
    if parts[-1].levels != parts[0].levels:
        raise PromptError(
            f"Layers that are put together must be pyramids of the same levels, but {other.name!r} "
            f"is not as {image.name!r}. Leave it out, or open it the same way."
        )


def _joined(parts: Sequence[PlaneImage], view: View) -> PlaneImage:
    if len(parts) == 1:
        return replace(parts[0], view=view)
    return replace(
        parts[0],
        key=tuple(part.key for part in parts),
        read=_JoinedReader(tuple(part.read for part in parts)),
        view=view,
    )
