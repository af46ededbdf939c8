"""What an evaluation tells: one table for people, and the same figures for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sam2.training.evaluate_classical import ClassicalScore, at_their_best
from napari_sam2.training.protocols import PROTOCOLS
from napari_sam2.training.scores import Figures, Score, figures_of

_S = TypeVar("_S", Score, ClassicalScore)


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Attributes
    ----------
    model : str
        Its name.
    facts : mapping
        What else must be known to repeat it, for the line above the table.
    folders : mapping
        The kinds of pictures in each folder of pictures.
    scores : sequence of Score
        Of the model.
    classical : sequence of ClassicalScore
        Of classical methods at all their settings; may be empty.
    """

    model: str
    facts: Mapping[str, str]
    folders: Mapping[str, Sequence[str]]
    scores: Sequence[Score]
    classical: Sequence[ClassicalScore] = ()


@dataclass(frozen=True)
class _Column:
    title: str
    kinds: frozenset[str]
    each_kind_alike: bool = False

    def of(self, scores: Sequence[_S], protocol: str) -> list[_S]:
        return [s for s in scores if s.kind in self.kinds and s.protocol == protocol]

    def weights(self, scores: Sequence[_S]) -> NDArray[np.float64]:
        """Give how much each of scores under one protocol counts."""
        if not self.each_kind_alike:
            return np.array([score.weight for score in scores])
        counts = Counter(score.kind for score in scores)
        return np.array([1 / counts[score.kind] for score in scores])


def to_markdown(evaluation: Evaluation) -> str:
    """Lay the figures out: a block of rows for each protocol, a column for each kind.

    Where classical methods were scored, the best mean of a column is bold.
    """
    columns = _columns(evaluation)
    best = at_their_best(evaluation.classical)
    head = ["prompt", "mean IoU, and more", *(column.title for column in columns)]
    rows = [head, ["---", "---", *["---:"] * len(columns)], _counts(evaluation, columns)]
    for protocol in PROTOCOLS:
        rows += _block(evaluation, best, protocol, columns)
    facts = "; ".join(f"{name}: {value}" for name, value in evaluation.facts.items())
    return "\n".join([facts, "", *(f"| {' | '.join(row)} |" for row in rows)])


def to_figures(evaluation: Evaluation) -> dict[str, Any]:
    """Give the figures as JSON can hold them: {column: {protocol: {...}}}."""
    best = at_their_best(evaluation.classical)
    figures: dict[str, Any] = {}
    for column in _columns(evaluation):
        for protocol in PROTOCOLS:
            cell: dict[str, Any] = asdict(_figures(evaluation, column, protocol))
            cell["quartiles"] = list(cell["quartiles"])
            cell["classical"] = _classical_means(best, column, protocol)
            figures.setdefault(column.title, {})[protocol] = cell
    return {"model": evaluation.model, **evaluation.facts, "figures": figures}


def _columns(evaluation: Evaluation) -> list[_Column]:
    kinds = list(dict.fromkeys(score.kind for score in evaluation.scores))
    columns = [_Column(kind, frozenset([kind])) for kind in kinds]
    for folder, inside in evaluation.folders.items():
        scored = frozenset(inside) & set(kinds)
        if len(scored) > 1:
            columns.append(_Column(f"all {folder}", scored))
    if len(kinds) > 1:
        columns.append(_Column("mean of kinds", frozenset(kinds), each_kind_alike=True))
    return columns


def _counts(evaluation: Evaluation, columns: Sequence[_Column]) -> list[str]:
    cells = []
    for column in columns:
        scores = column.of(evaluation.scores, PROTOCOLS[0])
        there = round(sum(score.weight for score in scores))
        sampled = "" if there == len(scores) else f" of {there}"
        cells.append(f"{len(scores)}{sampled}")
    return ["", "objects", *cells]


def _block(
    evaluation: Evaluation,
    best: Sequence[ClassicalScore],
    protocol: str,
    columns: Sequence[_Column],
) -> Iterator[list[str]]:
    figures = [_figures(evaluation, column, protocol) for column in columns]
    means = [_classical_means(best, column, protocol) for column in columns]
    top = [max([f.mean, *others.values()]) for f, others in zip(figures, means, strict=True)]

    def told(values: Sequence[float]) -> list[str]:
        pairs = zip(values, top, strict=True)
        return [f"**{v:.3f}**" if means[0] and v == t else f"{v:.3f}" for v, t in pairs]

    yield [protocol, f"**{evaluation.model}**", *told([f.mean for f in figures])]
    yield ["", "quartiles", *(" ".join(f"{q:.2f}" for q in f.quartiles) for f in figures)]
    yield ["", "best candidate", *(f"{f.best:.3f}" for f in figures)]
    yield ["", "calibration error", *(f"{f.calibration_error:.3f}" for f in figures)]
    for method in means[0]:
        yield ["", method, *told([of_column[method] for of_column in means])]


def _figures(evaluation: Evaluation, column: _Column, protocol: str) -> Figures:
    scores = column.of(evaluation.scores, protocol)
    return figures_of(scores, column.weights(scores))


def _classical_means(
    best: Sequence[ClassicalScore], column: _Column, protocol: str
) -> dict[str, float]:
    by_method: dict[str, list[ClassicalScore]] = {}
    for score in column.of(best, protocol):
        by_method.setdefault(score.method, []).append(score)
    return {
        method: float(np.average([s.iou for s in scores], weights=column.weights(scores)))
        for method, scores in by_method.items()
    }
