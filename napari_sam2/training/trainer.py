"""Train a SAM 2 from scratch, resumably: `python -m napari_sam2.training.trainer --help`.

The recipe follows SAM: a click or a box, then clicks where the mask is wrong, the earlier logits
fed back. The first part runs on windows of the model's canvas, a quarter of its area: the position
encodings are cut to the window's place, so the geometry is that of the full canvas from the start.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_sam2.model import Sam2, build_sam2
from napari_sam2.model.attention import Attention
from napari_sam2.model.outputs import DecoderOutput, ImageFeatures
from napari_sam2.model.sam2 import memory_keys
from napari_sam2.model.two_way import TwoWayBlock
from napari_sam2.training import prompts
from napari_sam2.training.data import Picture, Windows, draw_pictures, load_pictures, windows
from napari_sam2.training.losses import DenseHead, decoder_loss, object_loss

logger = logging.getLogger(__name__)

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
_STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
_GRID = 16  # model pixels per cell of the decoder's grid
_PATCH = 4  # model pixels per trunk token
_PLACE = 32  # windows lie on multiples of this: the tiled position embedding's period
_MIN_AREA = 10  # half-resolution pixels; smaller objects are not asked for
_MAX_LOGIT = 32.0
_FIRST_BACKGROUND = 0.05
_FEATURE_SCALE = 0.3  # of the neck's levels when the decoder joins; the positions' is 0.7
_TOKEN_SCALE = 0.3


@dataclass(frozen=True)
class Recipe:
    """The numbers of a run; a resumed run takes new ones where they are given.

    Attributes
    ----------
    steps : int
        In all.
    full_from : float
        Fraction of the steps after which whole canvases are trained, not windows.
    side, batch, full_batch : int
        Window side in pixels, and pictures a step, before and after.
    objects, full_objects : int
        Prompts a step, before and after.
    lr, weight_decay, warmup, clip, ema : float
        AdamW's rate at its peak and decay; steps of warm-up; gradient norm; averaging of weights.
    dense : float
        Weight of the dense helper loss at the start; it falls to a tenth.
    dense_only : int
        First steps, on the dense helper loss alone.
    settle : int
        Steps over which the background's weight in the mask loss rises to 1.
    """

    steps: int = 20_000
    full_from: float = 0.7
    side: int = 256
    batch: int = 4
    full_batch: int = 2
    fresh: int = 2
    objects: int = 24
    full_objects: int = 16
    lr: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 300
    clip: float = 1.0
    ema: float = 0.999
    dense: float = 4.0
    dense_only: int = 800
    settle: int = 2000
    drawn: int = 250
    seed: int = 0


class Trainer:
    """One run: model, averaged weights, optimiser, and where it is kept.

    Parameters
    ----------
    model : Sam2
        Its memory stays as it is.
    recipe : Recipe
    folder : Path
        For `state.pt` and `log.jsonl`; a state found there is resumed.
    """

    def __init__(self, model: Sam2, recipe: Recipe, folder: Path) -> None:
        self.model = model.train()
        self.recipe = recipe
        self.folder = folder
        self.step = 0
        skipped = memory_keys(name for name, _ in model.named_parameters())
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in skipped)
        self.dense_head = DenseHead(model.config.d_model)
        trained = [p for p in self._modules().parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim > 1], "weight_decay": recipe.weight_decay},
                {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=recipe.lr,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.trained = trained
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        if self._state_file.exists():
            self._resume()

    def run(
        self, pictures: list[Picture], *, report_every: int = 50, keep_every: int = 500
    ) -> None:
        """Train to the recipe's last step, keeping the state on the way."""
        batches: Iterator[Windows] | None = None
        was_full: bool | None = None
        totals: dict[str, float] = {}
        since = time.perf_counter()
        while self.step < self.recipe.steps:
            full = self.step >= self.recipe.full_from * self.recipe.steps
            if batches is None or full != was_full:
                batches, was_full = self._batches(pictures, full), full
            for key, value in self.train_step(next(batches)).items():
                totals[key] = totals.get(key, 0.0) + value / report_every
            self.step += 1
            if self.step % report_every == 0:
                seconds = (time.perf_counter() - since) / report_every
                self._log({**totals, "seconds": seconds, "side": self._side(full)})
                totals, since = {}, time.perf_counter()
            if self.step % keep_every == 0:
                self.keep()

    def train_step(self, batch: Windows) -> dict[str, float]:
        """Take one optimiser step and give its losses."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        side = batch.pixels.shape[-1]
        offset = self._random_place(side)
        pixels = (batch.pixels - _MEAN) / _STD
        if self.step == self.recipe.dense_only:
            self._calibrate(pixels)
        levels = self._encode(pixels, offset)
        dense = self.dense_head(levels, batch.labels)
        fade = 0.1 + 0.9 * max(0.0, 1 - 2 * self.step / self.recipe.steps)
        loss = self.recipe.dense * fade * dense
        ious: dict[str, float] = {}
        if self.step >= self.recipe.dense_only:
            decode = _Decoder(self.model, self._features(levels), offset, side)
            is_full = side == self.model.config.image_size
            count = self.recipe.full_objects if is_full else self.recipe.objects
            decoding, ious = _prompted_loss(decode, batch.labels, count, self._background())
            loss = loss + decoding
            ious["loss"] = decoding.item()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.trained, self.recipe.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self._update_average()
        return {"dense": dense.item(), "norm": norm.item(), **ious}

    def keep(self) -> None:
        """Write the state, whole or not at all."""
        state = {
            "step": self.step,
            "recipe": asdict(self.recipe),
            "model": self.model.state_dict(),
            "average": self.average,
            "dense_head": self.dense_head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self._state_file.with_suffix(".part")
        torch.save(state, partial)
        partial.replace(self._state_file)

    @property
    def _state_file(self) -> Path:
        return self.folder / "state.pt"

    def _resume(self) -> None:
        state = torch.load(self._state_file, weights_only=True)
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.average = state["average"]
        self.dense_head.load_state_dict(state["dense_head"])
        decays = [group["weight_decay"] for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, decay in zip(self.optimizer.param_groups, decays, strict=True):
            group["weight_decay"] = decay  # this recipe's, not the state's
        logger.info("Resumed at step %d.", self.step)

    def _modules(self) -> nn.ModuleList:
        return nn.ModuleList([self.model, self.dense_head])

    def _side(self, full: bool) -> int:
        return self.model.config.image_size if full else self.recipe.side

    def _batches(self, pictures: list[Picture], full: bool) -> Iterator[Windows]:
        rng = np.random.default_rng([self.recipe.seed, self.step])
        torch.manual_seed(self.recipe.seed + self.step)
        return windows(
            pictures,
            rng,
            batch=self.recipe.full_batch if full else self.recipe.batch,
            side=self._side(full),
            canvas=self.model.config.image_size,
            fresh=1 if full else self.recipe.fresh,
            pool=60 if full else 240,
        )

    def _learning_rate(self) -> float:
        recipe = self.recipe
        warm = min(1.0, (self.step + 1) / recipe.warmup)
        return recipe.lr * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * self._progress())) / 2)

    def _background(self) -> float:
        done = min(1.0, (self.step - self.recipe.dense_only) / self.recipe.settle)
        return float(_FIRST_BACKGROUND ** (1 - done))

    def _progress(self) -> float:
        return min(1.0, self.step / self.recipe.steps)

    def _random_place(self, side: int) -> tuple[int, int]:
        places = (self.model.config.image_size - side) // _PLACE + 1
        y, x = torch.randint(places, (2,)).tolist()
        return y * _PLACE, x * _PLACE

    def _encode(self, pixels: Tensor, offset: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        trunk = self.model.image_encoder.trunk
        tokens = trunk.patch_embed(pixels)  # (B, s/4, s/4, C)
        canvas = self.model.config.image_size // _PATCH
        y, x = offset[0] // _PATCH, offset[1] // _PATCH
        height, width = tokens.shape[1:3]
        place = trunk.position_embedding(canvas, canvas)[:, y : y + height, x : x + width]
        levels: tuple[Tensor, Tensor, Tensor] = self.model.image_encoder.neck(
            trunk.run_blocks(tokens + place)
        )
        return levels

    def _features(self, levels: tuple[Tensor, Tensor, Tensor]) -> ImageFeatures:
        fine, middle, coarse = levels
        decoder = self.model.sam_mask_decoder
        return ImageFeatures(
            coarse + self.model.no_mem_embed.view(1, -1, 1, 1),
            (decoder.conv_s0(fine), decoder.conv_s1(middle)),
        )

    @torch.no_grad()
    def _calibrate(self, pixels: Tensor) -> None:
        """Bring the neck's levels to a scale that the decoder can start from."""
        levels = self._encode(pixels, (0, 0))
        fine, middle, coarse = (_FEATURE_SCALE / level.std().item() for level in levels)
        convs = [m for m in self.model.image_encoder.neck.modules() if isinstance(m, nn.Conv2d)]
        # Deepest first; the deepest is added into the coarsest level.
        for conv, scale in zip(convs, (coarse, coarse, middle, fine), strict=True):
            for parameter in conv.parameters():
                parameter.mul_(scale)
        heads = [m for m in self.dense_head.levels.modules() if isinstance(m, nn.Conv2d)]
        for head, scale in zip(heads, (fine, middle, coarse), strict=True):
            head.weight.div_(scale)
        self.optimizer.state.clear()

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        for key, value in self.model.state_dict().items():
            self.average[key].lerp_(value, 1 - decay)

    def _log(self, entry: dict[str, Any]) -> None:
        entry = {"step": self.step, "lr": self._learning_rate(), **entry}
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in entry.items()}
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps(rounded) + "\n")
        logger.info(" ".join(f"{k}={v}" for k, v in rounded.items()))


