"""Image features on disk: what was embedded once is there at once the next day.

A file is named by a digest of what it is of, and carries the whole of that and a checksum, so that
one that is cut off, damaged or not ours is noticed.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache import FeatureKey
from napari_sam2.session.cache_folder import CacheFolder

_FORMAT = "2"  # grows when the same picture and weights would give other features
_HALF_LIMIT = 6e4  # what is larger is infinite in float16
_COARSE, _FINE, _PICTURE = "image_embed", "high_res_{}", "picture"

_log = logging.getLogger(__name__)


class DiskCache:
    """Features as safetensors files, one for each picture that a model saw.

    Parameters
    ----------
    folder : CacheFolder
    half : bool
        Keep float16, unless values are too large for it: half the size, and masks that differ in
        single pixels.
    """

    def __init__(self, folder: CacheFolder, half: bool = False) -> None:
        self.folder, self.half = folder, half

    def has(self, key: FeatureKey) -> bool:
        """Tell whether there is a file for `key`, without reading it."""
        return self.folder.file(_name(key)).exists()

    def get(self, key: FeatureKey) -> ImageFeatures | None:
        """Give the features kept under `key`, on its device, or None; they count as used now."""
        name = _name(key)
        try:
            features = _read(self.folder.file(name), key)
        except OSError:  # it is not there, or is not ours to read
            return None
        except (SafetensorError, ValueError, KeyError) as error:
            _log.warning("Features in %s are removed: %s", self.folder.file(name), error)
            self.folder.remove(name)
            return None
        self.folder.note_use(name)
        return _moved(features, key)

    def put(self, key: FeatureKey, features: ImageFeatures) -> None:
        """Keep `features`, unless they are there already or the disk takes nothing."""
        if not self.folder.trouble and not self.has(key):
            self.folder.write(_name(key), _packed(key, features, self.half))


def _name(key: FeatureKey) -> str:
    """Give the name of a file; the same for all devices."""
    described = "\n".join(_described(key).values())
    return hashlib.blake2b(described.encode(), digest_size=16).hexdigest()


def _packed(key: FeatureKey, features: ImageFeatures, half: bool) -> bytes:
    tensors = {_COARSE: features.image_embed}
    for index, level in enumerate(features.high_res_features):
        tensors[_FINE.format(index)] = level
    if half and all(tensor.abs().max() < _HALF_LIMIT for tensor in tensors.values()):
        tensors = {name: tensor.half() for name, tensor in tensors.items()}
    if features.picture is not None:
        tensors[_PICTURE] = features.picture
    kept = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
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
    # A copy: what safetensors gives is a view of the file, which may be removed.
    copies = {name: tensor.clone() for name, tensor in tensors.items()}
    fine, middle = (copies[_FINE.format(level)] for level in range(2))
    return ImageFeatures(copies[_COARSE], (fine, middle), copies.get(_PICTURE))


def _moved(features: ImageFeatures, key: FeatureKey) -> ImageFeatures | None:
    """Bring features to their device and precision; None if there is no room."""
    dtype = getattr(torch, key.precision)
    try:
        coarse, fine, middle = (
            tensor.to(key.device, dtype)
            for tensor in (features.image_embed, *features.high_res_features)
        )
        picture = None if features.picture is None else features.picture.to(key.device)
    except RuntimeError:  # out of memory, which whoever embeds says
        return None
    return ImageFeatures(coarse, (fine, middle), picture)


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
