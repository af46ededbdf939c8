"""How a new model starts, so that the decoder begins to learn soon."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.attention import Attention
from napari_sam2.model.memory_attention import MemoryAttentionLayer
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.model.two_way import TwoWayBlock

_TOKEN_SCALE = 0.3  # of the norms of the tokens' contents; a position's features have 0.7
_EMBEDDING_SCALE = 0.1
_WAVES = (0.4, 9.0)  # of the position encoding, in half-turns over the picture
_NEARNESS = 6.0  # logit of the same place in a memory, before anything is learnt
_READ_GAIN, _WRITE_GAIN = 2.5, 1.7  # of matching positions, tokens to image and back


@torch.no_grad()
def prepare(model: Sam2) -> Sam2:
    """Start a new model so that a click finds its place at once.

    The position encoding gets fine and coarse waves; queries and keys of the cross-attentions start
    equal, so that equal positions attract each other; tokens start small, and so do the norms of
    their contents, so that contents do not drown positions.
    """
    encoder, decoder = model.sam_prompt_encoder, model.sam_mask_decoder
    tokens = [encoder.not_a_point_embed, encoder.no_mask_embed, *encoder.point_embeddings]
    tokens += [decoder.iou_token, decoder.mask_tokens, decoder.obj_score_token]
    for embedding in tokens:
        embedding.weight.mul_(_EMBEDDING_SCALE)
    waves = encoder.pe_layer.positional_encoding_gaussian_matrix
    direction = torch.rand(waves.shape[1]) * 2 * math.pi
    size = torch.logspace(math.log10(_WAVES[0]), math.log10(_WAVES[1]), waves.shape[1])
    waves.copy_(torch.stack([size * direction.cos(), size * direction.sin()]))
    for layer in decoder.transformer.modules():
        if not isinstance(layer, TwoWayBlock):
            continue
        _match_positions(layer.cross_attn_token_to_image, _READ_GAIN)
        _match_positions(layer.cross_attn_image_to_token, _WRITE_GAIN)
        for norm in (layer.norm1, layer.norm2, layer.norm3):
            norm.weight.fill_(_TOKEN_SCALE)
    _match_positions(decoder.transformer.final_attn_token_to_image, _READ_GAIN)
    return model


@torch.no_grad()
def prepare_memory(model: Sam2, image_embed: Tensor) -> Sam2:
    """Start the memory of a trained model anew: it looks where it looked, and changes little.

    The frame's features leave the memory attention on the scale that the decoder knows. Queries
    and keys have a constant part, so that their rotary encoding peaks at the same place.

    Parameters
    ----------
    model : Sam2
    image_embed : Tensor, shape (B, C, H, W)
        Of some pictures, see `ImageFeatures`.
    """
    fresh = build_sam2(model.config).state_dict()
    model.load_state_dict({key: fresh[key] for key in memory_keys(fresh)}, strict=False)
    seen = image_embed + model.no_mem_embed.view(1, -1, 1, 1)
    attention = model.memory_attention
    attention.norm.weight.copy_(seen.std((0, 2, 3)))
    attention.norm.bias.copy_(seen.mean((0, 2, 3)))
    for layer in attention.modules():
        if isinstance(layer, MemoryAttentionLayer):
            cross = layer.cross_attn_image
            constant = (_NEARNESS / math.sqrt(cross.q_proj.out_features)) ** 0.5
            for projection in (cross.q_proj, cross.k_proj):
                projection.bias.fill_(constant)
    return model


def _match_positions(attention: Attention, gain: float) -> None:
    nn.init.orthogonal_(attention.q_proj.weight, gain=gain)
    attention.k_proj.weight.copy_(attention.q_proj.weight)
    attention.q_proj.bias.zero_()
    attention.k_proj.bias.zero_()
