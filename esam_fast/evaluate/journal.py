"""Predictions on disk as they come, so that a run that was killed goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class JournalError(ValueError):
    """A journal of another run, or no journal at all; the message says what to do."""


class Journal:
    """A file of JSON lines: what the run is, then one line for each piece of work done.

    Args:
        path: made if missing. A last line that was cut short is dropped.
        header: what the run is; a file of another run is refused.

    Attributes:
        done: what each finished piece of work gave, by its key.

    Raises:
        JournalError: the file belongs to another run. OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.done: dict[str, Any] = {}
        header = json.loads(json.dumps(header))
        content = path.read_bytes() if path.exists() else b""
        lines = content[: content.rfind(b"\n") + 1].splitlines()
        if lines:
            try:
                first, *rest = (json.loads(line) for line in lines)
                self.done = {entry["key"]: entry["value"] for entry in rest}
            except (ValueError, KeyError, TypeError) as error:
                raise JournalError(f"{path}: not a journal of predictions; choose another --json") from error
            if first != header:
                names = sorted(k for k in first.keys() | header.keys() if first.get(k) != header.get(k))
                raise JournalError(
                    f"{path}: holds the predictions of another run (other {', '.join(names)}); "
                    f"remove it, or choose another --json"
                )
        self._file = path.open("r+b" if path.exists() else "w+b")
        self._file.truncate(sum(len(line) + 1 for line in lines))
        self._file.seek(0, 2)
        if not lines:
            self._write(header)

    def add(self, key: str, value: Any) -> None:
        """Write down one piece of work; it is on its way to the disk when this returns."""
        self._write({"key": key, "value": value})
        self.done[key] = value

    def close(self) -> None:
        self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
        self._file.flush()
