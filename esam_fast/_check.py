"""Every complaint about shapes, dtypes and ranges, worded once: the argument, what came, what was expected."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from esam_fast import _arrays
from esam_fast._arrays import Array
from esam_fast._limits import MAX_DIVIDED_PIXELS, MAX_PLANE_PIXELS

T = TypeVar("T")


def array(name: str, value: object, dtype: DTypeLike, shape: Sequence[int | str | None]) -> NDArray[Any]:
    """`value` as a C-contiguous, aligned array, if it has exactly this dtype and shape.

    A length that is None or a letter may be any. Those called h and w are of a plane that kernels work on, H and W of
    an image or a label map; see `_limits`.
    """
    expected = np.dtype(dtype)
    if not isinstance(value, np.ndarray) or value.dtype != expected:
        came = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{name} must be a NumPy array of {expected}, got {came}")
    _shape(name, value, shape)
    checked = np.ascontiguousarray(value)
    return checked if checked.flags.aligned else checked.copy()


def array_or_tensor(name: str, value: Array, dtype: DTypeLike, shape: Sequence[int | str | None]) -> Array:
    """`array`, or a torch tensor that meets the same demands (uint64 is int64 there)."""
    if not _arrays.is_tensor(value):
        return array(name, value, dtype, shape)
    if not _arrays.has_dtype(value, dtype):
        raise TypeError(f"{name} must be of {np.dtype(dtype)} (words of a tensor: int64), got {value.dtype} tensor")
    if str(value.layout) != "torch.strided":
        raise TypeError(f"{name} must be a dense tensor, got {value.layout}")
    _shape(name, value, shape)
    return value.contiguous()


def finite(name: str, value: object, shape: Sequence[int | str | None]) -> NDArray[np.float32]:
    """A float32 array of this shape without NaN or infinity."""
    checked = array(name, value, np.float32, shape)
    if not np.isfinite(checked).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return checked


def finite_array_or_tensor(name: str, value: Array, shape: Sequence[int | str | None]) -> Array:
    """`finite`, or such a tensor."""
    if not _arrays.is_tensor(value):
        return finite(name, value, shape)
    checked = array_or_tensor(name, value, np.float32, shape)
    if not checked.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or infinity")
    return checked


def instance(name: str, value: object, kind: type[T]) -> T:
    """An object of this class."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name} must be {article} {kind.__name__}, got {type(value).__name__}")
    return value


def choice(name: str, value: object, allowed: Iterable[str]) -> str:
    """One of these words."""
    allowed = tuple(allowed)
    if not (isinstance(value, str) and value in allowed):
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {brief(value)}")
    return value


def flag(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}")
    return bool(value)


def unit_interval(name: str, value: object) -> float:
    """A number in [0, 1]."""
    number = real(name, value)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return number


def finite_real(name: str, value: object) -> float:
    """A finite number."""
    number = real(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def at_least(name: str, value: object, least: float, most: float = math.inf) -> float:
    """A finite number, at least `least` and at most `most`."""
    number = real(name, value)
    if not (number >= least and math.isfinite(number)):
        raise ValueError(f"{name} must be at least {least:g} and finite, got {value!r}")
    if number > most:
        raise ValueError(f"{name} must be at most {most:g}, got {value!r}")
    return number


def real(name: str, value: object) -> float:
    """A number, as float."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that float64 holds, got {brief(value)}") from None


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """A whole number, at least `least` and at most `most`, as Python's int, whose products never wrap."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}") from None
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {brief(number)}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}, got {brief(number)}")
    return number


def plane(name: str, value: Any, most: int = MAX_PLANE_PIXELS) -> tuple[int, int]:
    """The shape (h, w) of a plane of at most so many pixels."""
    try:
        h, w = value
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be two whole numbers, height and width, got {brief(value)}") from None
    h, w = integer(f"{name}[0]", h, 0), integer(f"{name}[1]", w, 0)
    _pixels(name, h, w, most)
    return h, w


def indices(name: str, value: object, least: int, end: int, shape: Sequence[int | str | None]) -> NDArray[np.int64]:
    """An int64 array with values in [least, end)."""
    checked = array(name, value, np.int64, shape)
    if checked.size and (checked.min() < least or checked.max() >= end):
        raise ValueError(f"{name} must lie in [{least}, {end}), got {checked.min()} to {checked.max()}")
    return checked


def rows(name: str, value: object, n: int) -> NDArray[Any]:
    """What picks rows of n: int [M] in [-n, n), or a bool for each row."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        if value.dtype.kind in "iu":
            if value.size and (value.min() < -n or value.max() >= n):
                raise IndexError(f"{name} must lie in [{-n}, {n}), got {value.min()} to {value.max()}")
            return value
        if value.dtype == np.bool_ and len(value) == n:
            return value
    came = f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
    raise TypeError(f"{name} must be an array of whole numbers [M] or of bool [{n}], got {came}")


def _pixels(name: str, h: int, w: int, most: int) -> None:
    if max(h, w, h * w) > most:
        raise ValueError(f"{name} must have at most {most} pixels, got {brief(h)} x {brief(w)}")


def brief(value: object) -> str:
    """A value in a few characters; numbers of thousands of digits by their size."""
    if isinstance(value, int) and value.bit_length() > 1000:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _shape(name: str, value: Array, shape: Sequence[int | str | None]) -> None:
    if value.ndim != len(shape) or any(
        isinstance(want, int) and have != want for have, want in zip(value.shape, shape, strict=True)
    ):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(f"{name} must have shape [{wanted}], got {list(value.shape)}")
    for sides, most in (("hw", MAX_PLANE_PIXELS), ("HW", MAX_DIVIDED_PIXELS)):
        if sides[1] in shape:
            h, w = (value.shape[shape.index(side)] for side in sides)
            _pixels(name, h, w, most)
