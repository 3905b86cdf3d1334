"""The one error of image files, and what becomes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from esam_fast.images.headers import Refused


class ImageError(ValueError):
    """A file that is not an image this library can read; the message names the file and the reason."""


@contextmanager
def named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let whatever goes wrong while a file is opened and decoded become an ImageError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except MemoryError:
        raise ImageError(f"{path}: cannot be read: it needs more memory than there is") from None
    except (ImageError, Refused) as error:
        raise error if isinstance(error, ImageError) else ImageError(f"{path}: {error}") from None
    except Exception as error:  # on damaged files, decoders raise whatever they tripped over
        raise ImageError(f"{path}: cannot be read: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """One line for a decoder's complaint."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().split("\n")[0] or type(error).__name__
