"""A hub on this machine, an empty cache, and the smallest model that is a SAM 2."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import close_session, constants

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.weights import transport
from tests.configs import REDUCED
from tests.weights.hub_stand_in import HubStandIn, serving

OFFICIAL_KEYS = Path(__file__).parents[1] / "goldens" / "official_keys.json.xz"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubStandIn]:
    """A hub that is the only one that the client knows, and an empty cache."""
    with serving(HubStandIn()) as stand_in:
        point_client_at(stand_in.url, tmp_path / "cache", monkeypatch)
        yield stand_in
        close_session()


@pytest.fixture(scope="session")
def reduced() -> Sam2:
    """A model of 0.3 million parameters; do not change it."""
    torch.manual_seed(0)
    return build_sam2(REDUCED)


@pytest.fixture(scope="session")
def official_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """The keys and shapes of the eight official checkpoints."""
    listed: dict[str, dict[str, Any]] = json.loads(lzma.decompress(OFFICIAL_KEYS.read_bytes()))
    return {
        model: {key: tuple(shape) for key, shape in shapes.items()}
        for model, shapes in listed.items()
    }


def point_client_at(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the client has read from the environment; new connections obey."""
    close_session()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transport, "_FIRST_PAUSE", 0.0)
