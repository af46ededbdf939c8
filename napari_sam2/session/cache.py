"""Image features that are kept: embedding is the slow half, and need not be done twice."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache_folder import DEFAULT_MEMORY_BYTES
from napari_sam2.session.view import View

_DEFAULT_KNOWN_PLANES = 4096


def content_key(plane: NDArray[Any]) -> str:
    """Give a digest of the pixels, the shape and the dtype: equal only for equal planes.

    Being made from the content, it needs no invalidation: an edited plane has another key.
    """
    pixels = np.ascontiguousarray(plane)
    digest = hashlib.blake2b(f"{pixels.shape} {pixels.dtype.str} ".encode(), digest_size=16)
    digest.update(pixels.data)
    return digest.hexdigest()


def picture_key(arrays: Iterable[NDArray[Any]], view: View) -> str:
    """Give a digest of what the model sees: the pixels of all channels, and how they are shown."""
    digest = hashlib.blake2b(repr(view).encode(), digest_size=16)
    for array in arrays:
        digest.update(content_key(array).encode())
    return digest.hexdigest()


class FeatureKey(NamedTuple):
    """What features are of: equal keys are equal features.

    Attributes
    ----------
    content : str
        Of what the model saw, see `picture_key`.
    weights : str
        Digest of the model's file.
    precision, device : str
        In what and where they were computed, and are kept.
    """

    content: str
    weights: str
    precision: str
    device: str


class FeatureCache:
    """The most recently used image features, bounded in bytes; safe to use from several threads.

    Parameters
    ----------
    max_bytes : int
        What all features together may take; the least recently used go first. Features that
        are larger than this on their own are not kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._features: OrderedDict[FeatureKey, ImageFeatures] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._features)

    def __contains__(self, key: FeatureKey) -> bool:
        return key in self._features

    @property
    def nbytes(self) -> int:
        """Bytes that the kept features take."""
        with self._lock:
            return self._total()

    def get(self, key: FeatureKey) -> ImageFeatures | None:
        """Give the features kept under `key`, or None; they count as used now."""
        with self._lock:
            if key in self._features:
                self._features.move_to_end(key)
            return self._features.get(key)

    def put(self, key: FeatureKey, features: ImageFeatures) -> None:
        """Keep `features`, and let go of the least recently used ones that no longer fit."""
        with self._lock:
            self._features[key] = features
            self._features.move_to_end(key)
            while self._total() > self._max_bytes:
                self._features.popitem(last=False)

    def clear(self) -> None:
        """Let go of all features."""
        with self._lock:
            self._features.clear()

    def _total(self) -> int:
        return sum(_nbytes(features) for features in self._features.values())


class KnownContents:
    """Which content was read from which place, so that it need not be read to be named again.

    Bounded, and safe to use from several threads.

    Parameters
    ----------
    max_planes : int
        The places that were asked for least recently are forgotten first.
    """

    def __init__(self, max_planes: int = _DEFAULT_KNOWN_PLANES) -> None:
        self._max_planes = max_planes
        self._contents: OrderedDict[Hashable, str] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._contents)

    def get(self, place: Hashable) -> str | None:
        """Give the key of the content that was read from there last, or None."""
        with self._lock:
            if place in self._contents:
                self._contents.move_to_end(place)
            return self._contents.get(place)

    def put(self, place: Hashable, content: str) -> None:
        """Remember what was read."""
        with self._lock:
            self._contents[place] = content
            self._contents.move_to_end(place)
            while len(self._contents) > self._max_planes:
                self._contents.popitem(last=False)


def _nbytes(features: ImageFeatures) -> int:
    return sum(tensor.nbytes for tensor in features.tensors)
