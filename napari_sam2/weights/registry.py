"""Which checkpoints there are, and what people may type for one. Nothing here imports torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

from napari_sam2.errors import WeightsError

SUFFIXES = (".pt", ".pth", ".safetensors")
BUNDLED = Path(__file__).parent / "bundled"
_OWN_SUFFIX = ".safetensors"
_NAME = re.compile(r"\w[\w.-]{0,60}")
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
            parameters=5_766_055,
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


def own_folder() -> Path:
    """Give the user's folder for models that were trained on this computer."""
    return user_data_path("napari-sam2", appauthor=False) / "models"


def own_models() -> dict[str, Entry]:
    """List the models in `own_folder()`, by their files' names."""
    files = sorted(own_folder().glob(f"*{_OWN_SUFFIX}"))
    return {f.stem: Entry(f.stem, str(f)) for f in files if f.stem not in REGISTRY}


def new_own_path(name: str) -> Path:
    """Give the file for a new model of the user's.

    Raises
    ------
    WeightsError
        If the name is taken, or is none.
    """
    if not _NAME.fullmatch(name):
        raise WeightsError(
            f"A model's name must be letters, digits, '-', '_' and '.', got {name!r}. Type another."
        )
    path = own_folder() / f"{name}{_OWN_SUFFIX}"
    if name in REGISTRY or path.exists():
        raise WeightsError(f"There is a model {name!r} already. Choose another name.")
    return path


def state_path(path: Path) -> Path:
    """Give where the training of a model is kept while it is stopped."""
    return path.with_name(f"{path.stem}.training.pt")


def find_entry(name: str | Path) -> Entry:
    """Understand what was typed: a name, of the user's models too, a path, or "owner/repo:file".

    Raises
    ------
    WeightsError
        If it is none of them, or a path of a kind that is not read.
    """
    text = str(name)
    if text in REGISTRY:
        return REGISTRY[text]
    own = own_models()
    if text in own:
        return own[text]
    repo_and_file = _REPO_AND_FILE.fullmatch(text)
    if repo_and_file and not Path(text).exists():
        _check_suffix(repo_and_file["file"])
        _check_stays_inside(repo_and_file["file"])
        return Entry(text, filename=repo_and_file["file"], repo=repo_and_file["repo"])
    if not _looks_like_path(text):
        known = ", ".join((*REGISTRY, *own))
        raise WeightsError(
            f"No model is called {text!r}. Choose one of {known}, or give the path of "
            "a checkpoint, or owner/repo:file on the Hugging Face Hub."
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
