from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_sam2.errors import WeightsError
from napari_sam2.model import CONFIGS
from napari_sam2.weights import registry
from napari_sam2.weights.registry import (
    BUNDLED,
    REGISTRY,
    find_entry,
    new_own_path,
    own_models,
)

Shapes = dict[str, tuple[int, ...]]


def test_the_names_people_type() -> None:
    assert list(REGISTRY) == [
        "micro",
        *("tiny", "small", "base_plus", "large"),
        *("sam2_tiny", "sam2_small", "sam2_base_plus", "sam2_large"),
    ]
    assert all(entry.config_name in CONFIGS for entry in REGISTRY.values())
    assert {entry.licence for entry in REGISTRY.values()} == {"Apache-2.0"}


def test_repositories_have_hyphens_and_files_underscores() -> None:
    entry = REGISTRY["base_plus"]
    assert (entry.repo, entry.filename) == (
        "facebook/sam2.1-hiera-base-plus",
        "sam2.1_hiera_base_plus.pt",
    )
    entry = REGISTRY["sam2_base_plus"]
    assert (entry.repo, entry.filename) == (
        "facebook/sam2-hiera-base-plus",
        "sam2_hiera_base_plus.pt",
    )


def test_parameter_counts_are_those_of_the_checkpoints(official_shapes: dict[str, Shapes]) -> None:
    fourier = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"  # a buffer
    official = [entry for entry in REGISTRY.values() if not entry.bundled]
    assert len(official) == 8
    for entry in official:
        assert entry.config_name is not None
        shapes = official_shapes[entry.config_name]
        count = sum(_product(shape) for key, shape in shapes.items() if key != fourier)
        assert entry.parameters == count, entry.name


def test_only_micro_is_in_the_package() -> None:
    assert REGISTRY["micro"].local_path == BUNDLED / "micro.safetensors"
    assert [entry.name for entry in REGISTRY.values() if entry.local_path] == ["micro"]


@pytest.mark.parametrize(
    "path", ["mine.pt", "./a b/mine.pth", "C:/models/mine.safetensors", "A.PT"]
)
def test_a_path_is_taken_as_it_is(path: str) -> None:
    entry = find_entry(path)
    assert (entry.name, entry.local_path, entry.repo) == (path, Path(path), None)


def test_home_is_understood() -> None:
    assert find_entry("~/mine.pt").local_path == Path.home() / "mine.pt"


def test_a_file_of_a_repository() -> None:
    entry = find_entry("someone/cells:v2/model.safetensors")
    assert (entry.repo, entry.filename) == ("someone/cells", "v2/model.safetensors")
    assert entry.local_path is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tinny", "No model is called 'tinny'. Choose one of micro, tiny"),
        ("models/mine.h5", r"must be a \.pt, \.pth or \.safetensors file, got 'models/mine.h5'"),
        ("someone/cells:model.bin", r"must be a \.pt, \.pth or \.safetensors file"),
        ("someone/cells:../../other.pt", "from the repository's root"),
        ("someone/cells:/etc/other.pt", "from the repository's root"),
        ("", "No model is called ''"),
    ],
)
def test_what_cannot_be_understood_is_told(name: str, told: str) -> None:
    with pytest.raises(WeightsError, match=told):
        find_entry(name)


def test_the_registry_does_not_import_torch() -> None:
    program = "import sys, napari_sam2.weights.registry; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product


def test_a_users_own_models_are_known_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "own_folder", lambda: tmp_path / "models")
    assert own_models() == {}
    (tmp_path / "models").mkdir()
    path = new_own_path("my cells".replace(" ", "-"))
    path.write_bytes(b"")
    (tmp_path / "models" / "my-cells.training.pt").write_bytes(b"")
    (tmp_path / "models" / "micro.safetensors").write_bytes(b"")
    assert list(own_models()) == ["my-cells"], "ours are not hidden by a file of that name"
    assert find_entry("my-cells").local_path == path
    assert find_entry("micro").bundled
    with pytest.raises(WeightsError, match=r"micro, tiny, .*, my-cells, or give the path"):
        find_entry("nonsense")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", ".hidden", "micro", "x" * 80])
def test_a_name_for_a_model_is_checked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "own_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match="name"):
        new_own_path(name)
