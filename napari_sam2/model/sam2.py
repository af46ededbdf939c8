"""The whole model: embed a plane once, decode a prompt in a few milliseconds.

References
----------
SAM 2 (arXiv:2408.00714), "Model".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from napari_sam2.model.blocks import MLP
from napari_sam2.model.config import Sam2Config, named_config
from napari_sam2.model.fpn import FpnNeck, ImageEncoder
from napari_sam2.model.hiera import Hiera
from napari_sam2.model.mask_decoder import MaskDecoder, candidates, single_mask
from napari_sam2.model.memory_attention import MemoryAttention
from napari_sam2.model.memory_encoder import MemoryEncoder
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures, MaskOutput
from napari_sam2.model.prompt_encoder import PromptEncoder
from napari_sam2.model.refiner import Refiner

_NUM_MEMORIES = 7  # temporal positions of the memory bank
_INIT_STD = 0.02
_SAM_PATH = ("image_encoder.", "sam_prompt_encoder.", "sam_mask_decoder.", "no_mem_embed")
_REFINER = "refiner."
_IMAGE_PATH = (*_SAM_PATH, _REFINER)


class Sam2(nn.Module):
    """Segment Anything 2. Attributes that hold parameters are named as the checkpoints' keys.

    Attributes
    ----------
    config : Sam2Config
        The architecture.
    name, weights_hash : str
        Which weights these are; empty for random ones.
    has_memory : bool
        Whether the memory's weights came with the checkpoint: objects can be followed by it.
    """

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.config = config
        self.name = ""
        self.weights_hash = ""
        self.has_memory = True
        self.refiner = Refiner(config.refiner_widths) if config.refiner_widths else None
        d_model, memory_dim = config.d_model, config.memory_dim
        self.image_encoder = ImageEncoder(
            Hiera.from_config(config), FpnNeck(d_model, config.stage_dims)
        )
        self.sam_prompt_encoder = PromptEncoder(d_model, config.image_size, config.feature_size)
        self.sam_mask_decoder = MaskDecoder(d_model)
        self.no_mem_embed = nn.Parameter(torch.zeros(1, 1, d_model))
        # The memory, for propagation.
        self.memory_encoder = MemoryEncoder(d_model, memory_dim)
        self.memory_attention = MemoryAttention(
            d_model, memory_dim, config.memory_layers, config.memory_feedforward
        )
        self.mask_downsample = nn.Conv2d(1, 1, kernel_size=4, stride=4)
        self.maskmem_tpos_enc = nn.Parameter(torch.zeros(_NUM_MEMORIES, 1, 1, memory_dim))
        self.no_mem_pos_enc = nn.Parameter(torch.zeros(1, 1, d_model))  # in files, never used
        self.no_obj_ptr = nn.Parameter(torch.zeros(1, d_model))
        self.obj_ptr_proj = MLP(d_model, d_model, d_model, num_layers=3)
        if config.version == "2.1":
            self.no_obj_embed_spatial = nn.Parameter(torch.zeros(1, memory_dim))
            self.obj_ptr_tpos_proj = nn.Linear(d_model, memory_dim)

    def embed(self, pixels: Tensor) -> ImageFeatures:
        """Encode normalised pictures for any number of prompts.

        Parameters
        ----------
        pixels : Tensor, shape (B, 3, S, S), float32
            RGB in [0, 1], less the ImageNet mean, over its standard deviation.

        Returns
        -------
        ImageFeatures
            Of batch B.
        """
        features = self.as_features(self.image_encoder(pixels))
        return features if self.refiner is None else features._replace(picture=pixels.half())

    def as_features(self, levels: tuple[Tensor, Tensor, Tensor]) -> ImageFeatures:
        """Make what the decoder takes of the neck's levels, strides 4, 8 and 16."""
        fine, middle, coarse = levels
        return ImageFeatures(
            image_embed=coarse,
            high_res_features=(
                self.sam_mask_decoder.conv_s0(fine),
                self.sam_mask_decoder.conv_s1(middle),
            ),
        )

    def without_memory(self, features: ImageFeatures) -> ImageFeatures:
        """Make what the decoder takes of a plane that is seen for itself: add `no_mem_embed`."""
        seen = features.image_embed + self.no_mem_embed.view(1, -1, 1, 1)
        return features._replace(image_embed=seen)

    def decode(
        self,
        features: ImageFeatures,
        coords_xy: Tensor,
        labels: Tensor,
        mask_logits: Tensor | None = None,
        *,
        multimask: bool,
    ) -> MaskOutput:
        """Predict masks for prompts on an embedded plane.

        Parameters
        ----------
        features : ImageFeatures
            Output of `embed`; batch 1 is shared by all prompts.
        coords_xy : Tensor, shape (B, N, 2), float32
            (x, y) in pixels of the square model input; 0 is the centre of the first pixel.
        labels : Tensor, shape (B, N), integer
            1 positive, 0 negative, 2 and 3 box corners, -1 padding. N may be 0.
        mask_logits : Tensor, shape (B, 1, S/4, S/4), or None
            Low-resolution logits of an earlier answer.
        multimask : bool
            Three candidates, or the single mask with its stability fallback.

        Returns
        -------
        MaskOutput
            `low_res_masks` (B, M, S/4, S/4), logits; `iou_predictions` (B, M), in [0, 1].

        Raises
        ------
        ValueError
            If `coords_xy` and `labels` disagree in B or N.

        References
        ----------
        SAM 2 (arXiv:2408.00714), "Prompt encoder and mask decoder".
        """
        output = self.decode_all(features, coords_xy, labels, mask_logits)
        return candidates(output) if multimask else single_mask(output)

    def decode_all(
        self,
        features: ImageFeatures,
        coords_xy: Tensor,
        labels: Tensor,
        mask_logits: Tensor | None = None,
    ) -> DecoderOutput:
        """Decode all four masks, before any choice; parameters as in `decode`."""
        return self.decode_as_is(self.without_memory(features), coords_xy, labels, mask_logits)

    def decode_as_is(
        self,
        features: ImageFeatures,
        coords_xy: Tensor,
        labels: Tensor,
        mask_logits: Tensor | None = None,
    ) -> DecoderOutput:
        """Decode all four masks of features to which memory, or its absence, is added already."""
        if coords_xy.shape != (*labels.shape, 2):
            raise ValueError(
                f"coords_xy must be (B, N, 2) and labels (B, N), got {tuple(coords_xy.shape)} and "
                f"{tuple(labels.shape)}. Give one label per point."
            )
        return self.sam_mask_decoder(  # type: ignore[no-any-return]
            features,
            self.sam_prompt_encoder.position_grid(),
            self.sam_prompt_encoder.encode_points(coords_xy, labels),
            self.sam_prompt_encoder.encode_mask(mask_logits, batch=len(labels)),
        )

    def add_refiner(self, widths: tuple[int, ...]) -> None:
        """Put an untrained refiner in, which changes no mask, instead of what there was."""
        self.config = replace(self.config, refiner_widths=widths)
        self.refiner = Refiner(widths).train(self.training).to(self.device)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.no_mem_embed.device


def build_sam2(config: Sam2Config | str) -> Sam2:
    """Build a model with random weights, ready to predict.

    Parameters
    ----------
    config : Sam2Config or str
        An architecture, or the name of one, such as "sam2.1_hiera_tiny".

    Raises
    ------
    ValueError
        If no configuration has that name.
    """
    model = Sam2(named_config(config) if isinstance(config, str) else config)
    trunk = model.image_encoder.trunk
    for parameter in (
        trunk.pos_embed,
        trunk.pos_embed_window,
        model.no_mem_embed,
        model.no_mem_pos_enc,
        model.maskmem_tpos_enc,
        model.no_obj_ptr,
    ):
        nn.init.trunc_normal_(parameter, std=_INIT_STD)
    return model.eval()


def memory_keys(keys: Iterable[str]) -> set[str]:
    """Give those of the state-dict keys that serve the memory only, not the image path."""
    return {key for key in keys if not key.startswith(_IMAGE_PATH)}


def refiner_keys(keys: Iterable[str]) -> set[str]:
    """Give those of the state-dict keys that serve the refiner only."""
    return {key for key in keys if key.startswith(_REFINER)}
