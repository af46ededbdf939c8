"""Scenes of drawn objects, so that the model does not only know nuclei.

Objects lie scattered or packed like cells and stones; they differ from the ground in colour, in
texture, or by their rim alone; a camera blurs them and adds noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_sam2.training.parts import draw_parts
from napari_sam2.training.silhouettes import FAMILIES, silhouette

_MAX_OVERLAP = 0.35  # of a new shape's area over earlier ones
_RADII = (5.0, 90.0)  # in pixels
_MAX_COUNT = 90
_MIN_AREA = 12
_PACKED = 0.3  # share of scenes whose objects fill the plane
_MEMBRANES = 0.5  # share of these that are told apart by dark lines, as in electron microscopy
_WITH_PARTS = 0.35  # share of scenes whose objects have nuclei or organelles
_UNEVEN = 0.25  # share of scenes that are lit unevenly
_FAMILY_WEIGHTS = np.array([2.0 if family == "blob" else 1.0 for family in FAMILIES])


def draw_scene(
    rng: np.random.Generator, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int32]]:
    """Draw a ground and objects of one or two families on it.

    Returns
    -------
    image : uint8, shape (side, side, 3)
    labels : int32, shape (side, side)
        0 background; later shapes hide earlier ones.
    parts : int32, shape (side, side)
        Nuclei or organelles inside the objects, one integer each.
    """
    ground = rng.uniform(0, 1) * np.ones(3) if rng.random() < 0.6 else rng.uniform(0, 1, 3)
    image = _texture(rng, side, ground)
    look = _Look(rng, ground)
    typical = np.exp(rng.uniform(*np.log(_RADII)))
    if rng.random() < _PACKED:
        look.divide(rng, ground)
        labels = _packed(rng, side, typical)
        _paint_packed(image, labels, look, rng)
    else:
        labels = np.zeros((side, side), np.int32)
        _scatter(image, labels, typical, look, rng)
    if look.halo:
        image += look.halo * _halo(labels, look.halo_width)[..., None]
    parts = draw_parts(image, labels, rng) if rng.random() < _WITH_PARTS else np.zeros_like(labels)
    if rng.random() < _UNEVEN:
        image *= _illumination(rng, side)[..., None]
    return _camera(rng, image), labels, parts


class _Look:
    """What the objects of a scene have in common: colour, texture, rim."""

    def __init__(self, rng: np.random.Generator, ground: NDArray[np.float64]) -> None:
        grey = rng.random() < 0.5
        self.colour = np.full(3, rng.uniform(0, 1)) if grey else rng.uniform(0, 1, 3)
        self.spread = rng.choice([0.03, 0.15, 0.4])
        self.opacity = rng.uniform(0.5, 1.0)
        self.texture = rng.choice([0.0, 0.1, 0.3])
        self.grain = rng.uniform(0.6, 6)
        self.rim = rng.choice([0.0, 0.0, -0.4, 0.4])
        self.shading = rng.choice([0.0, 0.0, 0.5])
        self.relief = rng.choice([0.0, 0.0, 0.0, 0.4])  # lit from one side, as coins and stones
        self.light = rng.uniform(0, 2 * np.pi)
        self.spots = rng.choice([0, 0, 0, 1, 4])  # darker or brighter parts inside
        self.halo = rng.choice([0.0, 0.0, 0.3, 0.5, -0.3])  # around, as in phase contrast
        self.halo_width = rng.uniform(1.5, 5)
        self.core = 0.0  # of the middle; the edge is as much brighter or darker than the colour
        same = rng.random()
        if same < 0.12:  # only another texture than the ground's
            self.colour, self.spread, self.texture = ground, 0.03, rng.choice([0.15, 0.3])
        elif same < 0.24:  # only a rim
            self.colour, self.spread, self.texture = ground, 0.03, 0.0
            self.rim, self.opacity = rng.choice([-0.5, 0.5]), 1.0
        elif same < 0.36:  # round cells in phase contrast: a dark middle in a bright ring
            self.colour, self.spread = ground, 0.06
            self.core = rng.uniform(0.3, 0.9) * rng.choice([-1, -1, 1])
            self.halo = rng.choice([0.0, -0.2]) * np.sign(-self.core)

    def divide(self, rng: np.random.Generator, ground: NDArray[np.float64]) -> None:
        """Let objects that fill the plane differ by the membranes between them, sometimes."""
        if rng.random() < _MEMBRANES:
            self.colour, self.spread = ground, rng.choice([0.02, 0.05, 0.1])
            self.texture, self.grain = rng.choice([0.02, 0.06, 0.12]), rng.uniform(0.6, 3)
            self.rim, self.opacity = rng.uniform(-0.6, -0.25), 1.0


def _texture(
    rng: np.random.Generator, side: int, colour: NDArray[np.float64]
) -> NDArray[np.float64]:
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


def _illumination(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    """Give how bright the light is, about 1: a slope and a vignette."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, side)] * 2, indexing="ij")
    slope = rng.uniform(-0.4, 0.4) * x + rng.uniform(-0.4, 0.4) * y
    light: NDArray[np.float64] = 1 + slope - rng.uniform(0, 0.3) * (y**2 + x**2)
    return light.clip(0.1)


