"""Reading JSON that nobody vouches for: each value has the type that is wanted, or is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
T = TypeVar("T")
D = TypeVar("D")


class MalformedError(ValueError):
    """A value is not what it should be: which one, what was wanted, what came."""


class Fields:
    """The members of one JSON object. Unknown ones are nobody's business: a later version's.

    Parameters
    ----------
    value : object
        What should be a JSON object.
    where : str
        Its place, for people: "objects[3]".
    """

    def __init__(self, value: object, where: str) -> None:
        self._members = as_mapping(value, where)
        self._where = where

    def get(self, name: str, read: Callable[[object, str], T]) -> T:
        """Give a member, read by `read(value, where)`; `MalformedError` if it is not there."""
        if name not in self._members:
            raise MalformedError(f"{self._place(name)} is missing")
        return read(self._members[name], self._place(name))

    def get_or(self, name: str, default: D, read: Callable[[object, str], T]) -> T | D:
        """Give a member, or `default` where it is missing."""
        return self.get(name, read) if name in self._members else default

    def _place(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name


def parse(text: bytes) -> object:
    """Read a JSON text.

    Raises
    ------
    MalformedError
        If it is none, or nested too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"its JSON cannot be read ({error})") from error


def dump(value: JSON) -> bytes:
    """Write a JSON text."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def as_mapping(value: object, where: str) -> dict[str, Any]:
    """Take a JSON object."""
    if not isinstance(value, dict):
        raise _unfit(where, "an object", value)
    return value


def as_text(value: object, where: str) -> str:
    """Take a string."""
    if not isinstance(value, str):
        raise _unfit(where, "a text", value)
    return value


def as_integer(value: object, where: str) -> int:
    """Take a whole number; true and false are none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise _unfit(where, "a whole number", value)
    return value


def as_size(value: object, where: str) -> int:
    """Take a whole number that is not negative."""
    number = as_integer(value, where)
    if number < 0:
        raise _unfit(where, "a whole number from 0", value)
    return number


def as_number(value: object, where: str) -> float:
    """Take a number, or what `number` writes for one that is not finite."""
    if value in ("nan", "inf", "-inf"):
        return float(str(value))
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _unfit(where, "a number", value)
    try:
        return float(value)
    except OverflowError as error:
        raise _unfit(where, "a number", value) from error


def number(value: float) -> JSON:
    """Give what stands for a number in JSON, which knows neither NaN nor infinity."""
    value = float(value)
    return value if math.isfinite(value) else str(value)


def tuple_of(
    read: Callable[[object, str], T], length: int | None = None
) -> Callable[[object, str], tuple[T, ...]]:
    """Give a reader of arrays: of that many items, or of any number."""

    def read_items(value: object, where: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise _unfit(where, "an array", value)
        if length is not None and len(value) != length:
            raise MalformedError(f"{where} must have {length} items, got {len(value)}")
        return tuple(read(item, f"{where}[{i}]") for i, item in enumerate(value))

    return read_items


def optional(read: Callable[[object, str], T]) -> Callable[[object, str], T | None]:
    """Give a reader that takes null as well."""
    return lambda value, where: None if value is None else read(value, where)


def plain(value: object) -> JSON:
    """Give a value as JSON has it: tuples and arrays as arrays, numpy's numbers as numbers.

    Raises
    ------
    TypeError
        If JSON has nothing like it.
    """
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return plain(value.tolist())
    raise TypeError(f"A setting must be what JSON can hold, got {value!r}.")


def _unfit(where: str, wanted: str, value: object) -> MalformedError:
    came = repr(value)
    return MalformedError(
        f"{where} must be {wanted}, got {came if len(came) <= 40 else came[:37] + '...'}"
    )
