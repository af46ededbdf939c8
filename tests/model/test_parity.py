"""Our model answers as the official code does, with the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.configs import REDUCED
from tests.parity import Recording
from tests.recordings import Check, config_of

GOLDEN = Path(__file__).parents[1] / "goldens" / "sam2.1_reduced_image.npz"
SHARED = Path(__file__).parents[3] / "shared" / "reference" / "parity"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return Recording(GOLDEN)


def off(checks: list[Check]) -> list[Check]:
    return [check for check in checks if not check.holds]


def test_small_model_agrees_with_the_recording(recording: Recording) -> None:
    checks = list(recording.checks())
    assert off(checks) == []
    compared = {check.name for check in checks}
    for case in recording.meta["cases"]:
        for mode in ("multi", "single"):
            assert {f"{case}.{mode}.iou", f"{case}.{mode}.mask"} <= compared
            assert any(name.startswith(f"{case}.{mode}.low_res_logits") for name in compared)
    assert len(recording.meta["cases"]) == 17
    assert {"image_embed", "high_res0_s2", "high_res1", "stage3", "fpn2_before_conv_s"} <= compared


def test_a_small_change_of_one_weight_is_noticed() -> None:
    recording = Recording(GOLDEN)
    with torch.no_grad():
        recording.model.image_encoder.trunk.blocks[1].attn.qkv.bias[0] += 0.01
    assert off(list(recording.checks())) != []


def test_a_wrong_seed_is_named() -> None:
    with pytest.raises(ValueError, match="seed 1"):
        Recording(GOLDEN, seed=1)


def test_the_reduced_config_is_the_one_recorded(recording: Recording) -> None:
    assert recording.model.config == REDUCED


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["sam2.1_hiera_tiny_image", "sam2.1_reduced_image", "mini_sam2.1_reduced"]
)
def test_whole_recordings_agree(name: str) -> None:
    path = SHARED / f"{name}.npz"
    if not path.exists():
        pytest.skip("the full recordings are not part of the repository")
    checks = list(Recording(path).checks())
    assert off(checks) == []
    assert len(checks) > 30


def test_a_recording_of_a_film_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "film.npz"
    np.savez(path, meta=np.frombuffer(b'{"model": "sam2.1_reduced", "scenarios": {}}', np.uint8))
    with pytest.raises(ValueError, match="no cases"):
        Recording(path)


def test_reduced_recordings_may_be_of_either_version() -> None:
    assert config_of("sam2_reduced").version == "2.0"
    assert config_of("sam2.1_reduced") == REDUCED
