from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam2.session.preprocess import to_model_input
from napari_sam2.training import lessons
from napari_sam2.training.lessons import digest, draw_lesson
from tests.training.test_finetune import scene


def test_a_window_shows_an_object_and_is_what_the_encoder_takes() -> None:
    for seed in range(8):
        pixels, labels = draw_lesson([scene()], np.random.default_rng(seed), 128)
        assert (pixels.shape, pixels.dtype) == ((3, 128, 128), torch.float32)
        assert (labels.shape, labels.dtype) == ((128, 128), torch.int64)
        assert (labels > 0).any()


def test_the_plugin_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessons, "_AS_SEEN", 1.0)
    monkeypatch.setattr(lessons, "_WHOLE", 1.0)
    picture = scene(side=60)
    wanted = to_model_input(picture.image, 128)
    turned = [
        part
        for turns in range(4)
        for part in (wanted.rot90(turns, (1, 2)), wanted.rot90(turns, (1, 2)).flip(2))
    ]
    seen, labels = draw_lesson([picture], np.random.default_rng(0), 128)
    assert any(torch.allclose(seen, one, atol=1e-5) for one in turned)
    bright = seen[0] > seen[0].mean()
    assert (bright == (labels > 0)).float().mean() > 0.97, "labels are turned as the pixels are"


def test_the_same_lot_draws_the_same_window() -> None:
    one, other = (draw_lesson([scene()], np.random.default_rng(5), 128) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


def test_the_digest_tells_pictures_apart() -> None:
    picture = scene()
    known = digest([picture])
    assert digest([scene()]) == known
    labels = picture.labels.copy()
    labels[0, 0] = 7
    assert digest([replace(picture, labels=labels)]) != known
    assert digest([replace(picture, image=picture.image + np.uint8(1))]) != known
