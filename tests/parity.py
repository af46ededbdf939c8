"""We against a recording of the reference: `python -m tests.parity FILE.npz SEED`.

Pictures are checked here, clips in `tests.video_parity`; a file may hold either or both.

A recording holds a picture, prompts and what the official code made of them, with weights that
`fill_rule` makes from the seed. Arrays may be thinned: `_sN` keeps every Nth row and column, `_sub`
some channels, rows and columns, as the recording's notes say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.postprocess import to_candidates
from napari_sam2.session.preprocess import to_model_input
from tests.recordings import ROUNDS_ALIKE, Check, difference, filled_model, read
from tests.video_parity import VideoRecording

FEATURES = 1e-5  # relative to the largest value
TOKENS = FEATURES if ROUNDS_ALIKE else 5e-5  # of the decoder; off by up to 1.8e-5 with AVX2
LOGITS = 1e-3
SCORES = 1e-5
MASK_PIXELS = 1e-4  # share of pixels that may differ

_MAX_LOGIT = 32.0
_INPUT_STEPS = {256: 2, 1024: 8}  # how the recordings thin the model input
_MANY_CHANNELS = 256  # recordings of models this wide thin `dense_pe`


class Recording:
    """A recording, and a model with the same weights."""

    def __init__(self, path: Path, seed: int | None = None) -> None:
        self.arrays, meta = read(path)
        self.meta: dict[str, Any] = meta["image"] if "video" in meta else meta
        if "cases" not in self.meta:
            raise ValueError(f"{path} is not a recording of the image path: it has no cases.")
        seed = self.meta["seed"] if seed is None else seed
        self.model = filled_model(self.meta["model"], seed, self.meta["weights_digest"])

    @torch.inference_mode()
    def checks(self) -> Iterator[Check]:
        """Compare every array that the image path answers for."""
        pixels = to_model_input(self.arrays["image"], self.model.config.image_size)[None]
        yield from self._encoder(pixels)
        features = self.model.embed(pixels)
        yield from self._features(features, "")
        for case in self.meta["cases"]:
            if any(key.startswith(f"{case}.") for key in self.arrays):
                yield from self._case(case, features)
        if "image2" in self.arrays:
            yield from self._batch(pixels)

    def _encoder(self, pixels: torch.Tensor) -> Iterator[Check]:
        encoder = self.model.image_encoder
        step = _INPUT_STEPS.get(self.model.config.image_size, 1)
        tokens = encoder.trunk.patch_embed(pixels)
        stages = encoder.trunk(pixels)
        values = {
            "input_tensor": pixels[..., ::step, ::step],
            "patch_embed_nhwc": tokens[..., ::4],
            "pos_embed_nhwc": encoder.trunk.position_embedding(*tokens.shape[1:3])[..., ::2],
            "stage0": stages[0][..., ::2, ::2],
            **{f"stage{i}": stages[i] for i in (1, 2, 3)},
            **{f"stage{i}_sub": stages[i][:, ::8, ::4, ::4] for i in range(4)},
            "dense_pe": self.model.sam_prompt_encoder.position_grid(),
        }
        levels = encoder.neck(stages)
        values["fpn0_before_conv_s"] = levels[0][:, ::4]
        values |= {f"fpn{i}_before_conv_s": levels[i] for i in (1, 2)}
        values |= {f"fpn{i}_before_conv_s_sub": levels[i][:, ::8, ::4, ::4] for i in range(3)}
        if self.model.config.d_model == _MANY_CHANNELS:
            values["dense_pe"] = values["dense_pe"][:, ::8]
        for name, value in values.items():
            yield from self._compare_features(name, value)

    def _features(self, features: ImageFeatures, prefix: str) -> Iterator[Check]:
        fine, middle = features.high_res_features
        image_embed = self.model.without_memory(features).image_embed
        values = {
            "image_embed": image_embed,
            "image_embed_sub": image_embed[:, ::4],
            "high_res0": fine,
            "high_res0_s2": fine[..., ::2, ::2],
            "high_res0_sub": fine[..., ::4, ::4],
            "high_res1": middle,
            "high_res1_s2": middle[..., ::2, ::2],
            "high_res1_sub": middle[..., ::2, ::2],
        }
        for name, value in values.items():
            yield from self._compare_features(prefix + name, value)

    def _case(self, case: str, features: ImageFeatures) -> Iterator[Check]:
        height, width = self.meta["orig_hw"]
        coords, labels, mask = self._prompts(case, (height, width))
        encoder = self.model.sam_prompt_encoder
        yield from self._compare_features(
            f"{case}.sparse_embeddings", encoder.encode_points(coords, labels)
        )
        yield from self._compare_features(
            f"{case}.dense_embeddings", encoder.encode_mask(mask, len(labels))
        )
        raw = self.model.decode_all(features, coords, labels, mask)
        yield from self._compare_features(f"{case}.mask_tokens_out", raw.mask_tokens, TOKENS)
        yield from self._compare(f"{case}.raw_masks4", raw.low_res_masks, LOGITS)
        yield from self._compare(f"{case}.raw_iou4", raw.iou_predictions, SCORES)
        yield from self._compare(f"{case}.object_score_logits", raw.object_score[:, None], LOGITS)
        for mode in ("multi", "single"):
            output = self.model.decode(features, coords, labels, mask, multimask=mode == "multi")
            key = f"{case}.{mode}"
            shape = self.meta["cases"][case][f"mask_shape_{mode}"]
            yield from self._answer(key, output.low_res_masks, output.iou_predictions, shape)

    def _batch(self, pixels: torch.Tensor) -> Iterator[Check]:
        second = to_model_input(self.arrays["image2"], self.model.config.image_size)[None]
        features = self.model.embed(torch.cat([pixels, second]))
        yield from self._compare_features(
            "batch.image_embed_sub",
            self.model.without_memory(features).image_embed[:, ::4, ::2, ::2],
        )
        for i, size in enumerate((self.meta["orig_hw"], self.meta["orig_hw2"])):
            coords, labels, mask = self._prompts(f"batch.{i}", tuple(size))
            one = features.take(torch.tensor([i]))
            output = self.model.decode(one, coords, labels, mask, multimask=True)
            shape = self.meta["batch_mask_shape"][i]
            yield from self._answer(
                f"batch.{i}", output.low_res_masks, output.iou_predictions, shape
            )

    def _answer(
        self, key: str, logits: torch.Tensor, ious: torch.Tensor, shape: list[int]
    ) -> Iterator[Check]:
        clamped = logits.clamp(-_MAX_LOGIT, _MAX_LOGIT)
        for step, suffix in ((1, ""), (2, "_s2"), (4, "_s4")):
            name = f"{key}.low_res_logits{suffix}"
            yield from self._compare(name, clamped[..., ::step, ::step], LOGITS)
        yield from self._compare(f"{key}.iou", ious, SCORES)
        size = (shape[-2], shape[-1])
        masks = np.stack([mask.to_array() for one in logits for mask in to_candidates(one, size)])
        bits = np.unpackbits(self.arrays[f"{key}.mask_packbits"])[: np.prod(shape)]
        wrong = (masks.reshape(shape) != bits.reshape(shape).astype(bool)).mean()
        yield Check(f"{key}.mask", float(wrong), MASK_PIXELS)

    def _prompts(
        self, case: str, size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Give coordinates (B, N, 2), labels (B, N) and mask as the model takes them."""
        side = self.model.config.image_size
        scale = np.array(size[::-1], np.float32)
        coords = np.zeros((1, 0, 2), np.float32)
        labels = np.zeros((1, 0), np.int32)
        if (points := self.arrays.get(f"{case}.point_coords")) is not None:
            unit = points if f"{case}.normalize_coords" in self.arrays else points / scale
            coords = unit.reshape(-1, *unit.shape[-2:]) * side
            labels = self.arrays[f"{case}.point_labels"].reshape(len(coords), -1)
        if (box := self.arrays.get(f"{case}.box")) is not None:
            corners = (box.reshape(-1, 2, 2) / scale) * side
            if labels.shape[1] == 0:
                coords, labels = np.zeros((len(corners), 0, 2)), np.zeros((len(corners), 0), int)
            coords = np.concatenate([corners, coords], 1)
            labels = np.concatenate([np.tile([[2, 3]], (len(corners), 1)), labels], 1)
        mask = self.arrays.get(f"{case}.mask_input")
        as_mask = None if mask is None else torch.from_numpy(mask).reshape(-1, 1, *mask.shape[-2:])
        return torch.from_numpy(coords.astype(np.float32)), torch.from_numpy(labels), as_mask

    def _compare_features(
        self, name: str, value: torch.Tensor, tolerance: float = FEATURES
    ) -> Iterator[Check]:
        if name in self.arrays:
            largest = float(np.abs(self.arrays[name]).max(initial=0.0))
            for check in self._compare(name, value, tolerance):
                yield Check(name, check.error / max(largest, 1e-12), tolerance)

    def _compare(self, name: str, value: torch.Tensor, tolerance: float) -> Iterator[Check]:
        if name in self.arrays:
            yield Check(name, difference(value.numpy(), self.arrays[name]), tolerance)


def main() -> int:
    """Check one recording, print a line per array, and fail if any is off."""
    if len(sys.argv) != 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    path, seed = Path(sys.argv[1]), int(sys.argv[2])
    _, meta = read(path)
    checks = list(Recording(path, seed).checks()) if "cases" in meta.get("image", meta) else []
    if "scenarios" in meta:
        checks += VideoRecording(path, seed).checks()
    for check in checks:
        verdict = "ok " if check.holds else "OFF"
        sys.stdout.write(f"{verdict} {check.error:9.2e} <= {check.tolerance:7.0e}  {check.name}\n")
    wrong = sum(not check.holds for check in checks)
    sys.stdout.write(f"{len(checks) - wrong} of {len(checks)} arrays agree\n")
    return 1 if wrong or not checks else 0


if __name__ == "__main__":
    sys.exit(main())
