"""Libraries that some environments lack: what needs them is skipped there, or fails where they are expected."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

import pytest


def library(name: str, expected: str) -> Any:
    """The module `name`; with the environment variable `expected` at 1 its absence is a failure."""
    if os.environ.get(expected) != "1":
        return pytest.importorskip(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's imports
        return import_module(name)
