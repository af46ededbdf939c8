from __future__ import annotations

import hashlib
import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_sam2.errors import WeightsError
from napari_sam2.model import CONFIGS, Sam2, build_sam2
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.weights import registry
from napari_sam2.weights.files import read_checkpoint
from napari_sam2.weights.loading import load_weights, save_weights
from tests.weights.conftest import REDUCED
from tests.weights.hub_stand_in import HubStandIn

State = dict[str, Tensor]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the reduced size be recognised, as an official one is."""
    monkeypatch.setitem(CONFIGS, "reduced", REDUCED)


@pytest.fixture
def state(reduced: Sam2) -> State:
    return dict(reduced.state_dict())


@pytest.fixture
def pt(tmp_path: Path, known: None) -> Callable[[Any], Path]:
    def write(content: Any) -> Path:
        torch.save(content, tmp_path / "some.pt")
        return tmp_path / "some.pt"

    return write


def assert_same(model: Sam2, state: State) -> None:
    loaded = model.state_dict()
    assert loaded.keys() == state.keys()
    different = [key for key in state if not loaded[key].equal(state[key])]
    assert different == []


def test_what_is_saved_is_loaded(reduced: Sam2, state: State, tmp_path: Path) -> None:
    path = tmp_path / "Zellen ä 细胞" / "mine.safetensors"  # such user names exist: SAMJ-IJ 16, 26
    path.parent.mkdir()
    save_weights(reduced, path, {"licence": "CC0-1.0"})
    model = load_weights(path)
    assert_same(model, state)
    assert model.config == REDUCED
    assert model.name == str(path)
    assert model.weights_hash == hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    assert model.has_memory
    assert not model.training
    assert {parameter.requires_grad for parameter in model.parameters()} == {True}


def test_a_file_of_ours_tells_its_configuration(reduced: Sam2, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights(reduced, path, {"licence": "CC0-1.0"})
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["napari_sam2"])
    assert (told["format"], told["memory"], told["licence"]) == (1, True, "CC0-1.0")
    assert told["config"]["stages"] == [1, 2, 3, 1]


def test_a_loaded_model_predicts_as_the_saved_one(reduced: Sam2, tmp_path: Path) -> None:
    save_weights(reduced, tmp_path / "mine.safetensors")
    model = load_weights(tmp_path / "mine.safetensors")
    pixels = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    coords_xy, labels = torch.tensor([[[100.0, 50.0]]]), torch.tensor([[1]], dtype=torch.int32)
    with torch.inference_mode():
        got, wanted = (
            each.decode(each.embed(pixels), coords_xy, labels, multimask=True)
            for each in (model, reduced)
        )
    assert got.low_res_masks.equal(wanted.low_res_masks)
    assert got.iou_predictions.equal(wanted.iou_predictions)


def test_half_precision_is_half_the_file_and_loads_as_float32(
    reduced: Sam2, state: State, tmp_path: Path
) -> None:
    save_weights(reduced, tmp_path / "full.safetensors")
    save_weights(reduced, tmp_path / "half.safetensors", dtype=torch.float16)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    assert_same(
        load_weights(tmp_path / "half.safetensors"),
        {key: tensor.half().float() for key, tensor in state.items()},
    )


@pytest.fixture
def without_memory(tmp_path: Path) -> Path:
    model = build_sam2(REDUCED)
    model.has_memory = False
    save_weights(model, tmp_path / "still.safetensors")
    return tmp_path / "still.safetensors"


def test_a_model_without_memory_leaves_its_weights_out_and_says_so(
    without_memory: Path, state: State
) -> None:
    with safe_open(without_memory, framework="pt") as file:
        assert set(file.keys()) == state.keys() - memory_keys(state)
    model = load_weights(without_memory)
    assert not model.has_memory
    assert model.memory_encoder.out_proj.weight.count_nonzero() == 0
    assert model.no_mem_embed.count_nonzero() > 0  # not of the memory: images need it


def test_the_memory_may_not_be_missing_unless_the_file_says_so(
    state: State, pt: Callable[[Any], Path]
) -> None:
    absent = memory_keys(state)
    path = pt({key: tensor for key, tensor in state.items() if key not in absent})
    with pytest.raises(WeightsError, match=rf"{len(absent)} missing: "):
        load_weights(path)


def test_a_file_that_says_it_has_no_memory_may_not_have_some(
    without_memory: Path, state: State, tmp_path: Path
) -> None:
    with safe_open(without_memory, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
    tensors["no_obj_ptr"] = state["no_obj_ptr"]
    save_file(tensors, tmp_path / "odd.safetensors", metadata)
    with pytest.raises(WeightsError, match="1 unexpected: no_obj_ptr"):
        load_weights(tmp_path / "odd.safetensors")


@pytest.mark.parametrize("wrap", [lambda state: {"model": state}, lambda state: state])
def test_a_pt_file_holds_the_state_plain_or_under_model(
    wrap: Callable[[State], Any], state: State, pt: Callable[[Any], Path]
) -> None:
    assert_same(load_weights(pt(wrap(state))), state)


def test_a_version_2_0_is_recognised(pt: Callable[[Any], Path], monkeypatch: Any) -> None:
    from dataclasses import replace

    older = replace(REDUCED, version="2.0")
    monkeypatch.setitem(CONFIGS, "older", older)
    assert load_weights(pt({"model": build_sam2(older).state_dict()})).config == older


def test_every_kind_of_misfit_is_named(state: State, pt: Callable[[Any], Path]) -> None:
    for i in range(4):
        del state[f"sam_prompt_encoder.point_embeddings.{i}.weight"]
    del state["sam_mask_decoder.iou_token.weight"]
    state["extra.weight"] = torch.zeros(1)
    state["no_obj_ptr"] = torch.zeros(1, 3)
    state["no_mem_embed"] = torch.zeros(1, 1, 64, dtype=torch.int8)
    with pytest.raises(WeightsError) as caught:
        load_weights(pt(state))
    told = str(caught.value)
    assert "5 missing: sam_prompt_encoder.point_embeddings.0.weight" in told
    assert "and 1 more" in told
    assert "1 unexpected: extra.weight" in told
    assert "1 of wrong shape: no_obj_ptr (1, 3) instead of (1, 64)" in told
    assert "1 not plain floating point: no_mem_embed torch.int8" in told


class Trap:
    """A pickle of this creates a file when it is opened carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("bare", [True, False])
