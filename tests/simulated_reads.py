"""Probes whose reads take simulated time, in a sampling thread on a fake clock."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.runtime.clock import Timebase
from agent.sampling.probe_reader import ProbeHealth, ProbeReader
from agent.sampling.thread import SamplingThread
from probes.model import Channel, Device, Kind, Rejection
from store.records import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from store.records import Tick

MS = 1_000_000
CHANNEL = Channel(Device("package-0", Kind.CPU), "package", "energy_joules")


@dataclass
class Host:
    """A clock that moves only during waits and reads; a wait ends `overslept` nanoseconds late."""

    now_ns: int = 5_000_000_123
    overslept: list[int] = field(default_factory=list)
    waits: int = 0
    during: dict[int, Callable[[], None]] = field(default_factory=dict)

    def clock(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        """Act as the wakeup: let the time pass, and run the event of this wait half-way through it."""
        happening = self.during.pop(self.waits, None)
        late_ns = self.overslept[self.waits] if self.waits < len(self.overslept) else 0
        self.waits += 1
        if happening:
            self.now_ns += round(seconds * 1e9 / 2)
            happening()
        else:
            self.now_ns += round(seconds * 1e9) + late_ns

    def set(self) -> None:
        pass


class Probe:
    """A read takes `takes_ns` of its number; the start of each is recorded."""

    channels = (CHANNEL,)
    files_only = True

    def __init__(self, host: Host, takes_ns: Callable[[int], int] = lambda _: 0, name: str = "rapl") -> None:
        self.name = name
        self.rejections: list[Rejection] = []
        self.starts: list[int] = []
        self._host = host
        self._takes_ns = takes_ns

    def read(self, at_ns: int) -> Sequence[float]:
        self.starts.append(at_ns)
        self._host.now_ns += self._takes_ns(len(self.starts) - 1)
        return (1.0,)

    def close(self) -> None:
        pass


def beats(
    host: Host, *probes: Probe, period_ns: int = MS, high_ns: int | None = None, stop_after: int = 10, **more
) -> tuple[SamplingThread, list[ProbeHealth], deque[Tick]]:
    """A sampling thread that ends after a number of reads of its first probe."""
    queue: deque[Tick] = deque()
    periods_ns = (period_ns, high_ns or period_ns)
    states = [ProbeHealth(probe.name, period_ns / 1e9) for probe in probes]
    readers = [
        ProbeReader(
            Layout(n, probe.name, probe.channels), probe, state, Timebase(0), queue, 10_000, periods_ns, host.clock
        )
        for n, (probe, state) in enumerate(zip(probes, states, strict=True))
    ]
    made = SamplingThread("test", readers, clock=host.clock, wakeup=host, **more)
    read, first = probes[0].read, probes[0]

    def counted(at_ns: int) -> Sequence[float]:
        values = read(at_ns)
        if len(first.starts) >= stop_after:
            made.ask_to_stop()
        return values

    probes[0].read = counted
    return made, states, queue
