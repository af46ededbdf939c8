"""Whether prompts are on the object or on the background: in their table, and in their looks."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points, Shapes
from numpy.typing import NDArray

from napari_sam2.layers.create import POLARITY
from napari_sam2.session.objects import RECTANGLE
from napari_sam2.session.prompts import NEGATIVE, POSITIVE

COLOURS = {POSITIVE: "#2fd566", NEGATIVE: "#ff4d4d"}
_SYMBOLS = {POSITIVE: "cross", NEGATIVE: "hbar"}  # + and -, for those who see no red and green
_FACES = {POSITIVE: "#00000000", NEGATIVE: "#ff4d4d40"}  # filled or not, for the same reason


def read_polarity(layer: Points | Shapes) -> NDArray[np.int64]:
    """Give the polarity of every point or shape, (N,); without a known one it is on the object."""
    count = len(layer.data)
    polarity = np.full(count, POSITIVE)
    if POLARITY in layer.features:
        values = np.asarray(layer.features[POLARITY], np.float64)[:count]
        polarity[: len(values)][values == NEGATIVE] = NEGATIVE
    if isinstance(layer, Shapes):
        polarity[[kind == RECTANGLE for kind in layer.shape_type]] = POSITIVE
    return polarity


def write_polarity(layer: Points | Shapes, polarity: list[int]) -> None:
    """Set the polarity of every point or shape, beside the columns that others have added."""
    features = _fitting(layer)
    features[POLARITY] = np.array(polarity, int)
    layer.features = features


def next_polarity(layer: Points | Shapes) -> int:
    """Give the polarity that the next point or shape gets."""
    defaults = layer.feature_defaults
    is_negative = POLARITY in defaults and defaults[POLARITY].iloc[0] == NEGATIVE
    return NEGATIVE if is_negative else POSITIVE


def set_next_polarity(layer: Points | Shapes, value: int) -> None:
    """Let the next point or shape be on the object or on the background, and look so."""
    layer.selected_data = set()  # or the one just placed would change as well
    repair_table(layer)
    defaults = layer.feature_defaults.copy()
    defaults[POLARITY] = value
    layer.feature_defaults = defaults
    if isinstance(layer, Points):
        layer.current_face_color = COLOURS[value]
        layer.current_symbol = _SYMBOLS[value]
    else:
        shown = POSITIVE if layer.mode == "add_rectangle" else value
        layer.current_edge_color, layer.current_face_color = COLOURS[shown], _FACES[shown]


def repair_table(layer: Points | Shapes, gone: int = -1) -> None:
    """Put the feature back that others have dropped; take the row off that belongs to no shape.

    napari leaves the row, and the colour, of a shape that was given up or lost its last corners,
    and the next one would get them. `gone` is its place among the shapes.
    """
    if POLARITY not in layer.features or len(layer.features) != len(layer.data):
        features = _fitting(layer, gone)
        if POLARITY not in features:
            features[POLARITY] = POSITIVE
        layer.features = features
    if isinstance(layer, Shapes) and len(layer.edge_color) > len(layer.data) == 0:
        layer.data = []  # or the next one is drawn in the colour of the last


def restyle(layer: Points | Shapes) -> None:
    """Let every point and shape look like its polarity; what does already costs no time."""
    polarity = [int(value) for value in read_polarity(layer)]
    if not polarity:
        return
    colours = [COLOURS[value] for value in polarity]
    if isinstance(layer, Points):
        if not _are(layer.face_color, colours):
            layer.face_color = colours
        symbols = [_SYMBOLS[value] for value in polarity]
        if [str(symbol) for symbol in layer.symbol] != symbols:
            layer.symbol = symbols
    else:
        if not _are(layer.edge_color, colours):
            layer.edge_color = colours
        faces = [_FACES[value] for value in polarity]
        if not _are(layer.face_color, faces):
            layer.face_color = faces


def _are(shown: NDArray[np.float32], wanted: list[str]) -> bool:
    """Tell whether colours (N, 4) in [0, 1] are those of hexadecimal names, to one part in 255."""
    full = [name if len(name) == 9 else f"{name}ff" for name in wanted]
    rgba = np.array([list(bytes.fromhex(name[1:])) for name in full]) / 255
    return shown.shape == rgba.shape and bool(np.allclose(shown, rgba, atol=1 / 510))


def _fitting(layer: Points | Shapes, gone: int = -1) -> Any:
    """Give a copy of the table with a row for each point or shape."""
    features, count = layer.features, len(layer.data)
    if len(features) == count + 1:
        features = features.drop(index=features.index[gone])
    return features.iloc[:count].reset_index(drop=True)
