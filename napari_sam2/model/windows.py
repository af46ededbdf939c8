"""Cutting a token grid into square windows and putting it back together."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def partition(x: Tensor, window: int) -> tuple[Tensor, tuple[int, int]]:
    """Cut a grid into windows, padded with zeros at the bottom and right to whole windows.

    Parameters
    ----------
    x : Tensor, shape (B, H, W, C)
        The grid.
    window : int
        Side of a window in tokens.

    Returns
    -------
    windows : Tensor, shape (B * number of windows, window, window, C)
        Row by row. Padded tokens are not masked anywhere: they take part in the attention.
    padded : (int, int)
        Height and width of the padded grid.
    """
    batch, height, width, channels = x.shape
    pad_h, pad_w = -height % window, -width % window
    if pad_h or pad_w:
        x = F.pad(x, (0, 0, 0, pad_w, 0, pad_h))
    rows, columns = (height + pad_h) // window, (width + pad_w) // window
    x = x.view(batch, rows, window, columns, window, channels)
    x = x.transpose(2, 3).reshape(-1, window, window, channels)  # (B*rows*columns, w, w, C)
    return x, (height + pad_h, width + pad_w)


def unpartition(
    windows: Tensor, window: int, padded: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """Undo `partition`: put windows back on a grid of `padded` tokens and cut it to `size`.

    Returns
    -------
    Tensor, shape (B, H, W, C)
        With (H, W) = `size`.
    """
    rows, columns = padded[0] // window, padded[1] // window
    channels = windows.shape[-1]
    x = windows.view(-1, rows, columns, window, window, channels).transpose(2, 3)
    x = x.reshape(-1, padded[0], padded[1], channels)
    return x[:, : size[0], : size[1]]
