"""What the user has chosen, remembered between starts: one frozen value, one small file."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from qtpy.QtCore import QStandardPaths

from napari_sam2.session.answers import RULES, Rule
from napari_sam2.session.cache_folder import CacheOptions
from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.edits import Policy
from napari_sam2.session.regions import MODES, Mode
from napari_sam2.session.view import NORMALISATIONS, Normalisation

POLICIES: tuple[Policy, ...] = get_args(Policy)
MAX_PIXELS = 1_000_000  # of an island that may be dropped
MAX_SMOOTH = 50
MAX_CACHE_GIGABYTES = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the user has chosen. A change makes a new one, see `dataclasses.replace`.

    Attributes
    ----------
    live : bool
        Each prompt is answered at once; otherwise when the user asks.
    rule : str
        One of `RULES`: which candidate is shown first.
    policy : str
        One of `POLICIES`: who gets the pixels where masks meet.
    only_clicked : bool
        Keep only the parts of a mask that were clicked.
    fill_holes : bool
        Fill the holes of a mask that is kept.
    min_area : int
        Drop islands with fewer pixels; 0 drops none.
    smooth : int
        Smooth the outline within so many pixels; 0 leaves it.
    each_shape : bool
        Each closed shape is an object of its own.
    field_of_view : str
        One of `MODES`: how much of the image the model looks at.
    normalisation : str
        One of `NORMALISATIONS`: what the model sees as black and white.
    model, device : str
        As in `Request`.
    folded : tuple of str
        Names of the groups that are closed, sorted.
    keys : mapping of str to str
        Keys that differ from the defaults, by action. Never changed in place.
    cache_on_disk, cache_half : bool
        Keep embeddings on disk, and in half precision there.
    cache_gigabytes : int
        How many, at most.
    embed_neighbours : bool
        Embed the planes beside the one on screen while nobody waits.
    export_folder : str
        Where the last export went; empty before the first.
    labels_folder : str
        Where large labels are written and stay; empty for a temporary folder.
    """

    live: bool = True
    rule: Rule = "best"
    policy: Policy = "keep"
    only_clicked: bool = True
    fill_holes: bool = False
    min_area: int = 0
    smooth: int = 0
    each_shape: bool = False
    field_of_view: Mode = "auto"
    normalisation: Normalisation = "limits"
    model: str = "micro"
    device: str = "auto"
    cache_on_disk: bool = True
    cache_half: bool = False
    cache_gigabytes: int = 4
    embed_neighbours: bool = True
    folded: tuple[str, ...] = ("cache", "classes", "files", "keys", "options", "train", "view")
    keys: Mapping[str, str] = field(default_factory=dict)
    export_folder: str = ""
    labels_folder: str = ""

    @property
    def cleanup(self) -> Cleanup:
        """What is tidied of a mask before it is kept."""
        return Cleanup(self.only_clicked, self.fill_holes, self.min_area, self.smooth)

    @property
    def cache(self) -> CacheOptions:
        """Where embeddings are kept."""
        return CacheOptions(
            on_disk=self.cache_on_disk,
            max_bytes=self.cache_gigabytes * 10**9,
            half=self.cache_half,
        )

    def with_folded(self, name: str, is_folded: bool) -> Settings:
        """Give the same settings with one group closed or open."""
        others = set(self.folded) - {name}
        return replace(self, folded=tuple(sorted(others | {name} if is_folded else others)))


def settings_path() -> Path:
    """Give the file of settings, in the user's folder for such files."""
    location = QStandardPaths.StandardLocation.GenericConfigLocation
    return Path(QStandardPaths.writableLocation(location)) / "napari-sam2" / "settings.json"


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings; what is missing, damaged or of no meaning is as it was at first.

    Parameters
    ----------
    path : Path, optional
        The file, by default `settings_path()`.
    """
    path = settings_path() if path is None else path
    content, usable = _read(path), dict[str, Any]()
    for name in _READERS.keys() & content.keys():
        try:
            usable[name] = _READERS[name](content[name])
        except ValueError:
            _log.warning("Setting %s in %s is ignored, got %r.", name, path, content[name])
    return Settings(**usable)


def save_settings(settings: Settings, path: Path | None = None) -> None:
    """Write the settings, all or nothing; fields that only a newer version knows are kept.

    A folder that cannot be written is a line in the log: nobody should lose work over it.
    """
    path = settings_path() if path is None else path
    text = json.dumps({**_read(path), **asdict(settings)}, indent=2) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_atomically(path, text)
    except OSError as error:
        _log.warning("Settings are not remembered, %s cannot be written: %s", path, error)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("Settings in %s cannot be read and are ignored: %s", path, error)
        return {}
    if not isinstance(content, dict):
        _log.warning("Settings in %s must be a JSON object, got another file: ignored.", path)
        return {}
    return content


def _write_atomically(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in choices:
            raise ValueError(value)
        return str(value)

    return read


def _up_to(highest: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
            raise ValueError(value)
        return value

    return read


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(value)
    return tuple(sorted({_text(each) for each in value}))


def _text_by_text(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(value)
    return {name: _text(each) for name, each in value.items()}


_READERS: dict[str, Callable[[Any], Any]] = {
    "live": _flag,
    "rule": _one_of(RULES),
    "policy": _one_of(POLICIES),
    "only_clicked": _flag,
    "fill_holes": _flag,
    "min_area": _up_to(MAX_PIXELS),
    "smooth": _up_to(MAX_SMOOTH),
    "each_shape": _flag,
    "field_of_view": _one_of(MODES),
    "normalisation": _one_of(NORMALISATIONS),
    "cache_on_disk": _flag,
    "cache_half": _flag,
    "cache_gigabytes": _up_to(MAX_CACHE_GIGABYTES),
    "embed_neighbours": _flag,
    "model": _text,
    "device": _text,
    "folded": _texts,
    "keys": _text_by_text,
    "export_folder": _text,
    "labels_folder": _text,
}
