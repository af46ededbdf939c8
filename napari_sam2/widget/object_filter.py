"""What is typed above the table, such as "class:nucleus score<0.8", as a question to a record."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from napari_sam2.session.objects import ObjectRecord

Accept = Callable[[ObjectRecord], bool]

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_NUMBERS: dict[str, Callable[[ObjectRecord], float]] = {
    "id": lambda record: record.object_id,
    "score": lambda record: record.score,
    "area": lambda record: record.area,
}
_TEXTS: dict[str, Callable[[ObjectRecord], str]] = {
    "class": lambda record: record.class_name,
    "name": lambda record: record.name,
}
_COMPARISON = re.compile(rf"({'|'.join(_NUMBERS)})({'|'.join(_COMPARE)})(\d*\.?\d+)", re.IGNORECASE)
_TERM = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


def accepting(text: str) -> Accept:
    """Read a filter: every term must hold.

    Parameters
    ----------
    text : str
        Terms with spaces between them: "score<0.8", "area>=100", "id=7", "class:nucleus",
        "name:left", or a part of the name, of the class or of the number. Quotes hold a term
        with spaces together: class:"red cell". Upper and lower case are alike.
    """
    terms = [_term(term.replace('"', "").casefold()) for term in _TERM.findall(text)]
    return lambda record: all(accept(record) for accept in terms)


def _term(term: str) -> Accept:
    comparison = _COMPARISON.fullmatch(term)
    if comparison is not None:
        field, sign, number = comparison.groups()
        return _comparison(field, sign, number)
    field, colon, part = term.partition(":")
    if colon and field in _TEXTS:
        return lambda record: part in _TEXTS[field](record).casefold()
    return lambda record: _has(record, term)


def _comparison(field: str, sign: str, number: str) -> Accept:
    value, compare, limit = _NUMBERS[field], _COMPARE[sign], float(number)
    return lambda record: compare(value(record), limit)


def _has(record: ObjectRecord, part: str) -> bool:
    texts = (str(record.object_id), record.name.casefold(), record.class_name.casefold())
    return any(part in text for text in texts)
