"""One fake host under one check: discovers its probes, reads them at a simulated time, closes everything."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from probes.conformance.host import NotOfferedError
from probes.deadline import Call, NoAnswerError
from probes.errors import DeviceLostError, ProbeUnavailableError, ReadError
from probes.model import METRICS, Channel, DiscoveryResult, MetricType, Probe, Rejection, Roots, TimedProbe
from probes.search import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from probes.conformance.host import FakeHost, Key
    from probes.settings import SensorSettings

    Discover = Callable[[Roots, SensorSettings], DiscoveryResult]

READ_SECONDS = 10.0
"""The longest read that a probe of a driver, a program or a network may take."""
SLACK_SECONDS = 2.0
"""Added to every deadline, for a busy machine."""


class NotApplicableError(Exception):
    """The check has no object in this family; the message states the reason."""


def needs(condition: object, sentence: str) -> None:
    """Raise NotApplicableError with this sentence unless the condition is true."""
    if not condition:
        raise NotApplicableError(sentence)


def require(condition: object, sentence: str) -> None:
    """Raise AssertionError with this sentence unless the condition is true, also under `python -O`."""
    if not condition:
        raise AssertionError(sentence)


@dataclass(frozen=True, slots=True)
class Reading:
    """The result of one read of one probe: values by channel, or the error."""

    probe: Probe
    values: Mapping[Key, float]
    rejections: tuple[Rejection, ...]
    error: ReadError | DeviceLostError | None = None

    @property
    def numbers(self) -> dict[Key, float]:
        """The values that are not NaN."""
        return {key: value for key, value in self.values.items() if not math.isnan(value)}


@dataclass(slots=True)
class Bench:
    """A fake host in `folder`, the discovery of the family, and the probes found so far."""

    discover: Discover
    host: FakeHost
    folder: Path
    probes: list[Probe] = field(default_factory=list)
    now_ns: int = field(default_factory=time.monotonic_ns)

    def search(self, settings: SensorSettings | None = None, roots: Roots | None = None) -> DiscoveryResult:
        """Discover within the deadline, by default on the fake host with its settings.

        Raises AssertionError for a fault, ProbeUnavailableError if there is nothing.
        """
        where, wanted = roots or self.host.roots, settings or self.host.settings
        call = Call(lambda: self.discover(where, wanted), "conformance-discover")
        try:
            found = call.result(DEADLINE_SECONDS + SLACK_SECONDS)
        except ProbeUnavailableError:
            raise
        except NoAnswerError:
            raise AssertionError(f"discovery did not end within {DEADLINE_SECONDS:g} s") from None
        except Exception as error:
            raise AssertionError(f"discovery raised {error!r} instead of ProbeUnavailableError") from error
        self.probes += found.probes
        self.host.attach(found.probes)
        return found

    def discovered(self) -> tuple[Probe, ...]:
        """Discover, and return the probes. Raises AssertionError if there is none."""
        try:
            found = self.search()
        except ProbeUnavailableError as error:
            raise AssertionError(f"the family found nothing on the fake host: {error.reason}") from error
        require(found.probes, f"discovery found no probe on the fake host, only {found.problems}")
        return found.probes

    def step(self) -> None:
        """Let the time of the probes pass until the next read, not that of the hardware."""
        self.now_ns += round(self.host.step_seconds * 1e9)

    def advance(self) -> None:
        """Let the time of the hardware and of the probes pass until the next read."""
        self.host.advance(self.host.step_seconds)
        self.step()

    def pass_time(self) -> None:
        """Let the time of the probes pass until the next read, and that of the hardware if the host can."""
        try:
            self.advance()
        except NotOfferedError:
            self.step()

    def read(self, probe: Probe) -> Reading:
        """Read a probe once in a thread of its own.

        Raises AssertionError if it does not end, raises another error than the two of a read, or returns another number
        of values than it has channels.
        """
        probe.rejections.clear()
        call = Call(lambda: probe.read(self.now_ns), f"conformance-read-{probe.name}")
        try:
            values = call.result(READ_SECONDS + SLACK_SECONDS)
        except (ReadError, DeviceLostError) as error:
            return Reading(probe, {}, tuple(probe.rejections), error)
        except NoAnswerError:
            raise AssertionError(f"a read of {probe.name} did not end within {READ_SECONDS:g} s") from None
        except Exception as error:
            raise AssertionError(f"a read of {probe.name} raised {error!r}, neither of its two errors") from error
        return self._reading(probe, values)

    def read_all(self) -> dict[Key, float]:
        """Read every probe of the last discovery; return all values. Raises AssertionError if a read fails."""
        values: dict[Key, float] = {}
        for probe in self.probes:
            reading = self.read(probe)
            require(not reading.error, f"a read of {probe.name} failed on a sound host: {reading.error}")
            values.update(reading.values)
        return values

    def close(self) -> None:
        """Close the probes and the host."""
        self.close_probes()
        self.host.close()

    def close_probes(self) -> None:
        """Close every probe found so far."""
        for probe in self.probes:
            with suppress(ReadError, DeviceLostError):
                probe.close()
        self.probes.clear()

    def _reading(self, probe: Probe, values: Sequence[float]) -> Reading:
        channels = probe.channels
        counts = f"{probe.name} has {len(channels)} channels, and a read {len(values)} values"
        require(len(values) == len(channels), counts)
        wrong = [value for value in values if not isinstance(value, float) or math.isinf(value)]
        require(not wrong, f"{probe.name} returned {wrong}: values are finite floats, or NaN")
        for rejection in probe.rejections:
            known = rejection.channel in range(len(channels))
            require(known, f"{probe.name} rejects channel {rejection.channel}, which it does not have")
            place, number = channels[rejection.channel].path, values[rejection.channel]
            require(math.isnan(number), f"{probe.name} rejects {place} ({rejection.reason}) and returns {number}")
        if isinstance(probe, TimedProbe) and probe.taken_ns is not None:
            begin, end = probe.taken_ns
            require(begin <= end, f"{probe.name} states that its values were taken from {begin} to {end}")
        keys = map(key_of, channels)
        return Reading(probe, dict(zip(keys, values, strict=True)), tuple(probe.rejections))


def key_of(channel: Channel) -> Key:
    """Return the path and the metric of a channel."""
    return channel.path, channel.metric


def is_counter(channel: Channel) -> bool:
    """Return whether the values of a channel only grow."""
    metric = METRICS.get(channel.metric)
    return metric is not None and metric.type is MetricType.COUNTER
