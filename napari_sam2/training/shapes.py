"""Scenes of drawn shapes, so that the model does not only know nuclei."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_MAX_OVERLAP = 0.35  # of a new shape's area over earlier ones
_HARMONICS = 5


def draw_scene(rng: np.random.Generator, side: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Draw a background and shapes of one or two families on it.

    Returns
    -------
    image : uint8, shape (side, side, 3)
    labels : int32, shape (side, side)
        0 background; later shapes hide earlier ones.
    """
    image = _texture(rng, side)
    labels = np.zeros((side, side), np.int32)
    typical = np.exp(rng.uniform(np.log(8), np.log(90)))  # radius in pixels
    count = int(np.clip(rng.uniform(0.2, 0.8) * (side / typical) ** 2 / 4, 3, 90))
    families = rng.choice(len(_FAMILIES), size=rng.integers(1, 3))
    look = _Look(rng)
    for label in range(1, count + 1):
        radius = typical * np.exp(rng.normal(0, 0.25))
        mask, corner = _shape(rng, _FAMILIES[rng.choice(families)], radius, side)
        _paint(image, labels, mask, corner, label, look, rng)
    image += rng.normal(0, rng.uniform(0.0, 0.03), (side, side, 1))
    if rng.random() < 0.5:
        image = ndimage.gaussian_filter(image, (*[rng.uniform(0.3, 1.5)] * 2, 0))
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), labels


class _Look:
    """What the shapes of a scene have in common: colour, texture, rim."""

    def __init__(self, rng: np.random.Generator) -> None:
        grey = rng.random() < 0.5
        self.colour = np.full(3, rng.uniform(0, 1)) if grey else rng.uniform(0, 1, 3)
        self.spread = rng.choice([0.03, 0.15, 0.4])
        self.opacity = rng.uniform(0.5, 1.0)
        self.texture = rng.choice([0.0, 0.1, 0.3])
        self.grain = rng.uniform(0.6, 6)
        self.rim = rng.choice([0.0, 0.0, -0.4, 0.4])
        self.shading = rng.choice([0.0, 0.0, 0.5])


def _texture(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    colour = np.full(3, rng.uniform(0, 1)) if rng.random() < 0.6 else rng.uniform(0, 1, 3)
    image: NDArray[np.float64] = np.broadcast_to(colour, (side, side, 3)).copy()
    for sigma in (rng.uniform(30, 120), rng.uniform(4, 20), rng.uniform(0.7, 3)):
        image += rng.choice([0.0, 0.03, 0.1]) * _noise(rng, side, sigma)[..., None]
    return image


def _noise(rng: np.random.Generator, side: int, sigma: float) -> NDArray[np.float64]:
    step = max(int(sigma / 2), 1)  # smooth noise needs no fine grid
    coarse = rng.normal(size=(side // step + 2, side // step + 2))
    smooth = ndimage.gaussian_filter(coarse, sigma / step)
    smooth = ndimage.zoom(smooth, step, order=1)[:side, :side] if step > 1 else smooth
    smooth = smooth[:side, :side]
    scaled: NDArray[np.float64] = (smooth - smooth.mean()) / (smooth.std() + 1e-9)
    return scaled


def _shape(
    rng: np.random.Generator, family: str, radius: float, side: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Draw one mask in its own small array, and say where its corner lies."""
    reach = int(np.ceil(radius * 2.2))
    offsets = np.arange(-reach, reach + 1)
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    angle = rng.uniform(0, np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    corner = rng.integers(0, side, 2) - reach
    return _FAMILIES_DRAW[family](rng, u / radius, v / radius), corner


def _blob(
    rng: np.random.Generator, u: NDArray[np.float64], v: NDArray[np.float64], rough: float = 0.12
) -> NDArray[np.bool_]:
    aspect = rng.uniform(0.55, 1.0)
    theta = np.arctan2(v / aspect, u)
    edge = np.ones_like(theta)
    for k in range(2, 2 + _HARMONICS):
        edge += rng.normal(0, rough / k * 2) * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    inside: NDArray[np.bool_] = np.hypot(u, v / aspect) < edge
    return inside


def _rough_blob(
    rng: np.random.Generator, u: NDArray[np.float64], v: NDArray[np.float64]
) -> NDArray[np.bool_]:
    return _blob(rng, u, v, rough=0.35)


def _rod(
    rng: np.random.Generator, u: NDArray[np.float64], v: NDArray[np.float64]
) -> NDArray[np.bool_]:
    width, bend = rng.uniform(0.12, 0.4), rng.uniform(-0.3, 0.3)
    along = np.clip(u, -1.6 + width, 1.6 - width)
    inside: NDArray[np.bool_] = np.hypot(u - along, v - bend * along**2) < width
    return inside


def _polygon(
    rng: np.random.Generator, u: NDArray[np.float64], v: NDArray[np.float64]
) -> NDArray[np.bool_]:
    sides = rng.integers(3, 8)
    angles = np.sort(rng.uniform(0, 2 * np.pi) + np.arange(sides) * 2 * np.pi / sides)
    inside = np.ones(u.shape, bool)
    for a in angles:
        inside &= np.cos(a) * u + np.sin(a) * v < rng.uniform(0.6, 1.0)
    return inside


def _ring(
    rng: np.random.Generator, u: NDArray[np.float64], v: NDArray[np.float64]
) -> NDArray[np.bool_]:
    distance = np.hypot(u, v / rng.uniform(0.6, 1.0))
    inside: NDArray[np.bool_] = (distance < 1) & (distance > rng.uniform(0.4, 0.7))
    return inside


_FAMILIES_DRAW = {
    "blob": _blob,
    "rough": _rough_blob,
    "rod": _rod,
    "polygon": _polygon,
    "ring": _ring,
}
_FAMILIES = ("blob", "blob", "rough", "rod", "polygon", "ring")


def _paint(
    image: NDArray[np.float64],
    labels: NDArray[np.int32],
    mask: NDArray[np.bool_],
    corner: NDArray[np.int64],
    label: int,
    look: _Look,
    rng: np.random.Generator,
) -> None:
    low = np.maximum(corner, 0)
    high = np.minimum(corner + mask.shape, labels.shape)
    if (high - low).min() < 3:
        return
    part = np.s_[low[0] : high[0], low[1] : high[1]]
    inner = np.s_[
        low[0] - corner[0] : high[0] - corner[0], low[1] - corner[1] : high[1] - corner[1]
    ]
    mask = mask[inner]
    area = mask.sum()
    if area < 12 or (labels[part][mask] > 0).sum() > _MAX_OVERLAP * area:
        return
    colour = look.colour + rng.normal(0, look.spread, 3) * (1 if look.spread > 0.3 else 0.6)
    body = np.broadcast_to(colour, (*mask.shape, 3)).copy()
    if look.texture:
        body += (
            look.texture
            * _noise(rng, max(mask.shape), look.grain)[: mask.shape[0], : mask.shape[1], None]
        )
    if look.rim or look.shading:
        depth = ndimage.distance_transform_edt(mask)
        body += (look.rim * np.exp(-((depth - 1) ** 2) / 4))[..., None]
        body += (look.shading * (depth / (depth.max() + 1e-9) - 0.5))[..., None]
    alpha = (mask * look.opacity)[..., None]
    image[part] = image[part] * (1 - alpha) + body * alpha
    labels[part][mask] = label
