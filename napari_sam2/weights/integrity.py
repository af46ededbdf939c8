"""Whether a file is what it should be, told by its hash."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

_READ_SIZE = 2**20
_NAME_BYTES = 16
_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_SHA1 = re.compile(r"[0-9a-f]{40}")


def is_intact(path: Path, etag: str, size: int | None = None) -> bool:
    """Tell whether a file has the size and the hash that the hub promises.

    Parameters
    ----------
    path : Path
        The file.
    etag : str
        Its sha256 (files in LFS, as all weights are) or its git hash (small files); anything else
        promises nothing.
    size : int, optional
        In bytes.
    """
    if size is not None and path.stat().st_size != size:
        return False
    if _SHA256.fullmatch(etag):
        digest = hashlib.sha256()
    elif _GIT_SHA1.fullmatch(etag):
        # Git hashes a file behind its length; nothing secret hangs on it.
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        return True
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest() == etag


def content_hash(path: Path) -> str:
    """Give the blake2b of a file's content, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=_NAME_BYTES)
    for chunk in _chunks(path):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_READ_SIZE):
            yield chunk
