"""Fields of entries that strangers wrote: what is one thing becomes one value, what cannot be told is refused."""

from __future__ import annotations

import math
import re
import reprlib
from typing import Any

Id = int | str

_LARGEST = (1 << 63) - 1
_DIGITS = re.compile(r"-?[0-9]{1,18}")

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 60


def brief(value: Any) -> str:
    """A value as a message shows it, shortened."""
    return _short.repr(value)


def records(value: Any, name: str) -> list[dict[str, Any]]:
    """A list of JSON objects."""
    if not isinstance(value, list):
        raise ValueError(f"{name}: expected a list of entries, got {brief(value)}")
    for i, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise ValueError(f"{name}: expected entries with named fields, got {brief(entry)} as number {i + 1}")
    return value


def field(entry: dict[str, Any], key: str, name: str) -> Any:
    """The value of a field that must be there."""
    if key not in entry:
        raise ValueError(f"{name}: expected the key {key!r}, got {', '.join(map(str, entry)) or 'none'}")
    return entry[key]


def identity(value: Any, name: str) -> Id:
    """An id: a whole number, also as 7.0, or a text."""
    if isinstance(value, str) and value.strip():
        return value
    number = _whole(value)
    if number is None:
        raise ValueError(f"{name}: expected a whole number or a text as id, got {brief(value)}")
    return number


def match_key(value: Id) -> Id:
    """What two ids have in common if they mean the same: 7, "7" and "007" do."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value


def in_order(value: Id) -> tuple[bool, Id]:
    """Sorts ids: numbers first, then texts."""
    return isinstance(value, str), value


def integer(value: Any, name: str, least: int) -> int:
    """A whole number, also as 7.0, at least `least`."""
    number = _whole(value)
    if number is None or number < least:
        raise ValueError(f"{name}: expected a whole number of at least {least}, got {brief(value)}")
    return number


def number(value: Any, name: str) -> float:
    """A finite number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
        if math.isfinite(found):
            return found
    raise ValueError(f"{name}: expected a finite number, got {brief(value)}")


def flag(value: Any, name: str) -> bool:
    """Yes or no: 1 or 0, true or false, also as texts; null is no."""
    found = _FLAGS.get(value.lower() if isinstance(value, str) else value) if _is_plain(value) else None
    if found is None:
        raise ValueError(f"{name}: expected 0 or 1, got {brief(value)}")
    return found


_FLAGS: dict[Any, bool] = {0: False, 1: True, None: False, "0": False, "1": True, "false": False, "true": True}


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if isinstance(value, float) and not value.is_integer():  # nor are infinity and NaN
        return None
    return int(value) if abs(value) <= _LARGEST else None
