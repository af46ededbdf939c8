"""Images that are too large to be read: only the region that is looked at is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_sam2.errors import PromptError
from napari_sam2.model import Sam2
from napari_sam2.session.image_segmenter import ImageSegmenter
from napari_sam2.session.lazy_plane import is_lazy, lazy_plane
from tests.chunked import Chunked
from tests.session.test_image_segmenter import stub_square

IMAGE = np.random.default_rng(0).integers(0, 60_000, (300, 400), dtype=np.uint16)
REGION = (100, 200, 164, 264)


@pytest.fixture
def segmenter(tiny_model: Sam2) -> ImageSegmenter:
    return ImageSegmenter(tiny_model)


def as_zarr(image: np.ndarray, folder: Path) -> Any:
    array = zarr.open_array(
        str(folder / "image.zarr"), mode="w", shape=image.shape, chunks=(64, 64), dtype=image.dtype
    )
    array[:] = image
    return array


def as_memory_map(image: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "image.npy", image)
    return np.load(folder / "image.npy", mmap_mode="r")


@pytest.mark.parametrize(
    "store", [as_zarr, as_memory_map, lambda image, _: da.from_array(image, chunks=64)]
)
def test_a_lazy_image_gives_the_masks_of_one_in_memory(
    segmenter: ImageSegmenter, tmp_path: Path, store: Any
) -> None:
    lazy = store(IMAGE, tmp_path)
    assert is_lazy(lazy)
    answers = [
        segmenter.segment(image, points=[(32, 32)], region=region)
        for image, region in ((lazy, "whole"), (IMAGE, "whole"))
    ]
    np.testing.assert_array_equal(answers[0].low_res_masks, answers[1].low_res_masks)


@pytest.mark.parametrize("image", [IMAGE, IMAGE.tolist(), (1, 2), "text", None, np.float32(1)])
def test_what_is_in_memory_is_not_lazy(image: Any) -> None:
    assert not is_lazy(image)


def test_a_tensor_is_in_memory(segmenter: ImageSegmenter) -> None:
    import torch

    assert not is_lazy(torch.zeros(3, 3))


def test_only_the_chunks_of_a_region_are_read(segmenter: ImageSegmenter) -> None:
    lazy = Chunked((300, 400), (64, 64))
    segmenter.segment(lazy, points=[(130, 230)], region=REGION)
    assert lazy.read == [{(1, 3), (1, 4), (2, 3), (2, 4)}]


def test_colours_are_read_with_their_chunks(segmenter: ImageSegmenter) -> None:
    lazy = Chunked((300, 400, 3), (64, 64, 1))
    segmenter.segment(lazy, points=[(130, 230)], region=REGION)
    assert lazy.read == [{(y, x, c) for y in (1, 2) for x in (3, 4) for c in range(3)}]


def test_a_click_into_a_slide_reads_what_it_looks_at(
    segmenter: ImageSegmenter, tiny_model: Sam2, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 000 x 100 000 pixels: each look reads its region, by one slicing."""
    stub_square(tiny_model, monkeypatch, half=1)
    slide = Chunked((100_000, 100_000), (256, 256))
    prediction = segmenter.segment(slide, points=[(70_000, 30_000)], region="auto")
    first, *closer = slide.read
    assert len(first) <= 9
    assert closer
    assert all(len(chunks) == 1 and chunks <= first for chunks in closer)
    assert prediction.region is not None
    assert prediction.packed_mask.shape == (100_000, 100_000)


def test_black_and_white_are_those_of_the_plane(segmenter: ImageSegmenter) -> None:
    """A region that were stretched by its own values would look another way than its neighbour."""
    image = IMAGE.astype(np.uint16)
    image[:50] *= 7
    lazy = da.from_array(image, chunks=64)
    prediction, in_memory = (
        segmenter.segment(one, points=[(130, 230)], region=REGION) for one in (lazy, image)
    )
    np.testing.assert_array_equal(prediction.low_res_masks, in_memory.low_res_masks)


def test_pixels_that_have_changed_are_read_anew(segmenter: ImageSegmenter, tmp_path: Path) -> None:
    lazy = as_zarr(IMAGE, tmp_path)
    before = segmenter.segment(lazy, points=[(30, 30)])
    again = segmenter.segment(lazy, points=[(30, 30)])
    assert again.embed_was_cached
    lazy[:] = IMAGE[::-1]
    after = segmenter.segment(lazy, points=[(30, 30)])
    assert not after.embed_was_cached
    assert not np.array_equal(before.low_res_masks, after.low_res_masks)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (Chunked((3, 300, 400), (1, 64, 64)), r"must be one plane.* got shape \(3, 300, 400\)"),
        (Chunked((300, 400), (64, 64), complex), "real numbers, got dtype complex128"),
        (Chunked((0, 400), (64, 64)), "must have pixels"),
    ],
)
def test_what_is_no_plane_is_refused_before_it_is_read(image: Chunked, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        lazy_plane(image)
    assert not image.read


def test_holes_are_refused_where_they_are_read(segmenter: ImageSegmenter) -> None:
    image = IMAGE.astype(np.float32)
    image[0, 0] = np.nan
    lazy = da.from_array(image, chunks=64)
    with pytest.raises(PromptError, match="1 NaN or infinite"):
        segmenter.segment(lazy, points=[(130, 230)])
