"""Tries the configured meters again that did not answer at the start, so that the service reads them once they do."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from agent.runtime.logs import get_logger
from probes.deadline import Call
from probes.meters.device import id_of
from probes.registry import answering_meters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.config import Config
    from probes.model import Channel

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 600.0
"""The times between two attempts: 1, 2, 4 ... minutes, at most 10, because a BMC locks a user after some attempts."""

log = get_logger("daemon")


class AbsentMeters:
    """The configured meters without a probe. An attempt runs in its own thread, as a meter may answer late or never."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ids: frozenset[str] = frozenset()
        self._try: Callable[[], tuple[str, ...]] = tuple
        self._attempt: Call[tuple[str, ...]] | None = None
        self._wait_seconds = FIRST_SECONDS
        self._next = 0.0

    def watch(self, config: Config, channels: Iterable[Channel]) -> None:
        """Take the meters of a configuration that `channels` lack; the waits stay if they are those of the last start.

        Meters without an address are cards of this host, which a reload finds.
        """
        present = {channel.device.id for channel in channels}
        absent = tuple(meter for meter in config.sensors.meters if meter.url and id_of(meter) not in present)
        ids = frozenset(map(id_of, absent))
        if ids != self._ids:
            self._wait_seconds = FIRST_SECONDS
        self._ids, self._attempt = ids, None
        self._try = partial(answering_meters, config.roots, replace(config.sensors, meters=absent))
        self._next = self._clock() + self._wait_seconds

    def answer(self) -> bool:
        """Return whether one of them has answered, and log it; begin an attempt if it is time. Does not wait."""
        if self._attempt and self._attempt.has_ended:
            found, self._attempt = self._attempt.result(0), None
            for name in found:
                log.info("a meter answers: a new discovery begins", meter=name)
            return bool(found)
        if self._ids and not self._attempt and self._clock() >= self._next:
            self._wait_seconds = min(2 * self._wait_seconds, LONGEST_SECONDS)
            self._next = self._clock() + self._wait_seconds
            self._attempt = Call(self._try, "absent-meters")
        return False
