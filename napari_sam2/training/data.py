"""Pictures with instance masks, and random windows of them, widely augmented."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.errors import PromptError
from napari_sam2.training.shapes import draw_scene

DRAWN = "shapes"
KIND_WEIGHTS = {"fluo": 0.33, "colour": 0.28, "bright": 0.06, "shapes": 0.33}
_SCALES = (0.6, 2.6)  # of the window, around "the whole picture fills the model input"
_BY_OBJECT = 0.7  # share of windows whose scale gives the object in their middle a chosen size
_SIZES = (20.0, 190.0)  # the square root of that object's area, in window pixels
_MAX_SCALE = 8.0
_STRETCH = 0.35  # at most, of one axis up and the other down, as the exponent of e
_WHOLE = 0.3  # share of whole pictures, once whole canvases are trained
_AS_IT_IS = 0.2  # share of windows that keep their colours
_MAX_MEMBERS = 8  # of a group; more is a tissue
_ANTIALIAS = 1.5  # shrink by pooling first where a window pixel covers more picture pixels


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture and its instances.

    Attributes
    ----------
    name : str
        File name without its ending.
    kind : str
        First word of the name, such as "fluo".
    image : uint8, shape (H, W, 3)
    labels : int32, shape (H, W)
        0 background, one integer per object.
    parts : int32, shape (H, W), or None
        Such as nuclei in cells, one integer each.
    """

    name: str
    kind: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    parts: NDArray[np.int32] | None = None

    @cached_property
    def planes(self) -> NDArray[np.int32]:
        """Objects, parts and groups of touching objects, (3, H, W)."""
        parts = np.zeros_like(self.labels) if self.parts is None else self.parts
        return np.stack([self.labels, parts, touching_groups(self.labels)])


@dataclass(frozen=True, eq=False)
class Windows:
    """A batch of windows, ready for the model.

    Attributes
    ----------
    pixels : Tensor, shape (B, 3, S, S), float32
        RGB in [0, 1].
    labels : Tensor, shape (B, S, S), int64
        0 background.
    others : Tensor, shape (B, 2, S, S), int64, or None
        Parts of objects, and groups of them; 0 where there is none.
    """

    pixels: Tensor
    labels: Tensor
    others: Tensor | None = None


def load_pictures(folder: Path, split: str) -> list[Picture]:
    """Read the pictures that `folder/split.txt` names (`NAME_image.png`, `NAME_label.png`).

    Raises
    ------
    PromptError
        If the list or a picture is missing, or labels do not fit their picture.
    """
    try:
        names = (folder / f"{split}.txt").read_text().split()
        return [load_picture(folder, name) for name in names]
    except OSError as error:
        raise PromptError(
            f"{error.filename or folder} cannot be read. Give a folder with {split}.txt, "
            "a list of names, and for each NAME_image.png and NAME_label.png."
        ) from error


def load_picture(folder: Path, name: str) -> Picture:
    """Read one picture with its labels.

    Raises
    ------
    PromptError
        If the labels are not of the picture's size, one integer a pixel.
    """
    with Image.open(folder / f"{name}_image.png") as file:
        image = np.asarray(file.convert("RGB"))
    with Image.open(folder / f"{name}_label.png") as file:
        labels = np.asarray(file).astype(np.int32)
    if labels.shape != image.shape[:2]:
        raise PromptError(
            f"{name}_label.png must be grey and as large as its image, {image.shape[:2]}, got "
            f"shape {labels.shape}. Save one integer per object, 0 for the background."
        )
    return Picture(name, name.split("_")[0], image, labels)


def draw_pictures(count: int, seed: int, side: int = 384) -> list[Picture]:
    """Draw scenes of random shapes, as pictures of the kind "shapes"."""
    rng = np.random.default_rng(seed)
    return [draw_picture(rng, f"{DRAWN}_{i:04d}", side) for i in range(count)]


def draw_picture(rng: np.random.Generator, name: str, side: int = 384) -> Picture:
    """Draw one scene of random shapes, some of them with parts."""
    image, labels, parts = draw_scene(rng, side)
    return Picture(name, DRAWN, image, labels, parts)


