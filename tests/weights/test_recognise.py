from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_sam2.errors import WeightsError
from napari_sam2.model import CONFIGS, Sam2, Sam2Config, build_sam2
from napari_sam2.weights.recognise import recognise, visible_fields
from napari_sam2.weights.registry import REGISTRY
from tests.weights.conftest import REDUCED

Shapes = dict[str, tuple[int, ...]]


def shapes_of(model: Sam2) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def test_every_official_checkpoint_is_recognised(official_shapes: dict[str, Shapes]) -> None:
    assert len(official_shapes) == 8
    for name, shapes in official_shapes.items():
        assert recognise(shapes) == CONFIGS[name], name


def test_micro_is_recognised() -> None:
    with torch.device("meta"):
        model = build_sam2("micro")
    assert recognise(shapes_of(model)) == CONFIGS["micro"]
    model.add_refiner((32, 64, 96))  # as the file that ships
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert REGISTRY["micro"].parameters == parameters


def test_a_refiner_is_recognised_on_top(official_shapes: dict[str, Shapes]) -> None:
    with torch.device("meta"):
        model = build_sam2("micro")
        model.add_refiner((8, 16))
    assert recognise(shapes_of(model)) == replace(CONFIGS["micro"], refiner_widths=(8, 16))
    assert recognise(official_shapes["sam2.1_hiera_tiny"]).refiner_widths == ()


def test_all_that_shapes_betray_is_read(reduced: Sam2) -> None:
    assert visible_fields(shapes_of(reduced)) == {
        "version": "2.1",
        "embed_dim": 16,
        "stages": (1, 2, 3, 1),
        "pos_embed_grid": (7, 7),
        "d_model": 64,
        "memory_dim": 16,
        "memory_layers": 2,
        "memory_feedforward": 128,
    }


@pytest.mark.parametrize("key", ["no_obj_embed_spatial", "obj_ptr_tpos_proj.weight"])
def test_a_2_1_that_lacks_one_of_its_own_keys_is_still_a_2_1(
    official_shapes: dict[str, Shapes], key: str
) -> None:
    shapes = dict(official_shapes["sam2.1_hiera_tiny"])
    del shapes[key]
    assert recognise(shapes).version == "2.1"


def test_the_size_is_recognised_without_the_memory(official_shapes: dict[str, Shapes]) -> None:
    image_path = ("image_encoder.", "sam_", "no_mem_embed")
    shapes = official_shapes["sam2.1_hiera_small"]
    shapes = {key: shape for key, shape in shapes.items() if key.startswith(image_path)}
    assert recognise(shapes).stages == CONFIGS["sam2.1_hiera_small"].stages


def test_another_model_is_told() -> None:
    with pytest.raises(
        WeightsError, match=r"not a SAM 2 checkpoint.*2 tensors.*fc\.weight, fc\.bias"
    ):
        recognise({"fc.weight": (2, 2), "fc.bias": (2,)})


def test_nothing_is_told() -> None:
    with pytest.raises(WeightsError, match=r"not a SAM 2 checkpoint.*0 tensors.*none"):
        recognise({})


def test_an_unknown_size_is_told_with_what_was_seen(reduced: Sam2) -> None:
    with pytest.raises(WeightsError, match=r"no known size \(.*embed_dim 16.*save_weights"):
        recognise(shapes_of(reduced))
    assert Sam2Config() != REDUCED
