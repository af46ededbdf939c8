"""Sentences for a paper: what the model was shown of the image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from napari_sam2.session.storage.json_values import JSON

CONTRAST_LIMITS = "contrast_limits"
GAMMA = "gamma"
MODEL_VIEW = "model_view"

_COLORS = ("red", "green", "blue")
_SCALES = {
    "percentile": "from the 0.1 to the 99.9 percentile of each plane and cut off beyond",
    "min-max": "from the smallest to the largest value of each plane",
    "full": "over the full range of their data type",
}


def view_sentences(settings: Mapping[str, JSON]) -> str:
    """Tell which channels the model was shown and how bright, as far as settings tell.

    Parameters
    ----------
    settings : mapping
        "contrast_limits", two numbers, and "gamma" of the image, and "model_view" as
        `layers.channels.Channels.describe` gives it. What cannot be read is not mentioned.
    """
    view = settings.get(MODEL_VIEW)
    view = view if isinstance(view, Mapping) else {}
    layers = _layers(view.get("layers"))
    sentences = [
        _channels_sentence(view),
        _layers_sentence(layers, view),
        _brightness_sentence(settings, view, has_layers=bool(layers)),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _channels_sentence(view: Mapping[str, JSON]) -> str:
    indices, axis = view.get("indices"), view.get("axis")
    if not isinstance(axis, int) or not isinstance(indices, Sequence) or isinstance(indices, str):
        return ""
    pairs = zip(_COLORS, indices, strict=False)
    used = [(color, str(at)) for color, at in pairs if isinstance(at, int)]
    name = view.get("axis_name")
    is_named = isinstance(name, str) and not name.lstrip("-").isdigit()
    along = f"along axis {name if is_named else axis} (counted from 0)"
    if len(used) == 1:
        return f"The model was shown channel {used[0][1]} {along}."
    if not used:
        return ""
    colors, places = zip(*used, strict=True)
    return f"The model was shown channels {listed(places)} {along} as {listed(colors)}."


def _layers_sentence(layers: Sequence[Mapping[str, JSON]], view: Mapping[str, JSON]) -> str:
    if not layers:
        return ""
    is_limited = view.get("normalisation", "limits") == "limits"
    words = [_layer_words(layer, is_limited=is_limited) for layer in layers]
    return f"The model was shown {len(layers)} layers, added in their colours: {listed(words)}."


def _layer_words(layer: Mapping[str, JSON], *, is_limited: bool) -> str:
    words = [str(layer.get("colormap", ""))]
    limits = _limits(layer.get(CONTRAST_LIMITS))
    if limits is not None and is_limited:
        words.append(f"contrast limits {limits[0]:g} to {limits[1]:g}")
    words.append(_gamma_words(layer.get(GAMMA)))
    return f'"{layer.get("name", "")}" ({", ".join(word for word in words if word)})'


def _brightness_sentence(
    settings: Mapping[str, JSON], view: Mapping[str, JSON], *, has_layers: bool
) -> str:
    normalisation = view.get("normalisation")
    gamma = "" if has_layers else _gamma_words(settings.get(GAMMA))
    ending = f", with {gamma}." if gamma else "."
    if isinstance(normalisation, str) and normalisation in _SCALES:
        return f"Values were scaled linearly {_SCALES[normalisation]}{ending}"
    limits = _limits(settings.get(CONTRAST_LIMITS))
    if limits is None or has_layers:
        return ""
    return (
        f"Grey values were scaled linearly from the contrast limits {limits[0]:g} to "
        f"{limits[1]:g} and cut off beyond{ending}"
    )


def _gamma_words(gamma: JSON) -> str:
    return f"gamma {gamma:g}" if isinstance(gamma, int | float) and gamma != 1 else ""


def _limits(limits: JSON) -> tuple[float, float] | None:
    if not isinstance(limits, Sequence) or isinstance(limits, str) or len(limits) != 2:
        return None
    low, high = limits
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    return low, high


def _layers(layers: JSON) -> list[Mapping[str, JSON]]:
    if not isinstance(layers, Iterable) or isinstance(layers, str | Mapping):
        return []
    return [layer for layer in layers if isinstance(layer, Mapping)]
