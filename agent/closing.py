"""Closes the probes of a command without waiting for a driver that hangs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probes.registry import Discovery

_CLOSE_SECONDS = 2.0


def close_probes(discovery: Discovery, within_seconds: float = _CLOSE_SECONDS) -> None:
    """Close every probe, and return after `within_seconds` at the latest."""
    closing = threading.Thread(target=discovery.close, name="close", daemon=True)
    closing.start()
    closing.join(within_seconds)
