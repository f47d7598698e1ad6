"""Wires everything that samples a host: discovery, calibration, layouts, one sampler, one recorder, one CPU budget."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from agent.energy.read_rates import mark_aliased, periods_within
from agent.runtime.clock import SuspendDetector
from agent.runtime.closing import CLOSE_SECONDS, close_probes
from agent.runtime.cpu_budget import CpuBudget
from agent.runtime.realtime import raise_priority
from agent.sampling.calibration import calibrate
from agent.sampling.recorder import Recorder
from agent.sampling.sampler import STOP_SECONDS, Sampler
from agent.sampling.schedule import ScheduledProbe
from probes.registry import discover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from agent.config import Config
    from agent.runtime.clock import Timebase
    from agent.sampling.store_state import StoreErrorLog
    from probes.model import Channel, Probe
    from probes.registry import Discovery
    from store.records import Layout, Tick

    NamedChannels = tuple[str, tuple[Channel, ...]]


class Sink(Protocol):
    """The receiver of the ticks."""

    def take(self, ticks: Sequence[Tick], /) -> None:
        """Take ticks, in time order within each layout; the recorder repeats them after an error."""


SinkT = TypeVar("SinkT", bound=Sink)


@dataclass(frozen=True, slots=True)
class Pipeline(Generic[SinkT]):
    """The probes of a host with the sampler and the recorder that read them, ready to start.

    `unchanged` are the energy counters that did not change during the calibration. `hanging` are the probes that hang
    in a driver after `stop_reads`.
    """

    timebase: Timebase
    discovery: Discovery
    probes: tuple[ScheduledProbe, ...]
    unchanged: tuple[Channel, ...]
    sink: SinkT
    sampler: Sampler
    recorder: Recorder
    suspended: Callable[[], bool]
    hanging: list[Probe] = field(default_factory=list)

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layout of each probe's ticks, in the order of `probes`."""
        return tuple(scheduled.layout for scheduled in self.probes)

    def start(self) -> None:
        """Start every thread."""
        self.recorder.start()
        self.sampler.start(self.recorder.on_cycle)

    def stop_reads(self, within_seconds: float = STOP_SECONDS) -> None:
        """Stop the sampler; the recorder continues until its own stop."""
        self.hanging.extend(self.sampler.stop(within_seconds))


@contextmanager
def assembled(
    config: Config,
    timebase: Timebase,
    register: Callable[[Sequence[NamedChannels]], Sequence[Layout]],
    open_sink: Callable[[Sequence[ScheduledProbe]], SinkT],
    *,
    found: Discovery | None = None,
    select: Callable[[Discovery], Sequence[Probe]] = lambda discovery: discovery.probes,
    period_of: Callable[[Probe], float] | None = None,
    realtime: bool | None = None,
    on_resume: Callable[[], object] = lambda: None,
    store_errors: StoreErrorLog | None = None,
    close_seconds: Callable[[], float] = lambda: CLOSE_SECONDS,
) -> Iterator[Pipeline[SinkT]]:
    """Discover and calibrate the host's probes, and wire a sampler and a recorder that share one CPU budget.

    `found` are the probes of another host, instead of those of this one. `select` picks the probes to sample,
    `register` makes the layouts of their calibrated channels, `open_sink` makes the receiver of their ticks. A probe is
    read every `period_of` seconds; without that function its sensors set the period, and the edges of windows are read
    at a high rate. `realtime` is None for a process that never asks for real-time scheduling. `on_resume` is called
    after the host was suspended. The probes are closed at the end of the block, within `close_seconds`.

    Raises what `select`, `register` and `open_sink` raise.
    """
    discovery = found or discover(config.roots, config.sensors)
    hanging: list[Probe] = []
    try:
        probes = select(discovery)
        calibration = calibrate(probes, config.cpu_budget)
        if period_of:
            periods: Sequence[tuple[float, float]] = [(period_of(probe), 0.0) for probe in probes]
        else:
            periods = periods_within(calibration.channels, config.cpu_budget, calibration.cpu_seconds)
        calibrated = zip(probes, calibration.channels, periods, strict=True)
        layouts = register([(probe.name, mark_aliased(channels, base)) for probe, channels, (base, _) in calibrated])
        scheduled = tuple(
            ScheduledProbe(layout, probe, base, high)
            for layout, probe, (base, high) in zip(layouts, probes, periods, strict=True)
        )
        sink, suspended = open_sink(scheduled), SuspendDetector(timebase, on_resume).suspended
        sampler, recorder = connect(
            scheduled,
            timebase,
            sink.take,
            CpuBudget(config.cpu_budget),
            realtime=realtime,
            suspended=suspended,
            hanging=calibration.hanging,
            store_errors=store_errors,
        )
        unchanged = calibration.unchanged
        yield Pipeline(timebase, discovery, scheduled, unchanged, sink, sampler, recorder, suspended, hanging)
    finally:
        close_probes(discovery, close_seconds(), hanging)


def connect(
    probes: Sequence[ScheduledProbe],
    timebase: Timebase,
    take: Callable[[Sequence[Tick]], None],
    budget: CpuBudget,
    *,
    realtime: bool | None = None,
    suspended: Callable[[], bool] = lambda: False,
    hanging: Mapping[Probe, Callable[[], bool]] | None = None,
    store_errors: StoreErrorLog | None = None,
) -> tuple[Sampler, Recorder]:
    """Return a sampler, and the recorder that hands its ticks to `take`; `budget` holds the CPU time of both."""
    sampler = Sampler(probes, timebase, realtime=realtime, suspended=suspended, budget=budget, hanging=hanging)
    recorder = Recorder(
        sampler.take,
        take,
        store_errors.failed if store_errors else None,
        store_errors.recovered if store_errors else None,
        enter=raise_priority if realtime else lambda: None,
        budget=budget,
    )
    return sampler, recorder
