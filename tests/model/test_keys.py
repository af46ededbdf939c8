"""State-dict keys are a public contract: the official checkpoints load by them."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest
import torch

from napari_sam2.model import CONFIGS, Sam2, build_sam2
from napari_sam2.model.sam2 import memory_keys

OFFICIAL = json.loads(
    lzma.decompress((Path(__file__).parents[1] / "goldens" / "official_keys.json.xz").read_bytes())
)


def keys_and_shapes(model: Sam2) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_keys_and_shapes_are_the_official_ones(name: str) -> None:
    with torch.device("meta"):
        model = Sam2(CONFIGS[name])
    assert keys_and_shapes(model) == OFFICIAL[name]


def test_there_are_eight_official_models() -> None:
    assert len(OFFICIAL) == 8
    assert set(OFFICIAL) == set(CONFIGS) - {"micro"}


def test_memory_keys_are_all_but_the_image_path() -> None:
    keys = memory_keys(OFFICIAL["sam2.1_hiera_tiny"])
    assert {key.split(".")[0] for key in keys} == {
        "maskmem_tpos_enc",
        "mask_downsample",
        "memory_attention",
        "memory_encoder",
        "no_mem_pos_enc",
        "no_obj_embed_spatial",
        "no_obj_ptr",
        "obj_ptr_proj",
        "obj_ptr_tpos_proj",
    }


def test_build_by_name_or_config_is_ready_to_predict() -> None:
    model = build_sam2("micro")
    assert not model.training
    assert model.config == CONFIGS["micro"]
    assert keys_and_shapes(model) == keys_and_shapes(build_sam2(CONFIGS["micro"]))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"sam2\.1_hiera_tiny"):
        build_sam2("huge")
