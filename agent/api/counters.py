"""Serves the latest reading of every sensor, with all that its energy needs, to a run on another host."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING

from agent.sampling.probe_reader import overdue_ns
from agent.sampling.remote.records import Counters, RejectionCount, RemoteTick, ServedProbe, encode
from probes.model import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.sampling.probe_reader import ProbeHealth
    from probes.model import Channel
    from store.records import Host, Layout


class CounterView:
    """The probes of one recording of `host`; `uncovered` are stand-ins for devices without a readable sensor.

    `states` have the latest tick of each layout's probe, `now_ns` is the Unix time on the clock of the ticks.
    """

    def __init__(
        self,
        host: Host,
        layouts: Sequence[Layout],
        states: Sequence[ProbeHealth],
        uncovered: Sequence[Channel],
        now_ns: Callable[[], int],
    ) -> None:
        self._host = host
        self._probes = tuple(zip(layouts, states, strict=True))
        self._uncovered = tuple(uncovered)
        self._now_ns = now_ns
        self._session = secrets.token_hex(8)

    def encoded(self) -> bytes:
        """Return the page as JSON; it reads neither disk nor sensor."""
        return encode(self.counters())

    def counters(self) -> Counters:
        """Return the latest ticks, and the time at which they were taken from memory."""
        now_ns = self._now_ns()
        probes = tuple(_served(layout, state, now_ns) for layout, state in self._probes)
        return Counters(self._session, now_ns, self._host, probes, self._uncovered)


def _served(layout: Layout, state: ProbeHealth, now_ns: int) -> ServedProbe:
    tick, reason = state.latest, state.reason
    if tick is None or state.lost or now_ns - tick.end_ns > overdue_ns(state.period_seconds):
        reason = reason or "it has no fresh value"
    values = tuple(None if math.isnan(value) else value for value in tick.values) if tick else ()
    served = RemoteTick(tick.start_ns, tick.end_ns, values) if tick else None
    rejected = tuple(
        RejectionCount(position, Reason(why), count) for (position, why), count in state.rejected.copy().items()
    )
    return ServedProbe(layout.probe, state.period_seconds, layout.channels, served, reason, rejected)
