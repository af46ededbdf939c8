"""What the model was shown, told to readers of a paper."""

from __future__ import annotations

from typing import Any

import pytest

from napari_sam2.session.methods_view import view_sentences

SCALED = "Grey values were scaled linearly from the contrast limits 3 to 7 and cut off beyond"


def told(view: Any = None, **settings: Any) -> str:
    return view_sentences({"contrast_limits": [3, 7], "model_view": view or {}, **settings})


def layer(name: str, **values: Any) -> dict[str, Any]:
    return {"name": name, "colormap": "green", "contrast_limits": [0, 9], "gamma": 1.0, **values}


def test_as_usual_the_contrast_limits_are_told() -> None:
    assert told() == f"{SCALED}."
    assert told(gamma=1.0) == f"{SCALED}."
    assert told(gamma=0.5) == f"{SCALED}, with gamma 0.5."


def test_another_normalisation_is_told() -> None:
    assert told({"normalisation": "percentile"}, gamma=2) == (
        "Values were scaled linearly from the 0.1 to the 99.9 percentile of each plane and cut off "
        "beyond, with gamma 2."
    )
    assert told({"normalisation": "min-max"}) == (
        "Values were scaled linearly from the smallest to the largest value of each plane."
    )
    assert told({"normalisation": "full"}) == (
        "Values were scaled linearly over the full range of their data type."
    )


def test_channels_are_told_by_axis_and_colour() -> None:
    assert told({"axis": 1, "axis_name": "c", "indices": [2, 0, 1]}) == (
        "The model was shown channels 2, 0 and 1 along axis c (counted from 0) as red, green and "
        f"blue. {SCALED}."
    )
    assert told({"axis": 1, "axis_name": "-3", "indices": [None, 0, 1]}).startswith(
        "The model was shown channels 0 and 1 along axis 1 (counted from 0) as green and blue."
    )
    assert told({"axis": 0, "indices": [4]}).startswith(
        "The model was shown channel 4 along axis 0 (counted from 0)."
    )


def test_layers_are_told_with_their_looks() -> None:
    layers = [layer("a"), layer("b", gamma=0.5, colormap="red")]
    assert told({"layers": layers}) == (
        'The model was shown 2 layers, added in their colours: "a" (green, contrast limits 0 to 9) '
        'and "b" (red, contrast limits 0 to 9, gamma 0.5).'
    )
    assert told({"layers": layers, "normalisation": "min-max"}) == (
        'The model was shown 2 layers, added in their colours: "a" (green) and "b" (red, gamma '
        "0.5). Values were scaled linearly from the smallest to the largest value of each plane."
    )


@pytest.mark.parametrize(
    "view",
    [
        "all",
        [1],
        {"axis": "c", "indices": [1]},
        {"axis": 1, "indices": "012"},
        {"axis": 1, "indices": [None]},
        {"layers": "all"},
        {"layers": [3]},
        {"layers": {"name": "a"}},
        {"normalisation": 3},
    ],
    ids=str,
)
def test_what_cannot_be_read_is_not_mentioned(view: Any) -> None:
    assert told(view) == f"{SCALED}."
