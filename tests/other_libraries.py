"""Libraries that users pass results to, and that no extra brings. With ESAM_EXPECT_RECIPES=1 they must be here."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import pytest


def library(name: str) -> Any:
    """The module; where it is not here the test is skipped, or fails if it is expected."""
    return import_module(name) if os.environ.get("ESAM_EXPECT_RECIPES") == "1" else pytest.importorskip(name)
