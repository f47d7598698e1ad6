"""The answer of `/api/v1/counters`: the latest reading of every sensor, with the properties of its channels."""

from __future__ import annotations

import msgspec

# Decoding needs these at run time.
from probes.model import Channel, Reason  # noqa: TC001
from store.records import Host  # noqa: TC001

PATH = "/api/v1/counters"
MAX_BYTES = 8 << 20
"""The largest answer: about ten thousand channels."""


class RemoteTick(msgspec.Struct, frozen=True):
    """One read of a probe, in Unix nanoseconds of the service's clock; None for a channel without a value."""

    start_ns: int
    end_ns: int
    values: tuple[float | None, ...]


class RejectionCount(msgspec.Struct, frozen=True):
    """The number of rejected readings of a channel since the start of the session, by its position in the probe."""

    channel: int
    reason: Reason
    count: int


class ServedProbe(msgspec.Struct, frozen=True):
    """One probe of the service: its channels, its period, its latest tick, and the reason if it has none now."""

    name: str
    period_seconds: float
    channels: tuple[Channel, ...]
    tick: RemoteTick | None = None
    reason: str = ""
    rejected: tuple[RejectionCount, ...] = ()


class Counters(msgspec.Struct, frozen=True):
    """All probes of a service at the moment `now_ns` of its clock.

    `session` changes when the service starts its sensors again, after which counters may start at another value.
    `uncovered` are stand-ins for devices without a readable sensor.
    """

    session: str
    now_ns: int
    host: Host
    probes: tuple[ServedProbe, ...]
    uncovered: tuple[Channel, ...] = ()


def encode(counters: Counters) -> bytes:
    """Return the answer as JSON."""
    return msgspec.json.encode(counters)


def decode(text: bytes) -> Counters:
    """Return the answer of a service. Raises ValueError if it is not such an answer, or contradicts itself."""
    counters = msgspec.json.decode(text, type=Counters)
    for probe in counters.probes:
        if probe.tick and len(probe.tick.values) != len(probe.channels):
            raise ValueError(f"{len(probe.tick.values)} values for {len(probe.channels)} channels of {probe.name}")
        if any(not 0 <= each.channel < len(probe.channels) for each in probe.rejected):
            raise ValueError(f"rejected readings of a channel that {probe.name} does not have")
    return counters
