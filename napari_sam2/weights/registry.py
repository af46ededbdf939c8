"""Which checkpoints there are, and what people may type for one. Nothing here imports torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from napari_sam2.errors import WeightsError

SUFFIXES = (".pt", ".pth", ".safetensors")
BUNDLED = Path(__file__).parent / "bundled"
_REPO_AND_FILE = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+):(?P<file>[^:\\]+)")


@dataclass(frozen=True)
class Entry:
    """Where a checkpoint is and what is known about it before it is opened.

    Attributes
    ----------
    name : str
        What the user types.
    filename : str
        File in the repository, in the package, or (neither of both) a path.
    repo : str or None
        Repository on the Hugging Face Hub, "owner/repo"; None for a file on this computer.
    config_name : str or None
        Key of `napari_sam2.model.CONFIGS`; None if only the file can tell.
    revision : str or None
        The commit that is pinned; None follows the repository's main branch.
    licence : str or None
        SPDX identifier; None if not known.
    parameters : int or None
        Number of trainable parameters; None if not known.
    bundled : bool
        Whether the file comes with napari-sam2.
    """

    name: str
    filename: str
    repo: str | None = None
    config_name: str | None = None
    revision: str | None = None
    licence: str | None = None
    parameters: int | None = None
    bundled: bool = False

    @property
    def local_path(self) -> Path | None:
        """The file on this computer, there or not; None if it comes from a repository."""
        if self.repo is not None:
            return None
        return BUNDLED / self.filename if self.bundled else Path(self.filename).expanduser()


def _official(name: str, version: str, size: str, parameters: int) -> Entry:
    # Meta's repositories spell sizes with hyphens, their files with underscores. No revision is
    # pinned: we have not been able to verify one, and what is downloaded is checked by its sha256.
    return Entry(
        name=name,
        filename=f"{version}_hiera_{size}.pt",
        repo=f"facebook/{version}-hiera-{size.replace('_', '-')}",
        config_name=f"{version}_hiera_{size}",
        licence="Apache-2.0",
        parameters=parameters,
    )


REGISTRY: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="micro",
            filename="micro.safetensors",
            config_name="micro",
            licence="Apache-2.0",
            parameters=5_346_146,
            bundled=True,
        ),
        _official("tiny", "sam2.1", "tiny", 38_962_498),
        _official("small", "sam2.1", "small", 46_060_354),
        _official("base_plus", "sam2.1", "base_plus", 80_850_178),
        _official("large", "sam2.1", "large", 224_446_642),
        _official("sam2_tiny", "sam2", "tiny", 38_945_986),
        _official("sam2_small", "sam2", "small", 46_043_842),
        _official("sam2_base_plus", "sam2", "base_plus", 80_833_666),
        _official("sam2_large", "sam2", "large", 224_430_130),
    )
}


def find_entry(name: str | Path) -> Entry:
    """Understand what was typed: a registered name, a path, or "owner/repo:file".

    Raises
    ------
    WeightsError
        If it is none of them, or a path of a kind that is not read.
    """
    text = str(name)
    if text in REGISTRY:
        return REGISTRY[text]
    repo_and_file = _REPO_AND_FILE.fullmatch(text)
    if repo_and_file and not Path(text).exists():
        _check_suffix(repo_and_file["file"])
        _check_stays_inside(repo_and_file["file"])
        return Entry(text, filename=repo_and_file["file"], repo=repo_and_file["repo"])
    if not _looks_like_path(text):
        raise WeightsError(
            f"No model is called {text!r}. Choose one of {', '.join(REGISTRY)}, or give the path "
            "of a checkpoint, or owner/repo:file on the Hugging Face Hub."
        )
    _check_suffix(text)
    return Entry(text, filename=text)


def _looks_like_path(text: str) -> bool:
    return Path(text).suffix.lower() in SUFFIXES or "/" in text or "\\" in text


def _check_suffix(filename: str) -> None:
    if Path(filename).suffix.lower() not in SUFFIXES:
        raise WeightsError(
            f"A checkpoint must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, "
            f"got {filename!r}."
        )


def _check_stays_inside(filename: str) -> None:
    if filename.startswith("/") or ".." in filename.split("/"):
        raise WeightsError(
            f"A file of a repository must be named from the repository's root, got {filename!r}."
        )
