"""Checkpoints on the Hugging Face Hub, in the hub's own cache folder.

The hub's environment variables hold: HF_HOME, HF_HUB_CACHE, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2.errors import WeightsError
from napari_sam2.weights.integrity import is_intact
from napari_sam2.weights.registry import REGISTRY, Entry, own_models

if TYPE_CHECKING:
    from napari_sam2.weights.transport import RemoteFile

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)

_log = logging.getLogger(__name__)


def fetch(entry: Entry, *, progress: Progress | None = None, offline: bool | None = None) -> Path:
    """Give the path of a checkpoint on this computer, downloading it first if need be.

    A file that is in the cache is used without asking the network. Whatever comes out of the cache
    or off the network has been checked against the sha256 that the hub keeps for it.

    Parameters
    ----------
    entry : Entry
        From `registry.find_entry`.
    progress : callable, optional
        Called with (bytes done, bytes in all) while downloading.
    offline : bool, optional
        Never use the network; None leaves it to the variable HF_HUB_OFFLINE.

    Raises
    ------
    WeightsError
        If there is no such file, or it cannot be downloaded.
    """
    if entry.local_path is not None:
        return _existing(entry.local_path, entry)
    from napari_sam2.weights.hub_errors import in_plain_words

    with in_plain_words(entry):
        return _from_cache_or_hub(entry, progress, offline)


def cached_path(entry: Entry) -> Path | None:
    """Give the file of an entry if it is on this computer, without using the network."""
    if entry.local_path is not None:
        return entry.local_path if entry.local_path.is_file() else None
    from huggingface_hub import constants, try_to_load_from_cache

    assert entry.repo is not None
    found = try_to_load_from_cache(
        entry.repo, entry.filename, cache_dir=constants.HF_HUB_CACHE, revision=entry.revision
    )
    return Path(found) if isinstance(found, str) else None


def available() -> dict[str, Path]:
    """Give the models that are on this computer, the user's too, without using the network."""
    paths = {name: cached_path(entry) for name, entry in {**own_models(), **REGISTRY}.items()}
    return {name: path for name, path in paths.items() if path is not None}


def _from_cache_or_hub(entry: Entry, progress: Progress | None, offline: bool | None) -> Path:
    cached = cached_path(entry)
    if cached is not None and _is_intact(cached):
        return cached
    removed = "" if cached is None else _remove_damaged(cached)
    if _is_offline(offline):
        raise WeightsError(
            f"{removed}The weights of {entry.name} are not on this computer, and offline mode is "
            f"on. Run `napari-sam2 download {entry.name}` with a network, or give a file's path."
        )
    return _download(entry, progress)


def _existing(path: Path, entry: Entry) -> Path:
    if path.is_file():
        return path
    if entry.bundled:
        raise WeightsError(
            f"The weights of {entry.name} should have come with napari-sam2, but {path} is "
            "missing. Install napari-sam2 again."
        )
    raise WeightsError(f"There is no checkpoint at {path}. Check the path.")


def _is_offline(offline: bool | None) -> bool:
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE if offline is None else offline


def _is_intact(cached: Path) -> bool:
    """Check a cached file, where the cache keeps its hash: as the name that the link points to."""
    return is_intact(cached, etag=cached.resolve().name)


def _remove_damaged(cached: Path) -> str:
    blob = cached.resolve()
    cached.unlink()
    blob.unlink(missing_ok=True)
    told = f"The cached file {cached} was damaged and has been removed. "
    _log.warning(told)
    return told


def _download(entry: Entry, progress: Progress | None) -> Path:
    """Place the file in the hub's cache, then let the hub's own client enter it in its books."""
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    from napari_sam2.weights.transport import download

    assert entry.repo is not None
    remote = _ask(entry)
    cache = Path(constants.HF_HUB_CACHE)
    folder = repo_folder_name(repo_id=entry.repo, repo_type="model")
    blob = cache / folder / "blobs" / remote.etag
    lock = cache / ".locks" / folder / f"{remote.etag}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(str(lock)):  # another process may be at it
        if not (blob.exists() and is_intact(blob, remote.etag, remote.size)):
            download(remote, blob, progress)
    path = Path(
        hf_hub_download(entry.repo, entry.filename, revision=entry.revision, cache_dir=cache)
    )
    if path.resolve() != blob.resolve():  # no symbolic links here (Windows): it was copied
        blob.unlink(missing_ok=True)
    return path


def _ask(entry: Entry) -> RemoteFile:
    """Ask the hub what the file is; its address is that of the commit of this moment."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import FileMetadataError
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    from napari_sam2.weights.transport import RemoteFile

    assert entry.repo is not None
    told = get_hf_file_metadata(hf_hub_url(entry.repo, entry.filename, revision=entry.revision))
    if not told.commit_hash or not told.etag or told.size is None:
        raise FileMetadataError(f"commit, etag or size is missing at {told.location}")
    return RemoteFile(
        url=hf_hub_url(entry.repo, entry.filename, revision=told.commit_hash),
        size=told.size,
        etag=told.etag,
        headers=build_hf_headers(library_name="napari-sam2"),
    )
