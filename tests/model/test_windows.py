"""Windows cover the grid, padded with zeros, and come back where they were."""

from __future__ import annotations

import pytest
import torch

from napari_sam2.model.windows import partition, unpartition


@pytest.mark.parametrize(("size", "window"), [((8, 8), 4), ((6, 10), 4), ((3, 5), 7)])
def test_there_and_back(size: tuple[int, int], window: int) -> None:
    grid = torch.rand(2, *size, 3)
    windows, padded = partition(grid, window)
    assert windows.shape[1:] == (window, window, 3)
    assert torch.equal(unpartition(windows, window, padded, size), grid)


def test_first_window_is_the_top_left_corner_and_padding_is_zero() -> None:
    grid = torch.arange(1.0, 26).view(1, 5, 5, 1)
    windows, padded = partition(grid, 4)
    assert padded == (8, 8)
    assert torch.equal(windows[0], grid[0, :4, :4])
    assert windows[3].sum() == grid[0, 4, 4]
