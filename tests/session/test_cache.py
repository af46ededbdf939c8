from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from napari_sam2.model.outputs import ImageFeatures
from napari_sam2.session.cache import FeatureCache, KnownContents, content_key

ENTRY_BYTES = 4 * (10 + 20 + 30)


def features() -> ImageFeatures:
    return ImageFeatures(torch.zeros(10), (torch.zeros(20), torch.zeros(30)))


def test_what_was_put_comes_back() -> None:
    cache, kept = FeatureCache(), features()
    cache.put("a", kept)
    assert cache.get("a") is kept
    assert cache.get("b") is None


def test_all_tensors_count() -> None:
    cache = FeatureCache()
    cache.put("a", features())
    cache.put("b", features())
    assert cache.nbytes == 2 * ENTRY_BYTES


def test_the_least_recently_used_goes_first() -> None:
    cache = FeatureCache(max_bytes=2 * ENTRY_BYTES)
    cache.put("a", features())
    cache.put("b", features())
    cache.get("a")
    cache.put("c", features())
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]


def test_putting_again_replaces_and_counts_as_use() -> None:
    cache, newer = FeatureCache(max_bytes=2 * ENTRY_BYTES), features()
    cache.put("a", features())
    cache.put("b", features())
    cache.put("a", newer)
    cache.put("c", features())
    assert cache.get("a") is newer
    assert cache.get("b") is None
    assert len(cache) == 2


def test_what_is_larger_than_the_cache_is_not_kept() -> None:
    cache = FeatureCache(max_bytes=ENTRY_BYTES - 1)
    cache.put("a", features())
    assert len(cache) == 0
    assert cache.nbytes == 0


def test_clear_lets_go_of_all() -> None:
    cache = FeatureCache()
    cache.put("a", features())
    cache.clear()
    assert cache.get("a") is None


def test_threads_never_see_it_over_its_bound() -> None:
    cache = FeatureCache(max_bytes=3 * ENTRY_BYTES)

    def use(number: int) -> int:
        cache.put(number % 7, features())
        cache.get((number + 1) % 7)
        return cache.nbytes

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(use, range(400))) <= 3 * ENTRY_BYTES


PLANE = np.arange(24, dtype=np.uint8).reshape(4, 6)


@pytest.mark.parametrize(
    "same",
    [PLANE.copy(), np.asfortranarray(PLANE), np.repeat(PLANE, 2, axis=0)[::2]],
    ids=["copy", "column order", "strided"],
)
def test_equal_planes_have_equal_keys_however_they_lie_in_memory(same: np.ndarray) -> None:
    assert content_key(same) == content_key(PLANE)


def changed_pixel() -> np.ndarray:
    plane = PLANE.copy()
    plane[3, 5] += 1
    return plane


@pytest.mark.parametrize(
    "other",
    [changed_pixel(), PLANE.reshape(6, 4), PLANE.view(np.int8), PLANE.astype(">u2")],
    ids=["one pixel", "shape", "dtype of the same bytes", "dtype"],
)
def test_other_planes_have_other_keys(other: np.ndarray) -> None:
    assert content_key(other) != content_key(PLANE)


@pytest.mark.parametrize("dtype", ["?", "f2", "f8", "i8", ">u2", "g"])
def test_every_real_dtype_has_a_key(dtype: str) -> None:
    assert content_key(np.ones((3, 3), dtype)) == content_key(np.ones((3, 3), dtype))


# What was read from where


def test_the_content_of_a_place_is_remembered_until_it_is_read_anew() -> None:
    known = KnownContents()
    assert known.get("here") is None
    known.put("here", "a")
    known.put("here", "b")
    assert known.get("here") == "b"
    assert len(known) == 1


def test_places_asked_for_least_recently_are_forgotten_first() -> None:
    known = KnownContents(max_planes=2)
    known.put("first", "a")
    known.put("second", "b")
    known.get("first")
    known.put("third", "c")
    assert [known.get(place) for place in ("first", "second", "third")] == ["a", None, "c"]