def touching_groups(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Give groups of a few objects (H, W) that touch or nearly do, one integer each."""
    inside, most = labels > 0, int(labels.max()) + 1
    groups, count = ndimage.label(ndimage.binary_dilation(inside, np.ones((3, 3))))
    groups[~inside] = 0
    pairs = np.unique(groups[inside].astype(np.int64) * most + labels[inside])
    members = np.bincount(pairs // most, minlength=count + 1)
    kept: NDArray[np.int32] = np.where(
        (members >= 2) & (members <= _MAX_MEMBERS), np.arange(count + 1), 0
    )[groups].astype(np.int32)
    return kept


def windows(
    pictures: Sequence[Picture],
    rng: np.random.Generator,
    *,
    batch: int,
    side: int,
    canvas: int,
    fresh: int,
    pool: int = 240,
    new_scenes: float = 0.0,
    shares: Mapping[str, float] = KIND_WEIGHTS,
) -> Iterator[Windows]:
    """Give batches of random windows without end, from a pool that is renewed bit by bit.

    Parameters
    ----------
    pictures : sequence of Picture
        Drawn by kind, then evenly.
    batch, side : int
        Windows in a batch, and their side in pixels.
    canvas : int
        The model's input size: at scale 1 a whole picture would fill it.
    fresh : int
        New windows for each batch; a window is used `batch / fresh` times on average, each time
        mirrored or turned anew.
    pool : int
        Windows kept.
    new_scenes : float
        Drawn scenes that are replaced by new ones, per batch.
    shares : mapping of str to float
        How often each kind is drawn.
    """
    pictures = list(pictures)
    drawn = [i for i, picture in enumerate(pictures) if picture.kind == DRAWN]
    kept = [_draw(pictures, rng, side, canvas, shares) for _ in range(batch)]
    while True:
        if drawn and rng.random() < new_scenes:
            index = rng.choice(drawn)
            pictures[index] = draw_picture(rng, pictures[index].name)
        for _ in range(fresh):
            new = _draw(pictures, rng, side, canvas, shares)
            if len(kept) < pool:
                kept.append(new)
            else:
                kept[rng.integers(pool)] = new
        pairs = [_mirror(kept[i], rng) for i in rng.integers(len(kept), size=batch)]
        planes = torch.stack([planes for _, planes in pairs])
        yield Windows(torch.stack([p for p, _ in pairs]), planes[:, 0], planes[:, 1:])


def _draw(
    pictures: Sequence[Picture],
    rng: np.random.Generator,
    side: int,
    canvas: int,
    shares: Mapping[str, float],
) -> tuple[Tensor, Tensor]:
    picture = choose(pictures, rng, shares)
    if side == canvas and rng.random() < _WHOLE:
        return whole_picture(picture, rng, side)
    return random_window(picture, rng, side, canvas)


def _mirror(window: tuple[Tensor, Tensor], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    turns, flip = int(rng.integers(4)), rng.random() < 0.5
    pixels, labels = (part.rot90(turns, (-2, -1)) for part in window)
    return (pixels.flip(-1), labels.flip(-1)) if flip else (pixels, labels)


def choose(
    pictures: Sequence[Picture],
    rng: np.random.Generator,
    shares: Mapping[str, float] = KIND_WEIGHTS,
) -> Picture:
    """Draw a picture: its kind by their shares, then evenly."""
    kinds = sorted({picture.kind for picture in pictures})
    weights = np.array([shares.get(kind, 0.2) for kind in kinds])
    kind = rng.choice(kinds, p=weights / weights.sum())
    of_kind = [picture for picture in pictures if picture.kind == kind]
    return of_kind[rng.integers(len(of_kind))]


def whole_picture(picture: Picture, rng: np.random.Generator, side: int) -> tuple[Tensor, Tensor]:
    """Squeeze a whole picture into the square, as a session does, and recolour it.

    Returns
    -------
    pixels : Tensor, shape (3, S, S)
    planes : Tensor, shape (3, S, S), int64
        Objects, parts and groups.
    """
    image = torch.from_numpy(picture.image.copy()).permute(2, 0, 1)[None].float() / 255
    pixels = F.interpolate(image, (side, side), mode="bilinear", antialias=True)[0]
    planes = torch.from_numpy(picture.planes)[None].float()
    squeezed = F.interpolate(planes, (side, side), mode="nearest-exact")[0]
    return recolour(pixels.clamp(0, 1), rng), squeezed.long()


def random_window(
    picture: Picture,
    rng: np.random.Generator,
    side: int,
    canvas: int,
    *,
    recoloured: bool = True,
) -> tuple[Tensor, Tensor]:
    """Cut one window, turned, mirrored, scaled and recoloured, round a random object.

    Returns as `whole_picture` does.
    """
    centre, area = _object(picture, rng)
    zoom = canvas / np.sqrt(picture.labels.size) * np.exp(rng.uniform(*np.log(_SCALES)))
    if rng.random() < _BY_OBJECT:
        wanted = np.exp(rng.uniform(*np.log(_SIZES))) / np.sqrt(area)
        zoom = min(wanted, _MAX_SCALE * canvas / np.sqrt(picture.labels.size))
    elif picture.kind == "bright":  # its nuclei are a few pixels wide on the whole canvas
        zoom *= rng.uniform(1, 4)
    pixels, planes = _warp(picture, rng, side, zoom, centre)
    return recolour(pixels, rng) if recoloured else pixels, planes


def _object(picture: Picture, rng: np.random.Generator) -> tuple[NDArray[np.float64], int]:
    """Give a place inside a random object, and its area; of an empty picture, the middle."""
    ys, xs = np.nonzero(picture.labels[::4, ::4])
    if len(ys) == 0:
        return np.array(picture.labels.shape) / 2, picture.labels.size
    i = rng.integers(len(ys))
    y, x = 4 * ys[i], 4 * xs[i]
    return np.array([float(y), float(x)]), int((picture.labels == picture.labels[y, x]).sum())


def _warp(
    picture: Picture, rng: np.random.Generator, side: int, zoom: float, centre: NDArray[np.float64]
) -> tuple[Tensor, Tensor]:
    """Show the place `centre` of a picture somewhere near the middle of a window."""
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else rng.integers(4) * np.pi / 2
    stretch = np.exp(rng.uniform(-_STRETCH, _STRETCH))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if rng.random() < 0.5:
        turn[:, 1] *= -1
    matrix = turn @ np.diag([stretch, 1 / stretch]) / zoom  # window (y, x) to picture (y, x)
    centre = centre + matrix @ (rng.uniform(-0.4, 0.4, 2) * side)

    reach = side / zoom * 0.71 * max(stretch, 1 / stretch) + 4
    image, planes, centre = _cut(picture, centre, reach)
    offsets = np.arange(side) - (side - 1) / 2
    offsets_yx = np.stack(np.meshgrid(offsets, offsets, indexing="ij"), -1)
    # Beyond the picture there is no object: a mirrored one would share its label with the real one.
    grid = _as_grid(offsets_yx @ matrix.T + centre, planes.shape[1:])
    warped = F.grid_sample(planes.float()[None], grid, "nearest", "zeros", False)
    while abs(np.linalg.det(matrix)) > _ANTIALIAS**2 and min(image.shape[1:]) > 8:
        image = F.avg_pool2d(image[None], 2)[0]
        matrix, centre = matrix / 2, centre / 2 - 0.25
    grid = _as_grid(offsets_yx @ matrix.T + centre, image.shape[1:])
    padding = "border" if rng.random() < 0.5 else "zeros"
    pixels = F.grid_sample(image[None], grid, "bilinear", padding, align_corners=False)[0]
    return pixels.clamp(0, 1), warped[0].round().long()


def _as_grid(source: NDArray[np.float64], shape: tuple[int, ...]) -> Tensor:
    """Turn picture positions (S, S, 2), as (y, x), into what `grid_sample` takes."""
    return torch.from_numpy(((2 * source + 1) / np.array(shape) - 1)[..., ::-1].copy()).float()[
        None
    ]


def _cut(
    picture: Picture, centre: NDArray[np.float64], reach: float
) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
    low = np.maximum(np.floor(centre - reach), 0).astype(int)
    high = np.minimum(np.ceil(centre + reach) + 1, picture.labels.shape).astype(int)
    low = np.maximum(np.minimum(low, np.array(picture.labels.shape) - 16), 0)
    high = np.minimum(np.maximum(high, low + 16), picture.labels.shape)
    part = np.s_[low[0] : high[0], low[1] : high[1]]
    image = torch.from_numpy(picture.image[part].copy()).permute(2, 0, 1).float() / 255
    planes = picture.planes[:, low[0] : high[0], low[1] : high[1]]
    return image, torch.from_numpy(planes.copy()), centre - low


def recolour(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Change contrast, gamma, colour, polarity, sharpness and noise of a window (3, S, S)."""
    if rng.random() < _AS_IT_IS:
        return pixels
    if rng.random() < 0.3:  # one channel, or a random mixture, as grey
        mix = torch.from_numpy(rng.dirichlet([1.0, 1.0, 1.0])).float()
        pixels = (pixels * mix[:, None, None]).sum(0, keepdim=True).expand(3, -1, -1)
    if rng.random() < 0.6:  # stretched to its own range, as a viewer's contrast limits do
        sample = pixels.reshape(-1)[::17]
        low, high = torch.quantile(sample, torch.tensor([0.01, 0.995])).tolist()
        pixels = (pixels - low) / max(high - low, 0.02)
    pixels = pixels.clamp(0, 1) ** float(np.exp(rng.uniform(-0.7, 0.7)))
    if rng.random() < 0.35:
        pixels = 1 - pixels
    if rng.random() < 0.3:  # colour cast, or a pseudo-colour of grey
        gain = torch.from_numpy(rng.uniform(0.3, 1.2, (3, 1, 1))).float()
        pixels = pixels * gain
    if rng.random() < 0.3:
        pixels = _blur(pixels, float(rng.uniform(0.4, 1.4)))
    low, high = sorted(rng.uniform(0, 1, 2)) if rng.random() < 0.3 else (0.0, 1.0)
    pixels = low + pixels * max(high - low, 0.3)
    if rng.random() < 0.5:
        noise = torch.randn(pixels.shape[1:], generator=_generator(rng))
        pixels = pixels + noise * float(rng.uniform(0.005, 0.05))
    return pixels.clamp(0, 1)


def _blur(pixels: Tensor, sigma: float) -> Tensor:
    radius = int(np.ceil(2.5 * sigma))
    kernel = torch.exp(-(torch.arange(-radius, radius + 1).float() ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    x = F.pad(pixels[:, None], (radius, radius, radius, radius), mode="reflect")
    x = F.conv2d(F.conv2d(x, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return x[:, 0]


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))
