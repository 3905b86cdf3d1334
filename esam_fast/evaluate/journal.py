"""Work on disk as it is done: a run that was killed goes on where it was, and takes no other's work for its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from esam_fast import _files


class JournalError(ValueError):
    """A journal of another run, in use, damaged, or no journal at all; the message says what to do."""


class Journal:
    """A file of JSON lines: what the run is, then one line for each piece of work; one process writes it at a time.

    Args:
        path: made if missing; None keeps everything in memory. A last line that was cut short is dropped.
        header: what the run is; a file of another run is refused.
        work: what is kept, and option: what names the file on the command line, both for messages.

    Raises:
        JournalError: the file belongs to another run, is being written, or is damaged. OSError: it cannot be read or
            written.
    """

    def __init__(
        self, path: Path | None, header: dict[str, Any], *, work: str = "predictions", option: str = "--json"
    ) -> None:
        self._path, self._work, self._option = path, work, option
        self._done: dict[str, tuple[Any, Any]] = {}
        self._file = None
        if path is None:
            return
        try:
            self._file = _files.locked(path)
        except _files.Busy as error:
            raise JournalError(f"{path}: another run is writing it; wait for it, or choose another {option}") from error
        try:
            self._read(json.loads(json.dumps(header)))
        except BaseException:
            self._file.close()
            raise

    def find(self, key: str, source: Any) -> Any | None:
        """What this piece of work gave, if it is done and was made of the same source; else None."""
        made_of, value = self._done.get(key, (None, None))
        return value if made_of == source else None

    def add(self, key: str, source: Any, value: Any) -> None:
        """Write down one piece of work; it is on its way to the disk when this returns.

        Args:
            key: of the work. source: what it was made of, as JSON. value: what it gave, as JSON.
        """
        self._write({"key": key, "source": source, "value": value})
        self._done[key] = source, value

    def close(self) -> None:
        """Let others write the file."""
        if self._file is not None:
            self._file.close()

    def damaged(self, reason: str) -> JournalError:
        """The error for content that cannot be what a run wrote."""
        return JournalError(f"{self._path}: damaged: {reason}; remove it, or choose another {self._option}")

    def _read(self, header: dict[str, Any]) -> None:
        assert self._file is not None
        size = self._file.seek(0, os.SEEK_END)
        if size > _files.MAX_JSON_BYTES:
            raise self.damaged(f"expected at most {_files.MAX_JSON_BYTES} bytes, got {size}")
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].splitlines()
        self._file.truncate(whole)  # and on from there: it was opened to append
        if not lines:
            self._write(header)
            return
        entries = [self._entry(number, line) for number, line in enumerate(lines, start=1)]
        if entries[0] != header:
            names = sorted(k for k in entries[0].keys() | header.keys() if entries[0].get(k) != header.get(k))
            raise JournalError(
                f"{self._path}: holds the {self._work} of another run (other {', '.join(names)}); "
                f"remove it, or choose another {self._option}"
            )
        for number, entry in enumerate(entries[1:], start=2):
            if set(entry) != {"key", "source", "value"} or not isinstance(entry["key"], str):
                raise self.damaged(f"line {number} holds no piece of work")
            self._done[entry["key"]] = entry["source"], entry["value"]

    def _entry(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            entry = _files.parse_json(line)
        except ValueError as error:
            entry = error
        if isinstance(entry, dict):
            return entry
        if number == 1:
            raise JournalError(f"{self._path}: not a journal of {self._work}; choose another {self._option}")
        raise self.damaged(f"line {number} is no entry")

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(entry, allow_nan=False).encode() + b"\n")
            self._file.flush()
