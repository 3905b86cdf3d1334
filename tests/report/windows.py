"""The window of a browser under test."""

from __future__ import annotations

from typing import Any


def resize(chromium: Any, width: int, height: int, *, phone: bool = False) -> None:
    """So many pixels; as a phone's, touched and not pointed at."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chromium.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": phone})
