"""Tensor names of Hugging Face transformers, turned into SAM 2's own.

`Sam2VideoModel` (and `Sam2Model`, which has no memory) hold the same tensors under other names;
two of them differ in more than the name: the four point embeddings are one table, and the Fourier
matrix is there twice.

The table was checked against transformers 5.23: every tensor of a `Sam2VideoModel` of each of the
eight official sizes gets a name that the official checkpoint has, with the same shape, and none is
left over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from napari_sam2.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

_LANDMARK = "vision_encoder.backbone.patch_embed.projection.weight"
_POINT_TABLE = "prompt_encoder.point_embed.weight"
_FOURIER = (
    "prompt_encoder.shared_embedding.positional_embedding",
    "shared_image_embedding.positional_embedding",
)
_OUR_FOURIER = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"

_DECODER_LISTS = (
    r"mask_decoder\.(output_hypernetworks_mlps\.\d|iou_prediction_head|pred_obj_score_head)"
)
_THREE_LAYERS = (("proj_in", 0), (r"layers\.0", 1), ("proj_out", 2))
_TWO_LAYERS = (("proj_in", 0), ("proj_out", 1))

# (pattern of theirs, replacement of ours); the first that matches from the start of a name is
# applied, group by group from the outside to the inside.
_RULES: tuple[tuple[tuple[str, str], ...], ...] = (
    # Layers of perceptrons, which transformers calls proj_in, layers, proj_out.
    (
        *((rf"{_DECODER_LISTS}\.{a}\.", rf"mask_decoder.\1.layers.{b}.") for a, b in _THREE_LAYERS),
        *((rf"object_pointer_proj\.{a}\.", f"obj_ptr_proj.layers.{b}.") for a, b in _THREE_LAYERS),
        *((rf"(.*)\.mlp\.{a}\.", rf"\1.mlp.layers.{b}.") for a, b in _TWO_LAYERS),
    ),
    # Parts that are numbered in a Sequential at home.
    (
        (r"mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
        (r"mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
        (r"mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
        (r"prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
        (r"prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
        (r"prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
        (r"prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
        (r"prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
        (r"(vision_encoder\.neck\.convs\.\d)\.", r"\1.conv."),
        (r"(memory_encoder\.mask_downsampler)\.final_conv\.", r"\1.encoder.12."),
    ),
    # Modules.
    (
        (
            r"vision_encoder\.backbone\.patch_embed\.projection",
            "image_encoder.trunk.patch_embed.proj",
        ),
        (r"vision_encoder\.backbone\.", "image_encoder.trunk."),
        (r"vision_encoder\.neck\.", "image_encoder.neck."),
        (r"prompt_encoder\.", "sam_prompt_encoder."),
        (r"mask_decoder\.", "sam_mask_decoder."),
        (r"memory_encoder\.feature_projection\.", "memory_encoder.pix_feat_proj."),
        (r"memory_encoder\.projection\.", "memory_encoder.out_proj."),
        (r"(memory_encoder)\.memory_fuser\.(layers\.\d)\.scale", r"\1.fuser.\2.gamma"),
        (r"(memory_encoder)\.memory_fuser\.(layers\.\d)\.depthwise_conv", r"\1.fuser.\2.dwconv"),
        (r"(memory_encoder)\.memory_fuser\.(layers\.\d)\.pointwise_conv", r"\1.fuser.\2.pwconv"),
        (r"memory_encoder\.memory_fuser\.", "memory_encoder.fuser."),
        (r"temporal_positional_encoding_projection_layer\.", "obj_ptr_tpos_proj."),
        (r"no_memory_embedding", "no_mem_embed"),
        (r"no_memory_positional_encoding", "no_mem_pos_enc"),
        (r"memory_temporal_positional_encoding", "maskmem_tpos_enc"),
        (r"no_object_pointer", "no_obj_ptr"),
        (r"occlusion_spatial_embedding_parameter", "no_obj_embed_spatial"),
    ),
    # Leaves that have one name everywhere.
    ((r"(.*)\.o_proj\.", r"\1.out_proj."), (r"(.*)\.layer_norm", r"\1.norm")),
)
_MASK_DOWNSAMPLER = re.compile(
    r"(memory_encoder\.mask_downsampler)\.layers\.(\d)\.(conv|layer_norm)"
)


def is_transformers(keys: Iterable[str]) -> bool:
    """Tell whether a state dict has transformers' names."""
    return _LANDMARK in keys


def our_name(key: str) -> str:
    """Give SAM 2's own name of a tensor of transformers."""
    key = _MASK_DOWNSAMPLER.sub(_number_in_sequential, key)
    for group in _RULES:
        for pattern, replacement in group:
            key, matched = re.subn(rf"^{pattern}", replacement, key)
            if matched:
                break
    return key


def from_transformers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors, part the table of point embeddings, and keep the Fourier matrix once.

    Raises
    ------
    WeightsError
        If the two copies of the Fourier matrix differ: SAM 2 has one for points and picture.
    """
    rest = dict(tensors)
    matrices = [rest.pop(key) for key in _FOURIER if key in rest]
    table = rest.pop(_POINT_TABLE, None)
    ours = {our_name(key): tensor for key, tensor in rest.items()}
    if table is not None:
        for i, row in enumerate(table.split(1)):
            ours[f"sam_prompt_encoder.point_embeddings.{i}.weight"] = row.clone()
    if matrices:
        if any(not matrix.equal(matrices[0]) for matrix in matrices):
            raise WeightsError(
                f"{_FOURIER[0]} and {_FOURIER[1]} must be equal, got two that differ. SAM 2 "
                "encodes points and picture with the same matrix."
            )
        ours[_OUR_FOURIER] = matrices[0]
    return ours


def _number_in_sequential(match: re.Match[str]) -> str:
    # At home a level is convolution, norm, GELU: three places of a Sequential.
    place = 3 * int(match[2]) + (match[3] == "layer_norm")
    return f"{match[1]}.encoder.{place}"
