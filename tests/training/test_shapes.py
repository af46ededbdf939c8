from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam2.training import shapes
from napari_sam2.training.shapes import draw_scene
from napari_sam2.training.silhouettes import FAMILIES, silhouette

SIDE = 96
SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scene_has_a_background_and_objects_on_it(seed: int) -> None:
    image, labels, _ = draw_scene(np.random.default_rng(seed), SIDE)
    assert image.shape == (SIDE, SIDE, 3)
    assert image.dtype == np.uint8
    assert labels.shape == (SIDE, SIDE)
    assert labels.dtype == np.int32
    assert labels.min() == 0
    assert labels.max() <= 150


def test_most_scenes_have_several_objects() -> None:
    counts = [len(np.unique(draw_scene(np.random.default_rng(s), SIDE)[1])) - 1 for s in SEEDS]
    assert np.median(counts) >= 3


def test_the_same_seed_draws_the_same_scene() -> None:
    first, second, other = (draw_scene(np.random.default_rng(seed), SIDE) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


def test_objects_can_be_seen() -> None:
    """A label without a trace in the picture would teach guessing."""
    seen = []
    for seed in range(20):
        image, labels, _ = draw_scene(np.random.default_rng(seed), SIDE)
        for label in np.unique(labels)[1:]:
            inside = labels == label
            ring = (labels == 0) & ~inside
            if inside.sum() < 60 or not ring.any():
                continue
            distance = np.abs(image[inside].mean(0) - image[ring].mean(0)).max()
            seen.append(distance > 4 or image[inside].std() > 1.3 * image[ring].std())
    assert np.mean(seen) > 0.85


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_draws_masks_of_about_its_radius(family: str) -> None:
    radius = 12.0
    for seed in range(5):
        mask, _ = silhouette(np.random.default_rng(seed), family, radius, SIDE)
        assert mask.any()
        assert 0.1 * radius**2 < mask.sum() < 2 * np.pi * radius**2
        assert not mask.all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("radius", [5.0, 20.0])
def test_a_shape_is_one_object(family: str, radius: float) -> None:
    for seed in range(8):
        mask, _ = silhouette(np.random.default_rng(seed), family, radius, SIDE)
        sizes = np.bincount(ndimage.label(mask, np.ones((3, 3)))[0].ravel())[1:]
        assert sizes.max() > 0.95 * mask.sum()


def test_a_ring_has_a_hole() -> None:
    for seed in range(5):
        mask, _ = silhouette(np.random.default_rng(seed), "ring", 12.0, SIDE)
        middle = mask.shape[0] // 2
        assert not mask[middle, middle]


@pytest.mark.parametrize("seed", SEEDS)
def test_packed_objects_have_gaps_between_them(seed: int) -> None:
    labels = shapes._packed(np.random.default_rng(seed), SIDE, 9.0)
    assert 0.2 < (labels > 0).mean() < 0.98
    assert len(np.unique(labels)) > 10
    for axis in (0, 1):
        pair = np.stack([labels.take(range(SIDE - 1), axis), labels.take(range(1, SIDE), axis)])
        touching = (pair[0] != pair[1]) & (pair > 0).all(0)
        assert touching.mean() < 0.02


def test_a_halo_is_bright_outside_and_dark_inside() -> None:
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[30:60, 30:60] = 1
    halo = shapes._halo(labels, 2.0)
    assert halo[28, 45] > 0.2
    assert halo[31, 45] < -0.2
    assert abs(halo[10, 45]) < 0.01
    assert abs(halo[45, 45]) < 0.01


@pytest.mark.parametrize("corner", [(-6, -6), (SIDE - 6, SIDE - 6), (30, -4), (40, 40)])
def test_a_shape_is_painted_where_its_mask_is(corner: tuple[int, int]) -> None:
    """Also where it is cut by the picture's edge."""
    image = np.zeros((SIDE, SIDE, 3))
    labels = np.zeros((SIDE, SIDE), np.int32)
    look = shapes._Look(np.random.default_rng(0), np.zeros(3))
    look.colour, look.opacity, look.texture, look.rim = np.ones(3), 1.0, 0.0, 0.0
    look.shading = look.spread = look.relief = 0.0
    look.spots = 0
    mask = np.ones((12, 12), bool)
    shapes._paint(image, labels, mask, np.array(corner), 4, look, np.random.default_rng(0))
    wanted = np.zeros((SIDE, SIDE), bool)
    y, x = corner
    wanted[max(y, 0) : y + 12, max(x, 0) : x + 12] = True
    np.testing.assert_array_equal(labels == 4, wanted)
    np.testing.assert_array_equal(image[..., 0] > 0.5, wanted)


def test_a_shape_that_would_hide_another_is_left_out() -> None:
    image, labels = np.zeros((SIDE, SIDE, 3)), np.zeros((SIDE, SIDE), np.int32)
    labels[10:22, 10:22] = 1
    rng = np.random.default_rng(0)
    look = shapes._Look(rng, np.zeros(3))
    look.colour, look.spread = np.ones(3), 0.0
    shapes._paint(image, labels, np.ones((12, 12), bool), np.array([12, 12]), 2, look, rng)
    assert not (labels == 2).any()
    assert not image.any()
    shapes._paint(image, labels, np.ones((12, 12), bool), np.array([19, 19]), 3, look, rng)
    assert (labels == 3).sum() == 144, "a small overlap is painted over"