class _Decoder:
    """The mask decoder on a window of the canvas: prompts are in window pixels."""

    def __init__(
        self, model: Sam2, features: ImageFeatures, offset: tuple[int, int], side: int
    ) -> None:
        y, x, cells = offset[0] // _GRID, offset[1] // _GRID, side // _GRID
        grid = model.sam_prompt_encoder.position_grid()
        self._grid = grid[:, :, y : y + cells, x : x + cells]
        self._model = model
        self._features = features
        self._offset_xy = torch.tensor([float(offset[1]), float(offset[0])])
        self._cells = cells

    def __call__(
        self, images: Tensor, coords_xy: Tensor, labels: Tensor, mask_logits: Tensor | None = None
    ) -> DecoderOutput:
        encoder = self._model.sam_prompt_encoder
        if mask_logits is None:
            empty = encoder.no_mask_embed.weight.view(1, -1, 1, 1)
            dense = empty.expand(len(images), -1, self._cells, self._cells)
        else:
            dense = encoder.encode_mask(mask_logits, len(images))
        output: DecoderOutput = self._model.sam_mask_decoder(
            self._features.take(images),
            self._grid,
            encoder.encode_points(coords_xy + self._offset_xy, labels),
            dense,
        )
        return output


def _prompted_loss(
    decode: _Decoder, labels: Tensor, count: int, background: float
) -> tuple[Tensor, dict[str, float]]:
    """Prompt `count` objects, half by a click and half by a box, and correct each once or twice."""
    small = labels[:, :: prompts.STEP, :: prompts.STEP]
    images, masks = _choose_objects(small, count)
    if len(images) < 2:
        return torch.zeros((), requires_grad=True), {}
    target = F.avg_pool2d(masks.float()[:, None], 2)[:, 0]  # how much of a low-res pixel is object
    half = len(images) // 2
    clicked, boxed = slice(0, half), slice(half, None)

    interior = torch.rand(half).round()
    coords = prompts.click_inside(masks[clicked], interior)[:, None]
    empty = prompts.background_click(small)[:, None]
    everywhere = torch.cat([coords, empty])
    ones = torch.ones(len(everywhere), 1, dtype=torch.int32)
    rows = torch.cat([images[clicked], torch.arange(len(labels))])
    output = decode(rows, everywhere, ones)
    present = (torch.arange(len(rows)) < half).float()
    loss = object_loss(output.object_score, present)
    first = DecoderOutput(*(part[:half] for part in output))
    loss = loss + decoder_loss(first, target[clicked], background)
    scores = {"click": _chosen_iou(first, target[clicked])}
    more, scores["click2"] = _corrections(
        decode,
        first,
        images[clicked],
        coords,
        ones[:half],
        masks[clicked],
        target[clicked],
        background,
    )
    loss = loss + more

    jitter = float(torch.rand(()) * 0.1)
    coords = prompts.boxes_around(masks[boxed], jitter)
    kinds = torch.tensor([[2, 3]], dtype=torch.int32).expand(len(coords), -1)
    first = decode(images[boxed], coords, kinds)
    loss = loss + decoder_loss(first, target[boxed], background)
    scores["box"] = _chosen_iou(first, target[boxed])
    more, scores["box2"] = _corrections(
        decode, first, images[boxed], coords, kinds, masks[boxed], target[boxed], background
    )
    return (loss + more) / 4, scores


