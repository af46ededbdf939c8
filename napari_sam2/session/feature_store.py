"""Image features in memory, and behind them on disk, written while nobody waits for it."""

from __future__ import annotations

from collections import deque
from threading import Condition, Thread
from typing import Protocol

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache import FeatureCache, FeatureKey
from napari_sam2.session.cache_folder import CacheFolder, CacheOptions
from napari_sam2.session.disk_cache import DiskCache

_WAITING = 8  # features that may wait to be written; one of a 1024-pixel model is 16 MiB
_PATIENCE = 1.0  # seconds that an embedding waits for a slow disk


class Features(Protocol):
    """Where a segmenter keeps features."""

    def get(self, key: FeatureKey) -> ImageFeatures | None:
        """Give the features kept under `key`, or None."""

    def put(self, key: FeatureKey, features: ImageFeatures) -> None:
        """Keep features."""


class FeatureStore:
    """Looks into memory, then on the disk; keeps in both.

    What goes to the disk is written by a thread of its own, which ends when all is written; a
    program that ends waits for it.

    Parameters
    ----------
    memory : FeatureCache
    disk : DiskCache or None
        None keeps nothing beyond this process.
    """

    def __init__(self, memory: FeatureCache, disk: DiskCache | None = None) -> None:
        self.memory, self.disk = memory, disk
        self._waiting: deque[tuple[DiskCache, FeatureKey, ImageFeatures]] = deque()
        self._changed = Condition()  # also the lock of what waits and of whether it is written
        self._writes = False

    @classmethod
    def of(cls, options: CacheOptions) -> FeatureStore:
        """Make what the options ask for."""
        folder = CacheFolder(options.path, options.max_bytes)
        disk = DiskCache(folder, options.half) if options.on_disk else None
        return cls(FeatureCache(options.memory_bytes), disk)

    def get(self, key: FeatureKey) -> ImageFeatures | None:
        """Give the features kept under `key`, or None; they count as used now."""
        features = self.memory.get(key)
        if features is None and self.disk is not None:
            features = self.disk.get(key)
            if features is not None:
                self.memory.put(key, features)
        return features

    def put(self, key: FeatureKey, features: ImageFeatures) -> None:
        """Keep features; on the disk a little later, or not at all if it cannot follow."""
        self.memory.put(key, features)
        disk = self.disk
        if disk is None or disk.folder.trouble:
            return
        if not key.weights:  # random ones are never met again
            return
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waiting) < _WAITING, _PATIENCE):
                return
            self._waiting.append((disk, key, features))
            if not self._writes:
                self._writes = True
                Thread(target=self._write, name="napari-sam2 cache").start()

    def has(self, key: FeatureKey) -> bool:
        """Tell whether there are features under `key`, without reading them."""
        return key in self.memory or (self.disk is not None and self.disk.has(key))

    def clear(self) -> None:
        """Let go of what is in memory, and remove what is on the disk."""
        self.memory.clear()
        if self.disk is not None:
            self.flush()
            self.disk.folder.clear()

    def flush(self) -> None:
        """Wait until what was kept so far is on the disk."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writes)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.notify_all()
                if not self._waiting:
                    self._writes = False
                    return
                disk, key, features = self._waiting.popleft()
            disk.put(key, features)
