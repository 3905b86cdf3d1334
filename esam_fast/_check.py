"""Every complaint about shapes, dtypes and ranges, worded once: the argument, what came, what was expected."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esam_fast import _arrays

T = TypeVar("T")


def array(name: str, value: Any, dtype: DTypeLike, shape: Sequence[int | str | None]) -> NDArray[Any]:
    """`value` as a C-contiguous array, if it has exactly this dtype and shape (None or a letter: any length)."""
    expected = np.dtype(dtype)
    if not isinstance(value, np.ndarray) or value.dtype != expected:
        came = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be a NumPy array of {expected}, got {came}")
    _shape(name, value, shape)
    return np.ascontiguousarray(value)


def either(name: str, value: Any, dtype: DTypeLike, shape: Sequence[int | str | None]) -> Any:
    """`array`, or a torch tensor that meets the same demands (uint64 is int64 there)."""
    if not _arrays.is_tensor(value):
        return array(name, value, dtype, shape)
    if not _arrays.has_dtype(value, dtype):
        raise TypeError(f"{name} must be of {np.dtype(dtype)} (words of a tensor: int64), got {value.dtype} tensor")
    _shape(name, value, shape)
    return value.contiguous()


def finite(name: str, value: Any, shape: Sequence[int | str | None]) -> NDArray[np.float32]:
    """A float32 array of this shape without NaN or infinity."""
    checked = array(name, value, np.float32, shape)
    if not np.isfinite(checked).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return checked


def finite_either(name: str, value: Any, shape: Sequence[int | str | None]) -> Any:
    """`finite`, or such a tensor."""
    if not _arrays.is_tensor(value):
        return finite(name, value, shape)
    checked = either(name, value, np.float32, shape)
    if not checked.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return checked


def instance(name: str, value: Any, kind: type[T]) -> T:
    """An object of this class."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name} must be {article} {kind.__name__}, got {type(value).__name__}")
    return value


def choice(name: str, value: Any, allowed: Iterable[str]) -> str:
    """One of these words."""
    allowed = tuple(allowed)
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}")
    return bool(value)


def unit(name: str, value: Any) -> float:
    """A number in [0, 1]."""
    number = real(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return number


def finite_real(name: str, value: Any) -> float:
    """A finite number."""
    number = real(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def at_least(name: str, value: Any, least: float) -> float:
    """A finite number, at least `least`."""
    number = real(name, value)
    if not (number >= least and math.isfinite(number)):
        raise ValueError(f"{name} must be at least {least:g} and finite, got {value!r}")
    return number


def real(name: str, value: Any) -> float:
    """A number, as float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    return float(value)


def integer(name: str, value: Any, least: int) -> int:
    """A whole number, at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(value)


def indices(name: str, value: Any, least: int, end: int, shape: Sequence[int | str | None]) -> NDArray[np.int64]:
    """An int64 array with values in [least, end)."""
    checked = array(name, value, np.int64, shape)
    if checked.size and (checked.min() < least or checked.max() >= end):
        raise ValueError(f"{name} must lie in [{least}, {end}), got {checked.min()} to {checked.max()}")
    return checked


def _shape(name: str, value: Any, shape: Sequence[int | str | None]) -> None:
    if value.ndim != len(shape) or any(
        isinstance(want, int) and have != want for have, want in zip(value.shape, shape, strict=True)
    ):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape [{wanted}], got {list(value.shape)}")
