"""Pseudo-clips: a picture's objects cut out, and set in motion over what lies behind them.

A movie moves them, turns them, and lets them vanish, for a while or for good. A stack lets them
grow and shrink as planes through a ball do, and get out of focus. The truth is known everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from napari_sam2.training.data import Picture, choose, random_window, recolour

_MOST = 16  # objects that move; the others of a picture stand still
_MIN_AREA = 40  # pixels
_RIMS = (2, 10)  # pixels around an object that are cut out with it, least and most, and
_RIM = 0.12  # how many diameters it should be
_STACKS = 0.5  # share of the clips
_SPEED = 0.25  # of an object's diameter a frame, at most, and
_RESTLESS = 0.06  # what is added to it at random
_DRIFT = 4.0  # pixels a frame, of the camera, at most
_VANISHES = 0.3  # share of the objects of a movie that do
_COMES_BACK = 0.4  # share of those that do
_DEPTHS = (1.5, 9.0)  # frames from the middle of an object in a stack to its end
_BENDS = 0.03  # change of an outline's waves in a frame, in radii, and
_MOST_BENT = 0.12  # how far they go
_LATER = 0.5  # share of the objects of a stack that come on a later plane,
_BELOW = 0.6  # and of those that come where another one was
_FIRST, _NEXT = (-0.5, 0.5), (1.1, 2.5)  # depths to their middles, from the first plane
_THINNEST = 0.25  # diameters: where an object of a stack ends, and only its light is left:
_GHOST, _GHOST_FADES = (0.0, 0.75), (0.3, 2.0)  # how bright at first, and its decay per depth
_FLICKER = 0.05  # of a frame's brightness, a standard deviation
_SHARP = 0.3  # pixels of blur that nobody sees


@dataclass(frozen=True, eq=False)
class Clip:
    """A short movie or stack, and its truth.

    Attributes
    ----------
    pixels : Tensor, shape (T, 3, S, S), float32
        RGB in [0, 1].
    labels : Tensor, shape (T, S, S), int64
        0 background; an object has one number throughout.
    """

    pixels: Tensor
    labels: Tensor


class _Sprite(NamedTuple):
    """An object, cut out."""

    label: int
    colours: Tensor  # (3, h, w)
    cover: Tensor  # (1, h, w), from 0 to 1: what is painted
    mask: Tensor  # (1, h, w), 0 or 1: what is the object
    middle: tuple[float, float]  # (y, x) of its centre of mass, in its own pixels
    centre: tuple[float, float]  # the same in the window
    diameter: float


class _Pose(NamedTuple):
    """Where an object is on a frame, and how much of it."""

    y: float
    x: float
    angle: float
    size: float  # 0: nothing of it can be seen
    strength: float
    blur: float
    waves: NDArray[np.float64]  # of the outline, see `_ripple`
    is_there: bool = True  # or its blurred light only, from another plane


def clips(
    pictures: Sequence[Picture],
    rng: np.random.Generator,
    *,
    side: int,
    canvas: int,
    frames: int,
) -> Iterator[Clip]:
    """Give clips without end, of windows of pictures that are chosen as for `data.windows`.

    Parameters
    ----------
    pictures : sequence of Picture
    rng : Generator
    side : int
        Of the frames, in pixels.
    canvas : int
        The model's input size.
    frames : int
        Length of a clip.
    """
    while True:
        picture = choose(pictures, rng)
        pixels, planes = random_window(picture, rng, side, canvas, recoloured=False)
        clip = animate(pixels, planes[0], rng, frames)
        if clip is not None:
            yield clip


def animate(pixels: Tensor, labels: Tensor, rng: np.random.Generator, frames: int) -> Clip | None:
    """Set the objects of a picture in motion; those at its border stand still.

    Parameters
    ----------
    pixels : Tensor, shape (3, S, S)
    labels : Tensor, shape (S, S), integer
    rng : Generator
    frames : int

    Returns
    -------
    Clip or None
        None if nothing can move.
    """
    sprites = _cut_out(pixels, labels, rng)
    if not sprites:
        return None
    moving = torch.isin(labels, torch.tensor([one.label for one in sprites]))
    ground = _behind(pixels, moving, _rim(max(one.diameter for one in sprites)))
    still = torch.where(moving, 0, labels)
    is_stack = rng.random() < _STACKS
    plan = _through(sprites, rng, frames) if is_stack else _about(sprites, rng, frames)
    drift = np.zeros(2) if is_stack else rng.uniform(-_DRIFT, _DRIFT, 2) * (rng.random() < 0.5)
    shown, truth = [], []
    for at in range(frames):
        image, plane = _shifted(ground, drift * at), _shifted(still[None], drift * at)[0]
        for sprite, poses in zip(sprites, plan, strict=True):
            pose = poses[at]
            if pose.size > 0:
                moved = pose._replace(y=pose.y + drift[0] * at, x=pose.x + drift[1] * at)
                _paint(image, plane, sprite, moved)
        shown.append(image * float(1 + _FLICKER * rng.normal()))
        truth.append(plane)
    strip = recolour(torch.cat(shown, 1).clamp(0, 1), rng)  # all frames alike, but for the noise
    return Clip(torch.stack(strip.chunk(frames, 1)), torch.stack(truth).long())


def _cut_out(pixels: Tensor, labels: Tensor, rng: np.random.Generator) -> list[_Sprite]:
    """Cut out objects that are whole: none at the border."""
    plane = labels.numpy()
    areas = np.bincount(plane.ravel())
    areas[np.concatenate([plane[[0, -1]].ravel(), plane[:, [0, -1]].ravel()])] = 0
    places = ndimage.find_objects(plane)
    sprites = []
    for label in rng.permutation(np.nonzero(areas[1:] >= _MIN_AREA)[0] + 1)[:_MOST]:
        rows, columns = places[label - 1]
        diameter = float(np.sqrt(areas[label]))
        rim = _rim(diameter)
        y0, x0 = max(rows.start - rim, 0), max(columns.start - rim, 0)
        part = np.s_[y0 : rows.stop + rim, x0 : columns.stop + rim]
        mask = plane[part] == label
        y, x = ndimage.center_of_mass(mask)
        wide = ndimage.binary_dilation(mask, iterations=max(rim // 2, 1)).astype(np.float32)
        cover = ndimage.gaussian_filter(wide, rim / 4)
        sprites.append(
            _Sprite(
                int(label),
                pixels[:, part[0], part[1]].clone(),
                torch.from_numpy(cover)[None],
                torch.from_numpy(mask).float()[None],
                (y, x),
                (y0 + y, x0 + x),
                diameter,
            )
        )
    return sprites


def _rim(diameter: float) -> int:
    return int(np.clip(_RIM * diameter, *_RIMS))


def _behind(pixels: Tensor, moving: Tensor, rim: int) -> Tensor:
    """Guess what lies behind the objects that move: what lies around them, with its texture."""
    hole = ndimage.binary_dilation(moving.numpy(), iterations=rim)
    known = ~hole
    image = pixels.numpy()
    if not known.any():
        return pixels.amin((1, 2), keepdim=True).expand_as(pixels).clone()
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = image[:, nearest[0], nearest[1]]
    smooth = np.stack([ndimage.gaussian_filter(channel, 6) for channel in filled])
    # The texture of what is known, from elsewhere: the picture less its smooth part, turned round.
    texture = np.where(known, filled - smooth, 0)[:, ::-1, ::-1]
    return torch.from_numpy(np.where(hole, smooth + texture, image).astype(np.float32))


def _about(sprites: Sequence[_Sprite], rng: np.random.Generator, frames: int) -> list[list[_Pose]]:
    """Move objects about."""
    plan: list[list[_Pose]] = []
    for one in sprites:
        heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0, _SPEED) * one.diameter
        step = speed * np.array([np.sin(heading), np.cos(heading)])
        steps = step + rng.normal(0, _RESTLESS * one.diameter, (frames, 2))
        steps[0] = 0
        places = np.array(one.centre) + np.cumsum(steps, 0)
        angles = rng.normal(0, 0.12) * np.arange(frames)
        sizes = np.exp(np.cumsum(rng.normal(0, 0.03, frames)))
        strengths = np.exp(rng.normal(0, 0.04) * np.arange(frames))
        waves = _bending(rng, frames)
        if rng.random() < _VANISHES and frames > 2:
            gone = int(rng.integers(1, frames))
            back = gone + int(rng.integers(1, 4)) if rng.random() < _COMES_BACK else frames
            sizes[gone:back] = 0
        plan.append(
            [
                _Pose(*state)
                for state in zip(
                    *places.T, angles, sizes, strengths, np.zeros(frames), waves, strict=True
                )
            ]
        )
    return plan


def _through(
    sprites: Sequence[_Sprite], rng: np.random.Generator, frames: int
) -> list[list[_Pose]]:
    """Go through objects, plane by plane."""
    low, high = np.log(_DEPTHS)
    pace = np.exp(rng.uniform(low, high))  # of all objects of a stack, about
    blur, fades = rng.uniform(0, 2.5), rng.uniform(0, 0.6)
    plan: list[list[_Pose]] = []
    for one in sprites:
        depth = pace * np.exp(rng.normal(0, 0.25))
        is_later = bool(plan) and rng.random() < _LATER
        middle = rng.uniform(*(_NEXT if is_later else _FIRST)) * depth
        away = (np.arange(frames) - middle) / depth
        widest = 1.0 if is_later else np.sqrt(1 - (middle / depth) ** 2)  # as it was cut out
        full = np.sqrt(np.clip(1 - away**2, 0, None))
        is_there = full > _THINNEST
        ghost = rng.uniform(*_GHOST) * np.exp(-rng.uniform(*_GHOST_FADES) * (abs(away) - 1))
        sizes = np.where(is_there, full, rng.uniform(_THINNEST, 0.8)) / widest
        strengths = np.where(is_there, 1, ghost) * (1 - fades * np.minimum(away**2, 1))
        blurs = np.where(is_there, blur, 2 + one.diameter * 0.1) * np.minimum(away**2, 1)
        centre = np.array(one.centre)
        if is_later and rng.random() < _BELOW:
            other = sprites[int(rng.integers(len(plan)))]
            centre = np.array(other.centre) + rng.normal(0, 0.3, 2) * other.diameter
        lean = rng.normal(0, 0.05, 2) * one.diameter
        angle, waves = rng.normal(0, 0.05), _bending(rng, frames)
        plan.append(
            [
                _Pose(
                    centre[0] + lean[0] * at,
                    centre[1] + lean[1] * at,
                    angle * at,
                    float(sizes[at]),
                    float(strengths[at]),
                    float(blurs[at]),
                    waves[at],
                    bool(is_there[at]),
                )
                for at in range(frames)
            ]
        )
    return plan


def _bending(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Give how an outline bends from frame to frame, (T, 4), from not at all."""
    steps = rng.normal(0, _BENDS, (frames, 4))
    steps[0] = 0
    return np.cumsum(steps, 0).clip(-_MOST_BENT, _MOST_BENT)


