from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam2.session.cleanup import Cleanup
from napari_sam2.session.masks import PackedMask


def drawn(*rows: str) -> np.ndarray:
    """A mask from rows of # and dots."""
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def cleaned(cleanup: Cleanup, mask: np.ndarray) -> np.ndarray:
    return cleanup.apply(PackedMask.of(mask)).to_array()


def random_mask(seed: int, shape: tuple[int, int], density: float = 0.5) -> np.ndarray:
    noise = np.random.default_rng(seed).random(shape)
    return ndimage.uniform_filter(noise, 3) > np.quantile(noise, 1 - density)


def test_nothing_changes_when_all_is_off() -> None:
    mask = PackedMask.of(random_mask(0, (20, 30)))
    assert Cleanup(only_clicked=False).apply(mask, [(3, 3)]) is mask
    assert Cleanup(min_area=1).apply(mask) is mask


SPECKS = drawn("##..#", "##...", "...##", "#..##")  # four parts


@pytest.mark.parametrize(
    ("clicks", "rows"),
    [
        ([(0, 1)], ["##...", "##...", ".....", "....."]),
        ([(0.4, 4.4)], ["....#", ".....", ".....", "....."]),  # within half a pixel
        ([(1, 0), (3, 3), (0, 0)], ["##...", "##...", "...##", "...##"]),
        ([(1, 1), (1, 4)], ["##...", "##...", ".....", "....."]),  # the second lies beside it
    ],
)
def test_only_parts_that_were_clicked_are_kept(
    clicks: list[tuple[float, float]], rows: list[str]
) -> None:
    tidied = Cleanup().apply(PackedMask.of(SPECKS), clicks)
    np.testing.assert_array_equal(tidied.to_array(), drawn(*rows))


@pytest.mark.parametrize("clicks", [[], [(2, 1)], [(-0.5, 9.0)], [(4, 5)]])
def test_a_mask_that_no_click_lies_in_keeps_all_parts(clicks: list[tuple[float, float]]) -> None:
    mask = PackedMask.of(SPECKS)
    assert Cleanup().apply(mask, clicks) is mask


def test_a_huge_mask_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_sam2.session.cleanup.LARGE_PLANE", 19)
    mask = PackedMask.of(np.pad(SPECKS, 1))  # its box has 20 pixels
    assert Cleanup().apply(mask, [(1, 1)]) is mask


def test_parts_that_meet_at_a_corner_are_one() -> None:
    mask = PackedMask.of(drawn("##..", "##..", "..##"))
    assert Cleanup().apply(mask, [(0, 0)]) is mask


def test_all_parts_are_kept_on_demand() -> None:
    mask = PackedMask.of(SPECKS)
    assert Cleanup(only_clicked=False).apply(mask, [(0, 0)]) is mask


def test_an_empty_mask_stays_empty() -> None:
    empty = PackedMask((8, 9))
    assert Cleanup(fill_holes=True, min_area=5, smooth=2).apply(empty) == empty


def test_enclosed_background_is_filled_also_where_the_ring_meets_at_corners() -> None:
    ring = drawn(".....", "..#..", ".#.#.", "..#..", ".....")
    wanted = drawn(".....", "..#..", ".###.", "..#..", ".....")
    np.testing.assert_array_equal(cleaned(Cleanup(fill_holes=True), ring), wanted)


def test_a_bay_that_the_border_closes_is_not_a_hole() -> None:
    bay = drawn("#.#..", "###..", ".....")
    np.testing.assert_array_equal(cleaned(Cleanup(fill_holes=True), bay), bay)


def test_holes_are_filled_on_a_part_of_the_plane_as_on_the_whole() -> None:
    mask = np.zeros((40, 50), bool)
    mask[11:34, 7:39] = random_mask(1, (23, 32), 0.7)
    wanted = ndimage.binary_fill_holes(mask)
    assert wanted.sum() > mask.sum()
    np.testing.assert_array_equal(cleaned(Cleanup(fill_holes=True), mask), wanted)


def test_islands_are_dropped_below_the_least_area_only() -> None:
    mask = drawn("####.#.", "####..#", "......#", "##.....")  # 8, 3 (by a corner) and 2 pixels
    kept = drawn("####.#.", "####..#", "......#", ".......")
    np.testing.assert_array_equal(cleaned(Cleanup(min_area=2), mask), mask)
    np.testing.assert_array_equal(cleaned(Cleanup(min_area=3), mask), kept)


def test_the_largest_part_stays_however_small() -> None:
    mask = drawn("##...", ".....", "...#.")
    np.testing.assert_array_equal(
        cleaned(Cleanup(min_area=100), mask), drawn("##...", ".....", ".....")
    )


@pytest.mark.parametrize("radius", [1, 2, 5, 30])
@pytest.mark.parametrize("shape", [(40, 60), (7, 50), (1, 9)])
def test_smoothing_is_the_median_of_a_disc_with_the_plane_mirrored(
    radius: int, shape: tuple[int, int]
) -> None:
    mask = random_mask(radius, shape)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    footprint = (y * y + x * x <= radius * radius).astype(int)
    padded = np.pad(mask, radius, mode="symmetric").astype(int)
    counts = ndimage.correlate(padded, footprint, mode="constant")
    wanted = 2 * counts[radius:-radius, radius:-radius] > footprint.sum()
    if not wanted.any():
        wanted = mask
    np.testing.assert_array_equal(cleaned(Cleanup(smooth=radius), mask), wanted)


def test_smoothing_an_object_inside_is_smoothing_the_plane() -> None:
    mask = np.zeros((50, 60), bool)
    mask[20:34, 25:45] = random_mask(3, (14, 20), 0.6)
    wanted = ndimage.median_filter(mask, footprint=ndimage.generate_binary_structure(2, 1))
    np.testing.assert_array_equal(cleaned(Cleanup(smooth=1), mask), wanted)


def test_a_straight_edge_at_the_border_of_the_plane_stays() -> None:
    mask = np.zeros((30, 40), bool)
    mask[:, :15] = True
    np.testing.assert_array_equal(cleaned(Cleanup(smooth=4), mask), mask)


def test_a_thread_thinner_than_the_filter_stays_when_it_is_all_there_is() -> None:
    thread = np.zeros((20, 20), bool)
    thread[10] = True
    np.testing.assert_array_equal(cleaned(Cleanup(smooth=3), thread), thread)


def test_crumbs_of_smoothing_are_dropped_as_islands() -> None:
    mask = np.zeros((30, 40), bool)
    mask[5:25, 5:20] = mask[10:20, 26:36] = True
    mask[15, 20:26] = True  # the bridge goes, and what it held is an island then
    kept = cleaned(Cleanup(min_area=150, smooth=2), mask)
    assert kept[15, 10]
    assert not kept[:, 22:].any()


def test_a_small_object_costs_the_same_on_a_huge_plane() -> None:
    """Full-size arrays in memory (micro-sam 39): this plane would take 10 GB."""
    mask = PackedMask.of(random_mask(5, (30, 30)), (50_000, 60_000), (100_000, 100_000))
    tidied = Cleanup(fill_holes=True, min_area=10, smooth=2).apply(mask)
    small = PackedMask.of(random_mask(5, (30, 30)), (50, 60), (200, 200))
    wanted = Cleanup(fill_holes=True, min_area=10, smooth=2).apply(small)
    np.testing.assert_array_equal(tidied.crop(), wanted.crop())
    assert tidied.shape == (100_000, 100_000)


@pytest.mark.parametrize("name", ["min_area", "smooth"])
def test_less_than_no_pixels_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number of pixels, got -1"):
        Cleanup(**{name: -1})