def _corrections(
    decode: _Decoder,
    output: DecoderOutput,
    images: Tensor,
    coords: Tensor,
    kinds: Tensor,
    masks: Tensor,
    target: Tensor,
    background: float,
) -> tuple[Tensor, float]:
    """Correct once or twice, mostly with the earlier logits fed back."""
    loss = torch.zeros(())
    for _ in range(1 if torch.rand(()) < 0.8 else 2):
        logits = _best(output).detach().clamp(-_MAX_LOGIT, _MAX_LOGIT)  # (N, 1, h, w)
        shown = F.interpolate(logits, size=masks.shape[1:], mode="bilinear")[:, 0] > 0
        point, kind = prompts.correct(masks, shown)
        coords = torch.cat([coords, point[:, None]], 1)
        kinds = torch.cat([kinds, kind[:, None]], 1)
        feed = logits if torch.rand(()) < 0.6 else None
        output = decode(images, coords, kinds, feed)
        loss = loss + decoder_loss(output, target, background)
    return loss, _chosen_iou(output, target)


def _choose_objects(small: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Pick objects evenly over the windows: their windows (N,), and their masks (N, h, w)."""
    images, masks = [], []
    share = -(-count // len(small))
    for index, plane in enumerate(small):
        areas = torch.bincount(plane.flatten())
        areas[0] = 0
        ids = (areas >= _MIN_AREA).nonzero()[:, 0]
        if len(ids) == 0:
            continue
        ids = ids[torch.randperm(len(ids))[:share]]
        masks.append(plane[None] == ids[:, None, None])
        images.append(torch.full((len(ids),), index))
    if not images:
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, *small.shape[1:], dtype=torch.bool)
    order = torch.randperm(sum(len(i) for i in images))
    return torch.cat(images)[order], torch.cat(masks)[order]


def _best(output: DecoderOutput) -> Tensor:
    index = output.iou_predictions[:, 1:].argmax(1) + 1
    return output.low_res_masks[torch.arange(len(index)), index][:, None]


def _chosen_iou(output: DecoderOutput, target: Tensor) -> float:
    chosen, wanted = _best(output)[:, 0] > 0, target > 0.5
    union = (chosen | wanted).sum((-2, -1)).clamp(min=1)
    return ((chosen & wanted).sum((-2, -1)) / union).mean().item()


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
        embedding.weight.mul_(0.1)
    waves = encoder.pe_layer.positional_encoding_gaussian_matrix
    direction = torch.rand(waves.shape[1]) * 2 * math.pi
    size = torch.exp(torch.linspace(math.log(0.4), math.log(9.0), waves.shape[1]))
    waves.copy_(torch.stack([size * direction.cos(), size * direction.sin()]))
    for layer in decoder.transformer.modules():
        if not isinstance(layer, TwoWayBlock):
            continue
        _match_positions(layer.cross_attn_token_to_image, gain=2.5)
        _match_positions(layer.cross_attn_image_to_token, gain=1.7)
        for norm in (layer.norm1, layer.norm2, layer.norm3):
            norm.weight.fill_(_TOKEN_SCALE)
    _match_positions(decoder.transformer.final_attn_token_to_image, gain=2.5)
    return model


def _match_positions(attention: Attention, gain: float) -> None:
    nn.init.orthogonal_(attention.q_proj.weight, gain=gain)
    attention.k_proj.weight.copy_(attention.q_proj.weight)
    attention.q_proj.bias.zero_()
    attention.k_proj.bias.zero_()


def main() -> None:
    """Train `micro` from scratch, or go on with a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.txt")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--config", default="micro")
    parser.add_argument("--threads", type=int, default=2)
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options["threads"])
    recipe = Recipe(**{name: options[name] for name in asdict(Recipe())})
    torch.manual_seed(recipe.seed)
    model = prepare(build_sam2(options["config"]))
    trainer = Trainer(model, recipe, options["run"])
    pictures = load_pictures(options["data"], "train") + draw_pictures(recipe.drawn, recipe.seed)
    trainer.run(pictures)
    trainer.keep()


if __name__ == "__main__":
    main()
