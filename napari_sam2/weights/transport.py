"""Bytes over an unsteady line: resumed where they stopped, checked before they count."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, get_session
from huggingface_hub import errors as hub_errors
from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

from napari_sam2.errors import WeightsError
from napari_sam2.weights.hub import Progress
from napari_sam2.weights.integrity import is_intact

# The HTTP client's base error, by the one name that is the same in huggingface_hub 1 (httpx) and
# 2 (httpx2).
TransportError: type[Exception] = hub_errors.HTTPError  # type: ignore[attr-defined]

_ATTEMPTS = 5  # in a row without a single new byte
_FIRST_PAUSE = 0.5  # seconds; doubles with each attempt in vain
_HTTP_OK, _HTTP_RANGE_NOT_SATISFIABLE, _HTTP_TOO_MANY = 200, 416, 429


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub describes it.

    Attributes
    ----------
    url : str
        Where it is.
    size : int
        In bytes.
    etag : str
        Its sha256 (files in LFS), or its git hash (small files).
    headers : Mapping
        What to send along, such as the user's token.
    """

    url: str
    size: int
    etag: str
    headers: Mapping[str, str]


def download(remote: RemoteFile, target: Path, progress: Progress | None = None) -> None:
    """Bring a file to `target`; it appears there whole and verified, or not at all.

    What an earlier attempt left behind, in this run or in another, is not asked for again.

    Raises
    ------
    WeightsError
        If the disk is too small, the line stays dead, or what came is not what was promised.
    """
    partial = target.with_name(f"{target.name}.napari-sam2.incomplete")
    target.parent.mkdir(parents=True, exist_ok=True)
    _check_space(remote.size - _size(partial), target.parent)
    _fill(partial, remote, progress)
    if not is_intact(partial, remote.etag, remote.size):
        partial.unlink()
        raise WeightsError(
            f"{remote.url} arrived damaged (its checksum is not the hub's) and was removed. "
            "Try again; if it happens again, something between you and the hub changes files."
        )
    partial.replace(target)


def _fill(partial: Path, remote: RemoteFile, progress: Progress | None) -> None:
    failures = 0
    while (done := _size(partial)) < remote.size:
        try:
            _append(partial, done, remote, progress)
            cause: Exception | None = None
        except TransportError as error:
            if not _may_pass(error):
                raise
            cause = error
        failures = failures + 1 if _size(partial) <= done else 0
        if failures == _ATTEMPTS:
            raise WeightsError(
                f"The connection was lost after {_size(partial) / 1e6:.0f} of "
                f"{remote.size / 1e6:.0f} MB of {remote.url}. What came is kept: try again, and "
                "the download goes on from there."
            ) from cause
        if failures:
            time.sleep(_FIRST_PAUSE * 2 ** (failures - 1))


def _append(partial: Path, done: int, remote: RemoteFile, progress: Progress | None) -> None:
    # Without compression, so that a position in the stream is a position in the file.
    headers = {**remote.headers, "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with get_session().stream(
        "GET",
        remote.url,
        headers=headers,
        follow_redirects=True,
        timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT,
    ) as response:
        if response.status_code == _HTTP_RANGE_NOT_SATISFIABLE:
            partial.unlink()
            raise WeightsError(
                f"{remote.url} is cut short: {remote.size} bytes were promised, {done} came. "
                "What came was removed; try again later."
            )
        hf_raise_for_status(response)
        if response.status_code == _HTTP_OK:
            done = 0  # the server sends everything again
        with partial.open("ab" if done else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(min(done, remote.size), remote.size)


def _may_pass(error: Exception) -> bool:
    """Tell an outage, or a server in trouble, from an answer that will not change."""
    if not isinstance(error, hub_errors.HfHubHTTPError):
        return True
    status: int = error.response.status_code
    return status >= 500 or status == _HTTP_TOO_MANY


def _check_space(needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"The weights need {needed / 1e6:.0f} MB in {folder}, where {free / 1e6:.0f} MB are "
            "free. Make room, or choose another folder with the environment variable HF_HOME."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
