from __future__ import annotations

import platform

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from napari_sam2.session import enlarge
from napari_sam2.session.enlarge import positive_mask

SHAPES = [
    (512, 512),
    (300, 300),  # of 256: a little larger
    (1000, 777),
    (130, 131),  # smaller than the logits
    (256, 700),  # the same along one axis
    (7, 900),
    (900, 3),
    (1, 1),
    (60, 90),
    (64, 65),  # just above what torch sums in another order
    (64, 64),
    (33, 2111),
]


def whole_plane(logits: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The enlargement as torch does it, written out."""
    coarse = torch.from_numpy(logits)[None, None]
    return F.interpolate(coarse, shape, mode="bilinear", align_corners=False)[0, 0].numpy()


def blob(side: int, centre: tuple[float, float], radius: float, seed: int = 0) -> np.ndarray:
    """Positive within a wobbly disc, as the decoder's logits are."""
    y, x = np.mgrid[:side, :side]
    distance = np.hypot(y - centre[0], x - centre[1])
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 2)
    return (radius - distance + 5 * noise).clip(-20, 20).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", [256, 64])
def test_the_mask_is_that_of_the_whole_plane_enlarged(side: int, shape: tuple[int, int]) -> None:
    borders = [(0, 0), (side - 1, side / 2), (side / 3, side - 1), (side / 2, side / 2)]
    for seed, centre in enumerate(borders):
        for radius in (1.5, side / 10, side / 2, 2 * side):
            logits = blob(side, centre, radius, seed)
            wanted = whole_plane(logits, shape) > 0
            np.testing.assert_array_equal(positive_mask(logits, shape).to_array(), wanted)


def test_any_sizes_agree() -> None:
    random = np.random.default_rng(1)
    for _ in range(60):
        h, w, height, width = np.exp(random.uniform(0, np.log([90, 90, 600, 600]))).astype(int)
        logits = random.normal(-1, 2, size=(h, w)).astype(np.float32)
        wanted = whole_plane(logits, (height, width)) > 0
        np.testing.assert_array_equal(positive_mask(logits, (height, width)).to_array(), wanted)


@pytest.mark.parametrize("shape", [(448, 448), (640, 480), (320, 672), (40, 48)])
def test_only_values_that_round_to_nothing_may_differ_on_any_processor(
    shape: tuple[int, int],
) -> None:
    """Logits of few digits often meet at 0 exactly between two pixels."""
    tenths = np.random.default_rng(2).integers(-9, 10, (64, 64))
    logits = (tenths / np.float32(10)).astype(np.float32)
    full = whole_plane(logits, shape)
    differs = positive_mask(logits, shape).to_array() != (full > 0)
    assert (np.abs(full[differs]) < 1e-5).all()
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):  # others fuse otherwise
        assert not differs.any()


def test_strips_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, shape = blob(64, (30, 33), 25), (400, 350)
    wanted = positive_mask(logits, shape)
    for pixels in (1, 999):
        monkeypatch.setattr(enlarge, "_STRIP_PIXELS", pixels)
        assert positive_mask(logits, shape) == wanted


def test_nothing_positive_is_an_empty_mask() -> None:
    for shape in ((9, 9), (300, 400)):
        mask = positive_mask(np.zeros((64, 64), np.float32), shape)
        assert not mask
        assert mask.shape == shape


def test_a_small_object_costs_the_same_on_a_huge_plane() -> None:
    """A 5 GB volume asked for 178 GB (nninteractive 21): this plane would take 40 GB."""
    logits = np.full((256, 256), -9, np.float32)
    logits[100, 7] = 9
    mask = positive_mask(logits, (100_000, 100_000))
    assert 300 < mask.box[2] - mask.box[0] < 800
    assert 39_000 < mask.box[0] < 39_400
