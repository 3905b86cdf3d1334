"""An error in one line, for a journal, a manifest and a terminal."""

from __future__ import annotations

from esam_fast._backend import BackendUnavailable


def reason(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "out of memory"
    text = " ".join(str(error).split())
    if isinstance(error, (ValueError, ImportError, BackendUnavailable)) and text:
        return text
    return f"{type(error).__name__}: {text}"


def named(path: str, error: str) -> str:
    """What an error says of a file, with its name."""
    return error if path in error else f"{path}: {error}"
