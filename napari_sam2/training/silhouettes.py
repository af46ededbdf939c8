"""Outlines of drawn objects: round, angular, long, hollow and branched ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_Plane = NDArray[np.float64]
_Mask = NDArray[np.bool_]

_HARMONICS = 5
_REACH = 2.2  # radii from the middle to the edge of a shape's array


def silhouette(
    rng: np.random.Generator, family: str, radius: float, side: int
) -> tuple[_Mask, NDArray[np.int64]]:
    """Draw one mask in its own small array, and say where in a scene its corner lies.

    Parameters
    ----------
    rng : Generator
    family : str
        One of `FAMILIES`.
    radius : float
        In pixels.
    side : int
        Of the scene; the shape's middle lies inside.
    """
    reach = int(np.ceil(radius * _REACH))
    offsets = np.arange(-reach, reach + 1)
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    angle = rng.uniform(0, np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    corner = rng.integers(0, side, 2) - reach
    thinnest = 0.8 / radius  # a line keeps at least 1.6 pixels
    return _DRAW[family](rng, u / radius, v / radius, thinnest), corner


def _blob(
    rng: np.random.Generator, u: _Plane, v: _Plane, __thinnest: float, rough: float = 0.12
) -> _Mask:
    aspect = rng.uniform(0.55, 1.0)
    theta = np.arctan2(v / aspect, u)
    edge = np.ones_like(theta)
    for k in range(2, 2 + _HARMONICS):
        edge += rng.normal(0, rough / k * 2) * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
    inside: _Mask = np.hypot(u, v / aspect) < edge
    return inside


def _rough_blob(rng: np.random.Generator, u: _Plane, v: _Plane, thinnest: float) -> _Mask:
    return _blob(rng, u, v, thinnest, rough=0.35)


def _disc(rng: np.random.Generator, u: _Plane, v: _Plane, _thinnest: float) -> _Mask:
    inside: _Mask = np.hypot(u, v) < rng.uniform(0.8, 1.1)
    return inside


def _rod(rng: np.random.Generator, u: _Plane, v: _Plane, thinnest: float) -> _Mask:
    width, bend = max(rng.uniform(0.12, 0.4), thinnest), rng.uniform(-0.3, 0.3)
    along = np.clip(u, -1.6 + width, 1.6 - width)
    inside: _Mask = np.hypot(u - along, v - bend * along**2) < width
    return inside


def _fibre(rng: np.random.Generator, u: _Plane, v: _Plane, thinnest: float) -> _Mask:
    """Draw a thin wave from end to end of the array."""
    width = max(rng.uniform(0.06, 0.14), thinnest)
    height, pitch, phase = rng.uniform(0.1, 0.5), rng.uniform(0.8, 2.5), rng.uniform(0, 2 * np.pi)
    off = v - height * np.sin(pitch * u + phase)
    slope = height * pitch * np.cos(pitch * u + phase)
    inside: _Mask = (np.abs(off) < width * np.hypot(1, slope)) & (np.abs(u) < 2)
    return inside


def _polygon(rng: np.random.Generator, u: _Plane, v: _Plane, _thinnest: float) -> _Mask:
    sides = rng.integers(3, 8)
    angles = np.sort(rng.uniform(0, 2 * np.pi) + np.arange(sides) * 2 * np.pi / sides)
    inside = np.ones(u.shape, bool)
    for a in angles:
        inside &= np.cos(a) * u + np.sin(a) * v < rng.uniform(0.6, 1.0)
    return inside


def _ring(rng: np.random.Generator, u: _Plane, v: _Plane, _thinnest: float) -> _Mask:
    distance = np.hypot(u, v / rng.uniform(0.6, 1.0))
    inside: _Mask = (distance < 1) & (distance > rng.uniform(0.4, 0.7))
    return inside


def _crescent(rng: np.random.Generator, u: _Plane, v: _Plane, _thinnest: float) -> _Mask:
    bite, size = rng.uniform(0.4, 0.7), rng.uniform(0.7, 0.95)
    inside: _Mask = (np.hypot(u, v) < 1) & (np.hypot(u - bite, v) > size)
    return inside


def _branched(rng: np.random.Generator, u: _Plane, v: _Plane, thinnest: float) -> _Mask:
    """Draw arms that taper off from a body, as of a neuron or a star."""
    inside = np.hypot(u, v) < rng.uniform(0.25, 0.5)
    arms = rng.integers(3, 7)
    for angle in rng.uniform(0, 2 * np.pi) + np.arange(arms) * 2 * np.pi / arms:
        angle += rng.normal(0, 0.2)
        along, across = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
        length = rng.uniform(0.9, 1.8)
        width = np.maximum(rng.uniform(0.1, 0.25) * (1 - along / length), thinnest)
        bent = across - rng.uniform(-0.3, 0.3) * along**2
        inside |= (along > 0) & (along < length) & (np.abs(bent) < width)
    return inside


_DRAW: dict[str, Callable[[np.random.Generator, _Plane, _Plane, float], _Mask]] = {
    "blob": _blob,
    "rough": _rough_blob,
    "disc": _disc,
    "rod": _rod,
    "fibre": _fibre,
    "polygon": _polygon,
    "ring": _ring,
    "crescent": _crescent,
    "branched": _branched,
}
FAMILIES = tuple(_DRAW)
