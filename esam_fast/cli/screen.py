"""What ``segment`` prints while it works: lines, a bar, and the count of what failed."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esam_fast._files import printable
from esam_fast.cli import run

if TYPE_CHECKING:
    from esam_fast.runs.manifest import Entry


class Screen:
    """Lines on stdout and stderr, above a bar if there is one.

    Args:
        out: the run's folder.
        jsonl: print an image as JSON. quiet: tell errors only.

    Attributes:
        done, skipped, failed: images that are done now, that were done before, and that failed, with inputs that
            yielded none.
    """

    def __init__(self, out: Path, *, jsonl: bool, quiet: bool) -> None:
        self._out, self._jsonl, self._quiet, self._bar = out, jsonl, quiet, None
        self.done = self.skipped = self.failed = 0

    @property
    def total(self) -> int:
        return self.done + self.skipped + self.failed

    def start_bar(self, count: Callable[[], int | None]) -> None:
        """Show a bar; how many images there are is found out beside the work."""
        from tqdm import tqdm

        bar: Any = tqdm(unit="image", disable=self._quiet)

        def find_out() -> None:
            bar.total = count()

        if not self._quiet:
            threading.Thread(target=find_out, daemon=True).start()
        self._bar = bar

    def image(self, entry: Entry, *, skipped: bool = False) -> None:
        """An image is done, was done before, or failed."""
        from esam_fast._errors import named

        if self._bar is not None:
            self._bar.update()
        if self._jsonl:
            self._write(json.dumps({**entry, "skipped": skipped}), sys.stdout)
        if "error" in entry:
            self.fail(named(entry["path"], entry["error"]))
        elif skipped:
            self.skipped += 1
        else:
            self.done += 1
            if not self._jsonl and not self._quiet:
                self._write(printable(self._line(entry)), sys.stdout)

    def fail(self, line: str) -> None:
        self.failed += 1
        self._write(printable(f"Error: {line}"), sys.stderr)

    def note(self, line: str) -> None:
        self.plain(f"Note: {line}")

    def plain(self, line: str) -> None:
        if not self._quiet:
            self._write(printable(line), sys.stderr)

    def warn(self, line: str) -> None:
        self.plain(f"Warning: {line}")

    def close(self) -> None:
        """The end of the bar."""
        if self._bar is not None:
            self._bar.total = max(self._bar.total or 0, self._bar.n)  # of a run that was stopped, the rest is seen
            self._bar.close()
            self._bar = None

    def _line(self, entry: Entry) -> str:
        count = entry["entities"]
        noun = "entity" if count == 1 else "entities"
        paths = [path for paths in entry["outputs"].values() for path in paths]
        shown = next((path for path in paths if path.endswith(run.OVERLAY)), paths[0] if paths else "")
        return (
            f"{entry['path']}: {count} {noun}, {entry['covered']:.1%} covered, {entry['seconds']:.2f} s "
            f"-> {os.path.join(self._out, shown)}"
        )

    def _write(self, line: str, file: Any) -> None:
        if self._bar is not None:
            self._bar.write(line, file=file)
        else:
            print(line, file=file, flush=True)