def _camera(rng: np.random.Generator, image: NDArray[np.float64]) -> NDArray[np.uint8]:
    if rng.random() < 0.6:
        focus = rng.uniform(2, 4) if rng.random() < 0.15 else rng.uniform(0.3, 2.2)
        image = ndimage.gaussian_filter(image, (focus, focus, 0))
    if rng.random() < 0.3:  # few photons
        photons = np.exp(rng.uniform(np.log(30), np.log(1000)))
        grey = image.mean(-1, keepdims=True).clip(0, 1)
        image = image + rng.poisson(grey * photons) / photons - grey
    image = image + rng.normal(0, rng.uniform(0.0, 0.03), (*image.shape[:2], 1))
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _halo(labels: NDArray[np.int32], width: float) -> NDArray[np.float64]:
    """Bright close outside objects and dark close inside."""
    inside = ndimage.gaussian_filter((labels > 0).astype(float), width)
    halo: NDArray[np.float64] = np.where(labels > 0, inside - 1, inside) * 2
    return halo


def _scatter(
    image: NDArray[np.float64],
    labels: NDArray[np.int32],
    typical: float,
    look: _Look,
    rng: np.random.Generator,
) -> None:
    side = len(labels)
    count = int(np.clip(rng.uniform(0.2, 0.8) * (side / typical) ** 2 / 4, 3, _MAX_COUNT))
    weights = _FAMILY_WEIGHTS / _FAMILY_WEIGHTS.sum()
    families = rng.choice(FAMILIES, size=rng.integers(1, 3), p=weights)
    for label in range(1, count + 1):
        radius = typical * np.exp(rng.normal(0, 0.25))
        mask, corner = silhouette(rng, rng.choice(families), radius, side)
        _paint(image, labels, mask, corner, label, look, rng)


def _packed(rng: np.random.Generator, side: int, typical: float) -> NDArray[np.int32]:
    """Divide the plane among points, with gaps between; some of the parts are background."""
    pitch = max(1.8 * typical, side / 9)
    grid = np.arange(-pitch / 2, side + pitch, pitch)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    points = points + rng.uniform(-0.4, 0.4, points.shape) * pitch
    places = np.indices((side, side)).transpose(1, 2, 0).astype(float)
    warp = rng.uniform(0, 0.15) * pitch
    places = places + warp * np.stack([_noise(rng, side, pitch / 4) for _ in range(2)], -1)
    distances = np.full((2, side, side), np.inf)
    nearest = np.zeros((side, side), np.int32)
    for index, point in enumerate(points):
        distance = np.hypot(*(places - point).transpose(2, 0, 1))
        nearest[distance < distances[0]] = index + 1
        distances[1] = np.minimum(distances[1], np.maximum(distance, distances[0]))
        distances[0] = np.minimum(distances[0], distance)
    gap = rng.uniform(1.5, 5)
    absent = np.concatenate([[True], rng.random(len(points)) < rng.choice([0.0, 0.1, 0.4])])
    labels: NDArray[np.int32] = np.where(
        (distances[1] - distances[0] < gap) | absent[nearest], 0, nearest
    ).astype(np.int32)
    return labels


def _paint_packed(
    image: NDArray[np.float64], labels: NDArray[np.int32], look: _Look, rng: np.random.Generator
) -> None:
    blank = np.zeros_like(labels)
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        mask = labels[place] == label
        corner = np.array([part.start for part in place])
        _paint(image, blank, mask, corner, label, look, rng)
    labels[blank == 0] = 0  # too small to be painted


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
    if area < _MIN_AREA or (labels[part][mask] > 0).sum() > _MAX_OVERLAP * area:
        return
    alpha = (mask * look.opacity)[..., None]
    image[part] = image[part] * (1 - alpha) + _body(mask, look, rng) * alpha
    labels[part][mask] = label


def _body(mask: NDArray[np.bool_], look: _Look, rng: np.random.Generator) -> NDArray[np.float64]:
    """Give the colours of one object, (h, w, 3)."""
    height, width = mask.shape
    colour = look.colour + rng.normal(0, look.spread, 3) * (1 if look.spread > 0.3 else 0.6)
    body: NDArray[np.float64] = np.broadcast_to(colour, (height, width, 3)).copy()
    if look.texture:
        noise = _noise(rng, max(mask.shape), look.grain)[:height, :width]
        body += look.texture * noise[..., None]
    if look.rim or look.shading or look.relief or look.core:
        depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
        inward = (depth / (depth.max() + 1e-9) * 1.5).clip(0, 1)  # 1 in the middle
        body += (look.core * (2 * inward**2 - 1))[..., None]
        body += (look.rim * np.exp(-((depth - 1) ** 2) / 4))[..., None]
        body += (look.shading * (depth / (depth.max() + 1e-9) - 0.5))[..., None]
        slope_y, slope_x = np.gradient(ndimage.gaussian_filter(np.minimum(depth, 6), 1))
        lit = slope_y * np.sin(look.light) + slope_x * np.cos(look.light)
        body += (look.relief * lit)[..., None]
    y, x = np.nonzero(mask)
    for _ in range(look.spots):
        i, radius = rng.integers(len(y)), np.sqrt(len(y)) * rng.uniform(0.08, 0.25)
        rows, columns = np.ogrid[:height, :width]
        spot = np.hypot(rows - y[i], columns - x[i]) < radius
        body[spot] += rng.choice([-0.25, 0.25])
    return body
