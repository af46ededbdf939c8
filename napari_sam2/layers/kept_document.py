"""Keeps the document of an image with its layer of objects, so that a closed panel loses nothing.

The layer's metadata is the only place that lives exactly as long as the layer. Other plugins copy
it and write it into files, so what is put there is a word that carries the document with it: to
everyone else it is text.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import ReferenceType, ref

from napari.layers import Labels

from napari_sam2.layers.create import OurLayers, no_longer_new
from napari_sam2.layers.label_data import levels_of
from napari_sam2.layers.mask_preview import Axes, MaskPreview
from napari_sam2.layers.mask_writer import LabelLayer
from napari_sam2.session.document import Document
from napari_sam2.session.objects import AtWork, State
from napari_sam2.session.records import records_of

_KEY = "napari_sam2_document"


class _Word(str):
    """A word of which copies are plain words."""

    def __deepcopy__(self, _memo: Any) -> str:
        return str(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)


class _Keepsake(_Word):
    """Carries a document, and who draws its mask."""

    pixels: LabelLayer
    document: Document
    preview: MaskPreview | None


class _Pointer(_Word):
    """Leads to the keepsake of a mask, which goes when the layer of objects does."""

    kept: ReferenceType[_Keepsake]


def open_document(layers: OurLayers, axes: Axes) -> Document:
    """Give the document of an image's layers; the first time, one of what is drawn in them.

    From then on it learns of everything that is painted, whether a panel is open or not.

    Parameters
    ----------
    layers : OurLayers
        Of the image.
    axes : callable
        Gives the data axes of the rows and columns on screen.
    """
    kept = _keepsake_of(layers.objects)
    _leave_to(kept, layers.mask)
    is_empty = no_longer_new(layers.mask)
    if kept.preview is None:
        kept.preview = MaskPreview(layers.mask, kept.document, axes, is_empty=is_empty)
    kept.preview.axes = axes
    return kept.document


def known_document(objects: Labels) -> Document | None:
    """Give the document of a layer of objects, if it was ever opened."""
    kept = objects.metadata.get(_KEY)
    is_its_own = isinstance(kept, _Keepsake) and kept.pixels.layer == objects
    return kept.document if is_its_own else None


def _leave_to(kept: _Keepsake, mask: Labels) -> None:
    """Let nobody but this document draw into the layer of the mask, and into no other layer."""
    pointer = mask.metadata.get(_KEY)
    before = pointer.kept() if isinstance(pointer, _Pointer) else None
    mask.metadata[_KEY] = _Pointer("the mask of SAM 2")
    mask.metadata[_KEY].kept = ref(kept)
    for one in (kept, before):
        if one is not None and one.preview is not None:
            is_ours = one.preview.layer == mask
            if is_ours != (one is kept):
                one.preview.close()
                one.preview = None


def _keepsake_of(layer: Labels) -> _Keepsake:
    kept = layer.metadata.get(_KEY)
    if isinstance(kept, _Keepsake) and kept.pixels.layer == layer:
        return kept  # else it was copied with another layer's metadata
    kept = _Keepsake("the objects of SAM 2")
    kept.pixels = LabelLayer(layer)
    kept.document = Document(kept.pixels, _state_of(layer, is_empty=no_longer_new(layer)))
    kept.preview = None
    kept.pixels.painted.connect(kept.document.record_paint)
    kept.pixels.replaced.connect(lambda: _begin_anew(kept))
    layer.metadata[_KEY] = kept
    return kept


def _begin_anew(kept: _Keepsake) -> None:
    """Take on other labels; the object at work and the classes have nothing to do with them."""
    document, state = kept.document, _state_of(kept.pixels.layer)
    object_id = state.at_work.object_id
    at_work = replace(document.at_work, object_id=object_id, original=None)
    document.restart(replace(state, at_work=at_work, classes=document.state.classes))


def _state_of(layer: Labels, *, is_empty: bool = False) -> State:
    """Give the state of labels of which nothing else is known."""
    objects = {} if is_empty else records_of(levels_of(layer)[0])
    highest = max(objects, default=0)
    return State(AtWork(highest + 1), objects, highest=highest)