def _ripple(
    u: NDArray[np.float64], v: NDArray[np.float64], waves: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give how far an object reaches towards each pixel: waves of order two and three."""
    angle = np.arctan2(u, v)
    turns = [np.cos(2 * angle), np.sin(2 * angle), np.cos(3 * angle), np.sin(3 * angle)]
    return 1 + np.tensordot(waves, np.stack(turns), 1)


def _paint(image: Tensor, plane: Tensor, sprite: _Sprite, pose: _Pose) -> None:
    """Paint an object into a frame and its labels."""
    side = image.shape[-1]
    height, width = sprite.cover.shape[1:]
    reach = pose.size * np.hypot(height, width) / 2 + 3 * pose.blur + 2
    y0, x0 = (max(int(at - reach), 0) for at in (pose.y, pose.x))
    y1, x1 = (min(int(at + reach) + 1, side) for at in (pose.y, pose.x))
    if y1 <= y0 or x1 <= x0:
        return
    ys, xs = np.meshgrid(np.arange(y0, y1) - pose.y, np.arange(x0, x1) - pose.x, indexing="ij")
    cos, sin = np.cos(pose.angle) / pose.size, np.sin(pose.angle) / pose.size
    u, v = cos * ys - sin * xs, sin * ys + cos * xs  # from the centre of the sprite, in its pixels
    ripple = _ripple(u, v, pose.waves)
    u, v = u / ripple, v / ripple
    y, x = sprite.middle
    grid = np.stack([2 * (v + x + 0.5) / width - 1, 2 * (u + y + 0.5) / height - 1], -1)
    where = torch.from_numpy(grid).float()[None]
    layers = torch.cat([sprite.colours, sprite.cover, sprite.mask])[None]
    taken = F.grid_sample(layers, where, padding_mode="border", align_corners=False)[0]
    inside = (where.abs() <= 1).all(-1)[0]
    colours, cover, mask = taken[:3], taken[3:4] * inside, (taken[4] > 0.5) & inside
    if pose.blur > _SHARP:
        colours, cover = (
            torch.from_numpy(ndimage.gaussian_filter(part.numpy(), (0, sigma, sigma)))
            for part, sigma in ((colours, pose.blur / 2), (cover, pose.blur))
        )
    before, labels = image[:, y0:y1, x0:x1], plane[y0:y1, x0:x1]  # views
    # An object that fades gets nearer to what lies behind it.
    before += cover * pose.strength * (colours - before)
    if pose.is_there:
        labels[mask] = sprite.label


def _shifted(plane: Tensor, by: NDArray[np.float64]) -> Tensor:
    """Move (C, S, S) by whole pixels; what comes in is what was at the border, or nothing."""
    y, x = (round(float(value)) for value in by)
    if not (y or x):
        return plane.clone()
    side = plane.shape[-1]
    if plane.is_floating_point():
        rows = (torch.arange(side) - y).clamp(0, side - 1)
        columns = (torch.arange(side) - x).clamp(0, side - 1)
        return plane[:, rows][:, :, columns].clone()
    out = torch.zeros_like(plane)
    out[:, max(y, 0) : side + min(y, 0), max(x, 0) : side + min(x, 0)] = plane[
        :, max(-y, 0) : side + min(-y, 0), max(-x, 0) : side + min(-x, 0)
    ]
    return out
