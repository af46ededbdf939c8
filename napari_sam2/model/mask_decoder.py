"""Image embedding and prompts to masks and their predicted IoU.

References
----------
SAM (arXiv:2304.02643), "Mask decoder"; SAM 2 (arXiv:2408.00714), "Prompt encoder and mask
decoder".
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_sam2.model.blocks import MLP, LayerNorm2d
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures, MaskOutput
from napari_sam2.model.two_way import TwoWayTransformer

NUM_CANDIDATES = 3
_NUM_MASKS = NUM_CANDIDATES + 1  # mask 0 answers unambiguous prompts
_IOU_HEAD_DIM = 256
_HEAD_DEPTH = 3
_STABILITY_DELTA = 0.05  # logits
_STABILITY_THRESHOLD = 0.98


class MaskDecoder(nn.Module):
    """Tokens read the image; each mask token becomes a filter over the upscaled image."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.transformer = TwoWayTransformer(d_model)
        self.iou_token = nn.Embedding(1, d_model)
        self.mask_tokens = nn.Embedding(_NUM_MASKS, d_model)
        self.obj_score_token = nn.Embedding(1, d_model)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(d_model, d_model // 4, kernel_size=2, stride=2),
            LayerNorm2d(d_model // 4),
            nn.GELU(),
            nn.ConvTranspose2d(d_model // 4, d_model // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.conv_s0 = nn.Conv2d(d_model, d_model // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(d_model, d_model // 4, kernel_size=1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(d_model, d_model, d_model // 8, _HEAD_DEPTH) for _ in range(_NUM_MASKS)
        )
        self.iou_prediction_head = MLP(d_model, _IOU_HEAD_DIM, _NUM_MASKS, _HEAD_DEPTH)
        self.pred_obj_score_head = MLP(d_model, d_model, 1, _HEAD_DEPTH)

    def forward(
        self, features: ImageFeatures, image_pe: Tensor, sparse: Tensor, dense: Tensor
    ) -> DecoderOutput:
        """Decode all four masks.

        Parameters
        ----------
        features : ImageFeatures
            Of batch B, or of batch 1 shared by all prompts.
        image_pe : Tensor, shape (1, C, H, W)
            Position encoding of the stride-16 grid.
        sparse : Tensor, shape (B, N, C)
            Prompt tokens.
        dense : Tensor, shape (B, C, H, W)
            Mask prompt, or its absence.

        Returns
        -------
        DecoderOutput
            Masks of 4H x 4W logits.
        """
        batch = sparse.shape[0]
        side = features.image_embed.shape[-1]
        outputs = [self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight]
        output_tokens = torch.cat(outputs)[None].expand(batch, -1, -1)  # (B, 6, C)
        tokens = torch.cat([output_tokens, sparse], dim=1)
        image = (features.image_embed + dense).flatten(2).transpose(1, 2)  # (B, H*W, C)
        tokens, image = self.transformer(tokens, image, image_pe.flatten(2).transpose(1, 2))

        image = image.transpose(1, 2).unflatten(2, (side, side))  # (B, C, H, W)
        upscaled = self._upscale(image, features.high_res_features)  # (B, C/8, 4H, 4W)
        mask_tokens = tokens[:, 2 : 2 + _NUM_MASKS]
        mlps = enumerate(self.output_hypernetworks_mlps)
        filters = torch.stack([mlp(mask_tokens[:, i]) for i, mlp in mlps], dim=1)  # (B, 4, C/8)
        masks = (filters @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:])
        return DecoderOutput(
            low_res_masks=masks,
            iou_predictions=self.iou_prediction_head(tokens[:, 1]).sigmoid(),
            mask_tokens=mask_tokens,
            object_score=self.pred_obj_score_head(tokens[:, 0])[:, 0],
        )

    def _upscale(self, image: Tensor, high_res_features: tuple[Tensor, Tensor]) -> Tensor:
        first, norm, act, second, last_act = self.output_upscaling
        fine, middle = high_res_features
        x = act(norm(first(image) + middle))
        out: Tensor = last_act(second(x) + fine)
        return out


def candidates(output: DecoderOutput) -> MaskOutput:
    """Give masks 1 to 3: the answers to an ambiguous prompt, in the decoder's order."""
    return MaskOutput(
        output.low_res_masks[:, 1:], output.iou_predictions[:, 1:], output.object_score
    )


def single_mask(output: DecoderOutput) -> MaskOutput:
    """Give mask 0, or the best candidate where mask 0 is unstable.

    Stability is the IoU of the mask at thresholds 0.05 above and below zero; an empty mask is
    stable.
    """
    masks, ious = output.low_res_masks, output.iou_predictions
    single = masks[:, 0].flatten(1)
    inner = (single > _STABILITY_DELTA).sum(dim=1).float()
    outer = (single > -_STABILITY_DELTA).sum(dim=1).float()
    stable = torch.where(outer > 0, inner / outer.clamp(min=1), 1.0) >= _STABILITY_THRESHOLD
    best = 1 + ious[:, 1:].argmax(dim=1)
    chosen = torch.where(stable, 0, best)  # (B,)
    rows = torch.arange(len(chosen), device=chosen.device)
    return MaskOutput(
        masks[rows, chosen][:, None], ious[rows, chosen][:, None], output.object_score
    )
