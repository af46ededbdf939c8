from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.training.parts import draw_parts

SIDE = 96


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[10:50, 10:50] = 4  # objects need not be counted without gaps
    labels[60:63, 10:90] = 5  # too thin
    return labels


@pytest.mark.parametrize("seed", range(6))
def test_parts_lie_inside_thick_objects_and_can_be_seen(labels: np.ndarray, seed: int) -> None:
    image = np.full((SIDE, SIDE, 3), 0.5)
    parts = draw_parts(image, labels, np.random.default_rng(seed))
    assert parts.any()
    assert (labels[parts > 0] == 4).all()
    assert ((image != 0.5).any(-1) == (parts > 0)).all()
    assert np.abs(image[parts > 0] - 0.5).max(-1).min() > 0.01
    for part in np.unique(parts)[1:]:
        assert 30 <= (parts == part).sum() < 0.5 * (labels == 4).sum()