def test_a_malicious_pickle_is_refused_and_runs_nothing(
    bare: bool, tmp_path: Path, state: State
) -> None:
    sprung, path = tmp_path / "sprung", tmp_path / "trap.pt"
    if bare:
        path.write_bytes(pickle.dumps({"model": Trap(sprung)}, protocol=2))
    else:
        torch.save({"model": state, "extra": Trap(sprung)}, path)
    with pytest.raises(WeightsError, match="could run code on this computer"):
        load_weights(path)
    assert not sprung.exists()
    with path.open("rb") as file:
        trapped = pickle.load(file) if bare else torch.load(file, weights_only=False)
    assert sprung.exists()  # it would have, had it been opened carelessly
    (trapped["model"] if bare else trapped["extra"]).close()


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_file_cut_short_is_told(
    suffix: str, kept: float, reduced: Sam2, known: None, tmp_path: Path
) -> None:
    path = tmp_path / f"cut{suffix}"
    if suffix == ".pt":
        torch.save(reduced.state_dict(), path)
    else:
        save_weights(reduced, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(WeightsError, match=r"damaged"):
        load_weights(path)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"<html>Sign in</html>", b"version https://git-lfs", b"\0" * 100, bytes(range(256)) * 9],
)
def test_something_else_is_told(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"else{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is damaged"):
        load_weights(path)


