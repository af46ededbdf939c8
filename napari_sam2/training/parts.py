"""Nuclei and organelles inside drawn objects: what a click may mean instead of the whole."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_MIN_DEPTH = 5.0  # pixels; thinner objects get no parts
_MIN_AREA = 30  # pixels of a part
_CONTRASTS = (0.12, 0.45)


def draw_parts(
    image: NDArray[np.float64], labels: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Paint parts into the objects of a scene, of one look, and give them, one integer each.

    Parameters
    ----------
    image : float64, shape (H, W, 3)
        Changed in place.
    labels : int32, shape (H, W)
        0 background.
    rng : Generator
    """
    parts = np.zeros_like(labels)
    contrast = rng.uniform(*_CONTRASTS) * rng.choice([-1, 1]) * np.ones(3)
    if rng.random() < 0.3:
        contrast = contrast * rng.uniform(-0.5, 1, 3)
    most = 1 if rng.random() < 0.6 else rng.integers(2, 5)  # a nucleus, or organelles
    rim = rng.choice([0.0, 0.0, -0.3, 0.3])
    count = 0
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        room = np.pad(labels[place] == label, 1)
        depth = ndimage.distance_transform_edt(room)[1:-1, 1:-1]
        for _ in range(most):
            part = _part(depth, 0.62 if most == 1 else 0.4, rng)
            if part is None or parts[place][part].any():
                continue
            count += 1
            parts[place][part] = count
            image[place][part] += contrast * rng.uniform(0.7, 1.3)
            if rim:
                edge = part & ~ndimage.binary_erosion(part, iterations=2)
                image[place][edge] += rim
    return parts


def _part(
    depth: NDArray[np.float64], largest: float, rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """Give an ellipse well inside an object, or nothing if there is no room."""
    if depth.max() < _MIN_DEPTH:
        return None
    radius = depth.max() * rng.uniform(0.5, 1) * largest
    ys, xs = np.nonzero(depth > radius * 1.2)
    i = rng.integers(len(ys))
    rows, columns = np.ogrid[: depth.shape[0], : depth.shape[1]]
    angle, aspect = rng.uniform(0, np.pi), rng.uniform(0.6, 1)
    u = np.cos(angle) * (columns - xs[i]) + np.sin(angle) * (rows - ys[i])
    v = np.cos(angle) * (rows - ys[i]) - np.sin(angle) * (columns - xs[i])
    part: NDArray[np.bool_] = (np.hypot(u, v / aspect) < radius) & (depth > 2)
    return part if part.sum() >= _MIN_AREA else None
