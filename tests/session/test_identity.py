from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.session.identity import fingerprint


def of(data: Any) -> str:
    return fingerprint(data.__getitem__, data.shape, data.dtype)


def noise(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 60_000, shape).astype(np.uint16)


class Chunked:
    """A lazy array that reads in parts of its own, and counts what is read."""

    def __init__(self, data: np.ndarray[Any, Any]) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.pixels = 0

    def __getitem__(self, key: Any) -> list[Any]:
        part = self.data[key]
        self.pixels += part.size
        return part.tolist()  # as foreign as can be


def test_fingerprint_is_a_name_of_32_digits() -> None:
    assert len(of(noise(4, 5))) == 32
    assert int(of(noise(4, 5)), 16) > 0


@settings(max_examples=30, deadline=None)
@given(shape=st.lists(st.integers(0, 6), min_size=1, max_size=5), seed=st.integers(0, 9))
def test_any_shape_has_one_and_storage_does_not_matter(shape: list[int], seed: int) -> None:
    data = noise(*shape, seed=seed)
    assert of(data) == of(np.asfortranarray(data)) == of(data.astype(">u2")) == of(Chunked(data))


def test_pixels_shape_and_dtype_matter() -> None:
    data = noise(3, 40, 50)
    others = [
        noise(3, 40, 50, seed=1),
        data.reshape(3, 50, 40),
        data.astype(np.int32),
        data.view(np.int16),
        data[:2],
    ]
    assert len({of(data), *map(of, others)}) == 1 + len(others)


@pytest.mark.parametrize("plane", [0, 10, 20])
def test_first_middle_and_last_plane_count(plane: int) -> None:
    data = noise(21, 30, 30)
    other = data.copy()
    other[plane, 3, 4] += 1
    assert of(data) != of(other)


def test_large_lazy_image_is_read_in_part() -> None:
    zeros = np.broadcast_to(np.uint8(0), (10**6, 10**6))
    volume = Chunked(np.broadcast_to(np.uint8(0), (50, 4, 8192, 8192)))
    of(zeros)
    of(volume)
    assert volume.pixels <= 3 * 512 * 512


def test_colours_are_read_together() -> None:
    data = noise(30, 30, 3)
    other = data.copy()
    other[15, 15, 2] += 1
    assert of(data) != of(other)