# torch remarks on a pickle whose version byte was flipped.
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_flipped_bytes_are_told_or_harmless(tmp_path: Path) -> None:
    path, chance = tmp_path / "flipped.pt", random.Random(0)
    content = {"model": {f"a.{i}": torch.zeros(2) for i in range(3)}}
    torch.save(content, path, _use_new_zipfile_serialization=False)  # short: most bytes matter
    whole, refused = path.read_bytes(), 0
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] = chance.randrange(256)
        path.write_bytes(flipped)
        try:
            read_checkpoint(path)
        except WeightsError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([1, 2], "must hold a state dict, or one under 'model', got list"),
        ({"model": 3}, "must hold a state dict, or one under 'model'"),
        ({3: torch.zeros(1)}, r"must hold tensors only, got others under \[3\]"),
        ({"epoch": 3}, r"must hold tensors only, got others under \['epoch'\]"),
        ({"fc.weight": torch.zeros(1)}, "not a SAM 2 checkpoint"),
    ],
)
def test_another_content_is_told(content: Any, told: str, pt: Callable[[Any], Path]) -> None:
    with pytest.raises(WeightsError, match=told):
        load_weights(pt(content))


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ("{", "cannot be understood"),
        ("[1]", "cannot be understood"),
        ('{"format": 2}', "is in format 2, .* Update napari-sam2"),
        ('{"config": {"colour": 3}}', "cannot be understood .*colour"),
        ('{"config": {"image_size": 100}}', "cannot be understood .*multiple of 32"),
        ('{"config": {"image_size": "big"}}', "cannot be understood"),
        ('{"config": {"embed_dim": 0}}', "cannot be understood"),
        ('{"config": {"stages": ["a", 1, 1, 1]}}', "cannot be understood"),
        ('{"config": 3}', "cannot be understood"),
    ],
)
def test_metadata_that_make_no_sense_are_told(
    metadata: str, told: str, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "odd.safetensors"
    save_file(state, path, {"napari_sam2": metadata})
    with pytest.raises(WeightsError, match=told):
        load_weights(path)


def test_safetensors_without_metadata_are_recognised(
    state: State, known: None, tmp_path: Path
) -> None:
    save_file(state, tmp_path / "plain.safetensors")
    assert_same(load_weights(tmp_path / "plain.safetensors"), state)


def test_a_registered_name_must_hold_what_it_says(
    reduced: Sam2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "BUNDLED", tmp_path)
    save_weights(reduced, tmp_path / "micro.safetensors")
    with pytest.raises(WeightsError, match="should hold micro, but holds another model"):
        load_weights("micro")


def test_micro_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUNDLED", tmp_path)
    with pytest.raises(WeightsError, match=r"micro\.safetensors is missing. Install"):
        load_weights("micro")
    model = build_sam2("micro")
    save_weights(model, tmp_path / "micro.safetensors")
    loaded = load_weights("micro")
    assert_same(loaded, dict(model.state_dict()))
    assert loaded.name == "micro"


def test_saving_takes_safetensors_only(reduced: Sam2, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"saved as a \.safetensors file, got .*mine\.pt"):
        save_weights(reduced, tmp_path / "mine.pt")


def test_saving_that_fails_leaves_the_old_file(
    reduced: Sam2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights(reduced, path)
    before = path.read_bytes()

    def fail(tensors: State, target: Path, metadata: dict[str, str]) -> None:
        target.write_bytes(b"half")
        raise OSError

    monkeypatch.setattr("napari_sam2.weights.files.save_file", fail)
    with pytest.raises(OSError):  # noqa: PT011
        save_weights(reduced, path, {"new": True})
    assert path.read_bytes() == before


def test_a_loaded_model_does_not_change_with_its_file(
    reduced: Sam2, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    save_weights(reduced, path)
    model = load_weights(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert_same(model, state)


def test_a_model_is_loaded_straight_from_the_hub(
    hub: HubStandIn, reduced: Sam2, state: State, tmp_path: Path
) -> None:
    save_weights(reduced, tmp_path / "mine.safetensors")
    hub.files["someone/cells", "mine.safetensors"] = (tmp_path / "mine.safetensors").read_bytes()
    told: list[tuple[int, int]] = []
    name = "someone/cells:mine.safetensors"
    model = load_weights(name, progress=lambda done, total: told.append((done, total)))
    assert_same(model, state)
    assert model.name == name
    assert told[-1][0] == told[-1][1] > 0
    with pytest.raises(WeightsError, match="offline mode is on"):
        load_weights("someone/cells:other.safetensors", offline=True)


@pytest.mark.weights
@pytest.mark.parametrize("name", [name for name, e in registry.REGISTRY.items() if not e.bundled])
def test_the_official_weights_load(name: str) -> None:
    model = load_weights(name)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert parameters == registry.REGISTRY[name].parameters
