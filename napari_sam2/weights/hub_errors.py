"""What went wrong between us and the hub, in one sentence that says what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants
from huggingface_hub import errors as hub

from napari_sam2.errors import WeightsError
from napari_sam2.weights.registry import Entry
from napari_sam2.weights.transport import TransportError

_FULL = ("ENOSPC", "EDQUOT")  # by name: Windows knows one of the two only
_LOG_IN = "log in with `hf auth login` (or set HF_TOKEN)"


@contextmanager
def in_plain_words(entry: Entry) -> Iterator[None]:
    """Raise a `WeightsError` instead of the errors of the hub's client and of the disk."""
    try:
        yield
    except (hub.HfHubHTTPError, hub.EntryNotFoundError) as error:
        raise WeightsError(_answered(error, entry)) from error
    except (hub.OfflineModeIsEnabled, TransportError, ConnectionError) as error:
        raise WeightsError(_unreachable(entry)) from error
    except hub.FileMetadataError as error:
        raise WeightsError(
            f"{constants.ENDPOINT} does not answer as a Hugging Face Hub does. Check the variable "
            "HF_ENDPOINT, and that no proxy or log-in page stands in between."
        ) from error
    except hub.HFValidationError as error:
        raise WeightsError(
            f"{entry.repo!r} cannot be the name of a repository. Give owner/repo:file."
        ) from error
    except OSError as error:
        raise WeightsError(_unwritable(error, entry)) from error


def _answered(error: Exception, entry: Entry) -> str:
    """Tell the hub's refusals apart; the order matters, since some are kinds of others."""
    repo, endpoint = entry.repo, constants.ENDPOINT
    if isinstance(error, hub.LocalEntryNotFoundError):
        return _unreachable(entry)
    if isinstance(error, hub.EntryNotFoundError):
        return f"The repository {repo} has no file {entry.filename!r}. Look at {endpoint}/{repo}."
    if isinstance(error, hub.GatedRepoError):
        return (
            f"The repository {repo} is gated. Ask its owners for access at {endpoint}/{repo}, then "
            f"{_LOG_IN}."
        )
    if isinstance(error, hub.RepositoryNotFoundError):
        return (
            f"There is no repository {repo} at {endpoint}, or it is private. Check the name, or "
            f"{_LOG_IN}."
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return f"The repository {repo} has no revision {entry.revision!r}."
    assert isinstance(error, hub.HfHubHTTPError)
    status = error.response.status_code
    if status in (401, 403):
        return f"{endpoint} refuses {entry.filename} of {repo} (status {status}): {_LOG_IN}."
    return f"{endpoint} cannot serve {entry.filename} of {repo} now (status {status}). Try later."


def _unreachable(entry: Entry) -> str:
    return (
        f"No connection to {constants.ENDPOINT}, which has the weights of {entry.name}. Check the "
        "network and the proxy, or download the file elsewhere and give its path."
    )


def _unwritable(error: OSError, entry: Entry) -> str:
    if errno.errorcode.get(error.errno or 0) in _FULL:
        return (
            f"The disk with {constants.HF_HUB_CACHE} is full: the weights of {entry.name} do not "
            "fit. Make room, or choose another folder with the environment variable HF_HOME."
        )
    return (
        f"The weights of {entry.name} cannot be kept in {constants.HF_HUB_CACHE}: "
        f"{error.strerror or error}. Choose another folder with the environment variable HF_HOME."
    )
