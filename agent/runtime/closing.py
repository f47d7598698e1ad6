"""Closes probes without waiting for a driver that hangs."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Collection

    from probes.model import Probe
    from probes.registry import Discovery

CLOSE_SECONDS = 2.0

log = get_logger("closing")


def close_probes(discovery: Discovery, within_seconds: float = CLOSE_SECONDS, hanging: Collection[Probe] = ()) -> None:
    """Close every probe that is not among `hanging`, and return after `within_seconds` at the latest.

    A driver in which one probe hangs may not release the others either.
    """

    def close() -> None:
        for probe in discovery.probes:
            if probe not in hanging:
                try:
                    probe.close()
                except Exception:  # the edge of a thread: the other probes are closed all the same
                    log.exception("probe not closed", probe=probe.name)

    thread = threading.Thread(target=close, name="close", daemon=True)
    thread.start()
    thread.join(within_seconds)
