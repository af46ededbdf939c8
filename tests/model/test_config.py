"""Configurations refuse what no SAM 2 can be."""

from __future__ import annotations

import dataclasses

import pytest

from napari_sam2.model import Sam2Config


def test_defaults_are_tiny() -> None:
    config = Sam2Config()
    assert config.feature_size == 64
    assert config.stage_ends == (0, 2, 9, 11)
    assert config.stage_dims == (96, 192, 384, 768)


def test_configs_are_frozen_and_hashable() -> None:
    assert hash(Sam2Config()) == hash(Sam2Config())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sam2Config().embed_dim = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_size": 500}, "multiple of 32"),
        ({"stages": (1, 2, 3)}, "four entries"),
        ({"version": "3"}, "'2.0' or '2.1'"),
    ],
)
def test_impossible_configs_are_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Sam2Config(**change)  # type: ignore[arg-type]
