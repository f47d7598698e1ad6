"""Closes the probes of a command without waiting for a driver that hangs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger

if TYPE_CHECKING:
    from probes.registry import Discovery

_CLOSE_SECONDS = 2.0

log = get_logger("closing")


def close_probes(discovery: Discovery, within_seconds: float = _CLOSE_SECONDS) -> None:
    """Close every probe, and return after `within_seconds` at the latest."""

    def close() -> None:
        try:
            discovery.close()
        except Exception:  # the edge of a thread: the command has its result already
            log.exception("probe not closed")

    closing = threading.Thread(target=close, name="close", daemon=True)
    closing.start()
    closing.join(within_seconds)
