"""A paragraph for a paper: how the objects were annotated, as far as the session tells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

import numpy as np

from napari_sam2.session.identity import ImageIdentity
from napari_sam2.session.methods_view import listed, view_sentences
from napari_sam2.session.objects import (
    ELLIPSE,
    LINE,
    PATH,
    POLYGON,
    RECTANGLE,
    Answer,
    AtWork,
    State,
)
from napari_sam2.session.prompts import POSITIVE
from napari_sam2.session.storage.json_values import JSON

CITATIONS = (
    "Ravi, N. et al. SAM 2: Segment Anything in Images and Videos. arXiv:2408.00714 (2024).",
    "The napari-sam2 developers. napari-sam2: SAM 2 annotation for napari, and for scripts.",
)
_SHAPES = {
    RECTANGLE: ("box", "boxes"),
    ELLIPSE: ("ellipse", "ellipses"),
    POLYGON: ("polygon", "polygons"),
    PATH: ("scribble", "scribbles"),
    LINE: ("line", "lines"),
}
_HASH_DIGITS = 12
_PACKAGE_NAMES = {"torch": "PyTorch", "numpy": "NumPy"}
_OURS = "napari-sam2"


def methods_text(
    state: State,
    *,
    image: ImageIdentity,
    models: Iterable[tuple[str, str]] | None = None,
    versions: Mapping[str, str],
    settings: Mapping[str, JSON],
) -> str:
    """Give a paragraph for the methods section, and the works that it cites, ready to paste.

    Only the objects that were kept count. What is not known is not mentioned.

    Parameters
    ----------
    state : State
        The objects.
    image : ImageIdentity
        What was annotated.
    models : iterable of (name, weights hash), optional
        By default those whose answers were kept.
    versions : mapping of str to str
        Of packages, as `snapshot.package_versions` gives them.
    settings : mapping
        What the model was shown; see `methods_view.view_sentences`.
    """
    works = [record.work for record in state.objects.values() if record.work is not None]
    used = models_of(state) if models is None else models
    sentences = [
        _objects_sentence(state, image, versions),
        _models_sentence(used),
        view_sentences(settings),
        _prompts_sentence(works),
        _scores_sentence(state),
        _hand_sentence(state, works),
    ]
    paragraph = " ".join(sentence for sentence in sentences if sentence)
    return "\n\n".join([paragraph, "\n".join(CITATIONS)])


def models_of(state: State) -> tuple[tuple[str, str], ...]:
    """Give name and weights hash of each model whose answers were kept, in order of first use."""
    answers = (
        answer
        for record in state.objects.values()
        if record.work is not None
        for answer in _answers(record.work)
    )
    return tuple(dict.fromkeys((one.model, one.weights_hash) for one in answers if one.model))


def _objects_sentence(state: State, image: ImageIdentity, versions: Mapping[str, str]) -> str:
    count = _count(len(state.objects), "object")
    was = "was" if len(state.objects) == 1 else "were"
    size = " x ".join(str(n) for n in image.shape)
    ours = f"{_OURS} {versions[_OURS]}" if _OURS in versions else _OURS
    others = [
        f"{_PACKAGE_NAMES.get(name, name)} {version}"
        for name, version in versions.items()
        if name != _OURS
    ]
    environment = f" ({', '.join(others)})" if others else ""
    return (
        f'{count} {was} annotated in the image "{image.name}" ({size}, {image.dtype}) with '
        f"{ours}{environment}."
    )


def _models_sentence(models: Iterable[tuple[str, str]]) -> str:
    told = [
        f"{name} (weights {weights_hash[:_HASH_DIGITS]})" if weights_hash else name
        for name, weights_hash in models
    ]
    if not told:
        return ""
    noun = "model" if len(told) == 1 else "models"
    return (
        "Masks were predicted from interactive prompts by the Segment Anything Model 2 (SAM 2; "
        f"Ravi et al., 2024), {noun} {listed(told)}."
    )


def _prompts_sentence(works: Sequence[AtWork]) -> str:
    points = Counter(point.polarity == POSITIVE for work in works for point in work.prompts.points)
    shapes = Counter(
        (shape.kind, shape.polarity == POSITIVE) for work in works for shape in work.prompts.shapes
    )
    kinds = []
    if points:
        kinds.append(f"{_count(points.total(), 'point')} {_polarities(points)}")
    for kind in dict.fromkeys(kind for kind, _ in shapes):
        of_kind = Counter({sign: shapes[kind, sign] for sign in (True, False)})
        one, many = _SHAPES.get(kind, (kind, f"{kind}s"))
        negative = f" {_polarities(of_kind)}" if of_kind[False] else ""
        kinds.append(f"{_count(of_kind.total(), one, many)}{negative}")
    if not kinds:
        return ""
    prompted = [work for work in works if work.prompts]
    mean = fmean(_corrections(work) for work in prompted)
    return (
        f"The prompts were {listed(kinds)}; after the first prompt on a plane, "
        f"{mean:.1f} further prompts per object corrected the mask on average."
    )


def _scores_sentence(state: State) -> str:
    scores = [one.score for one in state.objects.values() if not math.isnan(one.score)]
    if not scores:
        return ""
    if len(scores) == 1:
        return f"The IoU that the model predicted was {scores[0]:.2f}."
    return (
        f"The mean IoU that the model predicted was {fmean(scores):.2f} (range {min(scores):.2f} "
        f"to {max(scores):.2f}; {len(scores)} objects)."
    )


def _hand_sentence(state: State, works: Sequence[AtWork]) -> str:
    brushed = sum(
        any(plane.added or plane.removed for plane in work.planes.values()) for work in works
    )
    unpredicted = sum(math.isnan(record.score) for record in state.objects.values())
    sentences = []
    if brushed:
        was = "was" if brushed == 1 else "were"
        sentences.append(f"{_count(brushed, 'mask')} {was} corrected with a brush.")
    if unpredicted:
        was = "was" if unpredicted == 1 else "were"
        sentences.append(
            f"{_count(unpredicted, 'object')} {was} drawn by hand or imported, not predicted."
        )
    return " ".join(sentences)


def _corrections(work: AtWork) -> int:
    """Give the number of prompts after the first one on each plane."""
    positions = [point.position for point in work.prompts.points]
    positions += [shape.vertices[0] for shape in work.prompts.shapes if shape.vertices]
    hidden = next((plane.hidden_axes for plane in work.planes), ())
    planes = {tuple(np.round([position[axis] for axis in hidden])) for position in positions}
    return len(positions) - len(planes)


def _answers(work: AtWork) -> Iterator[Answer]:
    return (plane.answer for plane in work.planes.values() if plane.answer is not None)


def _polarities(counts: Counter[bool]) -> str:
    return f"({counts[True]} positive, {counts[False]} negative)"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
