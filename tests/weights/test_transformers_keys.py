"""The names in the golden were listed by transformers 5.23's own `Sam2VideoModel`."""

from __future__ import annotations

import json
import lzma
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_sam2.errors import WeightsError
from napari_sam2.model import CONFIGS, Sam2
from napari_sam2.weights.loading import load_weights
from napari_sam2.weights.transformers_keys import from_transformers, is_transformers, our_name
from tests.weights.conftest import REDUCED

GOLDEN = Path(__file__).parents[1] / "goldens" / "transformers_keys.json.xz"
Shapes = dict[str, tuple[int, ...]]

POINTS = "sam_prompt_encoder.point_embeddings"
FOURIER = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
THEIR_POINTS = "prompt_encoder.point_embed.weight"
THEIR_FOURIER = (
    "prompt_encoder.shared_embedding.positional_embedding",
    "shared_image_embedding.positional_embedding",
)


@pytest.fixture(scope="module")
def their_shapes() -> dict[str, Shapes]:
    listed = json.loads(lzma.decompress(GOLDEN.read_bytes()))
    return {
        model: {key: tuple(shape) for key, shape in shapes.items()}
        for model, shapes in listed.items()
    }


@pytest.fixture
def theirs(reduced: Sam2, their_shapes: dict[str, Shapes]) -> dict[str, Tensor]:
    """The reduced model's tensors under the names that transformers would give them."""
    listed = {our_name(key): key for key in their_shapes["sam2.1_hiera_tiny"]}

    def their_name(key: str) -> str:
        block = re.search(r"trunk\.blocks\.\d+\.", key)
        if block is None:
            return listed[key]
        # Tiny widens at other blocks; its block 1 has every part that a block can have.
        in_block_1 = listed[key.replace(block[0], "trunk.blocks.1.")]
        return in_block_1.replace("blocks.1.", block[0].removeprefix("trunk."))

    state = dict(reduced.state_dict())
    rows = [state.pop(f"{POINTS}.{i}.weight") for i in range(4)]
    fourier = state.pop(FOURIER)
    tensors = {their_name(key): tensor for key, tensor in state.items()}
    tensors[THEIR_POINTS] = torch.cat(rows)
    tensors |= {key: fourier.clone() for key in THEIR_FOURIER}
    return tensors


def test_every_name_and_shape_becomes_the_official_one(
    their_shapes: dict[str, Shapes], official_shapes: dict[str, Shapes]
) -> None:
    assert set(their_shapes) == {"sam2.1_hiera_tiny", "sam2_hiera_base_plus"}
    for model, shapes in their_shapes.items():
        meta = {key: torch.empty(shape) for key, shape in shapes.items()}
        for key in THEIR_FOURIER:
            meta[key].zero_()
        ours = from_transformers(meta)
        got = {key: tuple(tensor.shape) for key, tensor in ours.items()}
        assert got == official_shapes[model], model


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (
            "vision_encoder.backbone.blocks.3.layer_norm2.bias",
            "image_encoder.trunk.blocks.3.norm2.bias",
        ),
        (
            "mask_decoder.output_hypernetworks_mlps.2.layers.0.weight",
            "sam_mask_decoder.output_hypernetworks_mlps.2.layers.1.weight",
        ),
        (
            "mask_decoder.transformer.layers.1.cross_attn_image_to_token.o_proj.weight",
            "sam_mask_decoder.transformer.layers.1.cross_attn_image_to_token.out_proj.weight",
        ),
        (
            "memory_encoder.mask_downsampler.layers.2.layer_norm.weight",
            "memory_encoder.mask_downsampler.encoder.7.weight",
        ),
        ("memory_encoder.memory_fuser.layers.1.scale", "memory_encoder.fuser.layers.1.gamma"),
        ("object_pointer_proj.proj_out.bias", "obj_ptr_proj.layers.2.bias"),
        ("memory_attention.layer_norm.weight", "memory_attention.norm.weight"),
        ("mask_downsample.weight", "mask_downsample.weight"),
    ],
)
def test_a_name_is_translated(theirs: str, ours: str) -> None:
    assert our_name(theirs) == ours


def test_values_land_where_they_belong(theirs: dict[str, Tensor], reduced: Sam2) -> None:
    ours, wanted = from_transformers(theirs), reduced.state_dict()
    assert ours.keys() == wanted.keys()
    assert all(ours[key].equal(wanted[key]) for key in wanted)


def test_a_file_of_transformers_is_loaded(
    theirs: dict[str, Tensor],
    reduced: Sam2,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(CONFIGS, "reduced", REDUCED)
    save_file(theirs, tmp_path / "model.safetensors", {"format": "pt"})
    model = load_weights(tmp_path / "model.safetensors")
    wanted = reduced.state_dict()
    assert all(tensor.equal(wanted[key]) for key, tensor in model.state_dict().items())


def test_a_misfit_is_named_in_our_words(
    theirs: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIGS, "reduced", REDUCED)
    del theirs[THEIR_POINTS], theirs[THEIR_FOURIER[0]], theirs[THEIR_FOURIER[1]]
    theirs["mask_decoder.surprise.weight"] = torch.zeros(1)
    save_file(theirs, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"5 missing: .*1 unexpected: sam_mask_d.*surprise"):
        load_weights(tmp_path / "model.safetensors")


def test_one_copy_of_the_fourier_matrix_is_enough(theirs: dict[str, Tensor]) -> None:
    wanted = theirs[THEIR_FOURIER[1]]
    del theirs[THEIR_FOURIER[0]]
    assert from_transformers(theirs)[FOURIER].equal(wanted)


def test_two_fourier_matrices_that_differ_are_refused(theirs: dict[str, Tensor]) -> None:
    theirs[THEIR_FOURIER[0]] = theirs[THEIR_FOURIER[0]] + 1
    with pytest.raises(WeightsError, match="must be equal, got two that differ"):
        from_transformers(theirs)


def test_the_two_vocabularies_are_told_apart(theirs: dict[str, Tensor], reduced: Sam2) -> None:
    assert is_transformers(theirs)
    assert not is_transformers(reduced.state_dict())
