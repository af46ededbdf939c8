"""Image features on disk: what was embedded once is there at once the next day.

One folder, one safetensors file for each picture that the model saw. A file is named by a digest of
what it is of, carries the whole of that and a checksum, and appears in one step, so that several
processes may share the folder, and a file that is cut off, damaged or not ours is noticed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache import FeatureKey

DEFAULT_DISK_BYTES = 4 * 2**30
_FORMAT = "1"  # grows when the same picture and weights would give other features
_SUFFIX = ".features.safetensors"
_PART = ".part"
_STALE_SECONDS = 3600.0  # after which a file that was never finished belongs to nobody
_COARSE, _FINE = "image_embed", "high_res_{}"

_log = logging.getLogger(__name__)


class _File(NamedTuple):
    used: float
    size: int
    path: Path


class DiskCache:
    """Features in a folder, bounded in bytes; the least recently used go first.

    Nothing here raises: a disk that is full or cannot be written only keeps nothing.

    Parameters
    ----------
    folder : Path
        Made when the first features are kept. Only files of ours in it are looked at.
    max_bytes : int
        What all files together may take.
    half : bool
        Keep float16: half the size, and masks that differ in single pixels.

    Attributes
    ----------
    trouble : str
        Why nothing is kept any more, one sentence for the user; empty while all is well.
    """

    def __init__(
        self, folder: Path, max_bytes: int = DEFAULT_DISK_BYTES, half: bool = False
    ) -> None:
        self.folder, self.max_bytes, self.half = folder, max_bytes, half
        self.trouble = ""

    @property
    def nbytes(self) -> int:
        """Bytes that all files take."""
        return sum(file.size for file in self._files())

    def has(self, key: FeatureKey) -> bool:
        """Tell whether there is a file for `key`, without reading it."""
        return self._path(key).exists()

    def get(self, key: FeatureKey) -> ImageFeatures | None:
        """Give the features kept under `key`, on its device, or None; they count as used now."""
        path = self._path(key)
        try:
            features = _read(path, key)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            _log.warning("Features in %s cannot be used and are removed: %s", path, error)
            _remove(path)
            return None
        with suppress(OSError):  # a folder that may only be read
            os.utime(path)
        return features

    def put(self, key: FeatureKey, features: ImageFeatures) -> None:
        """Keep `features`, and remove the least recently used ones that no longer fit."""
        if self.trouble or (path := self._path(key)).exists():
            return
        content = _packed(key, features, self.half)
        if len(content) > self.max_bytes:
            return
        part = path.with_name(f".{path.name}.{uuid4().hex}{_PART}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(content))
            part.write_bytes(content)
            part.replace(path)
        except OSError as error:
            _remove(part)
            self.trouble = (
                f"Embeddings are not kept on disk, {self.folder} cannot be written: "
                f"{error.strerror or error}. Free some space, or choose another folder."
            )
            _log.warning("%s", self.trouble)

    def clear(self) -> None:
        """Remove all files, and try to write again from now on."""
        for file in self._files():
            _remove(file.path)
        self.trouble = ""

    def _path(self, key: FeatureKey) -> Path:
        """Give the place of features; the same for all devices."""
        described = "\n".join(_described(key).values())
        name = hashlib.blake2b(described.encode(), digest_size=16).hexdigest()
        return self.folder / f"{name}{_SUFFIX}"

    def _make_room(self, needed: int) -> None:
        files = sorted(self._files())
        total = sum(file.size for file in files) + needed
        for file in files:
            if total <= self.max_bytes:
                return
            _remove(file.path)
            total -= file.size

    def _files(self) -> Iterator[_File]:
        """List our files; those that a process left unfinished long ago are removed."""
        try:
            entries = list(os.scandir(self.folder))
        except OSError:
            return
        for entry in entries:
            with suppress(OSError):  # another process may have removed it
                if entry.name.endswith(_SUFFIX):
                    status = entry.stat()
                    yield _File(status.st_mtime, status.st_size, Path(entry.path))
                elif entry.name.endswith(_PART) and _SUFFIX in entry.name:
                    _remove_if_stale(Path(entry.path), entry.stat().st_mtime)


def _packed(key: FeatureKey, features: ImageFeatures, half: bool) -> bytes:
    tensors = {_COARSE: features.image_embed}
    for index, level in enumerate(features.high_res_features):
        tensors[_FINE.format(index)] = level
    dtype = torch.float16 if half else features.image_embed.dtype
    kept = {name: tensors[name].detach().to("cpu", dtype).contiguous() for name in sorted(tensors)}
    metadata = {**_described(key), "checksum": _checksum(kept.values())}
    return save(kept, metadata)


def _read(path: Path, key: FeatureKey) -> ImageFeatures:
    with safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
        names = sorted(file.keys())
        tensors = {name: file.get_tensor(name) for name in names}
    if {**_described(key), "checksum": metadata.get("checksum")} != metadata:
        raise ValueError("it must be of the picture and the model that were asked for")
    if _checksum(tensors[name] for name in names) != metadata["checksum"]:
        raise ValueError("its content must fit its checksum")
    dtype = getattr(torch, key.precision)
    # A copy: what safetensors gives is a view of the file, which may be removed.
    moved = {name: t.to(key.device, dtype, copy=True) for name, t in tensors.items()}
    fine = tuple(moved[name] for name in names if name != _COARSE)
    first, second = fine
    return ImageFeatures(moved[_COARSE], (first, second))


def _described(key: FeatureKey) -> dict[str, str]:
    return {
        "content": key.content,
        "weights": key.weights,
        "precision": key.precision,
        "format": _FORMAT,
    }


def _checksum(tensors: Iterable[Tensor]) -> str:
    """Give a digest of the tensors, in the order of their names."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _remove(path: Path) -> None:
    with suppress(OSError):  # gone already, or in use on Windows
        path.unlink()


def _remove_if_stale(path: Path, written: float) -> None:
    if time.time() - written > _STALE_SECONDS:
        _remove(path)
