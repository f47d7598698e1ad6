"""Recordings of simulated probes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.energy.read_rates import periods_within
from agent.runtime.clock import SuspendDetector, Timebase
from agent.runtime.cpu_budget import CPU_BUDGET, CpuBudget
from agent.sampling.pipeline import Pipeline, connect
from agent.sampling.schedule import ScheduledProbe
from agent.sampling.session import recording
from probes.registry import Discovery
from store.records import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.sampling.session import Recording
    from probes.model import Probe
    from store.records import Tick


@dataclass(frozen=True, slots=True)
class CallbackSink:
    """Passes the ticks to a function."""

    take: Callable[[Sequence[Tick]], object]


@contextmanager
def recorded(
    probes: Sequence[Probe],
    take: Callable[[Sequence[Tick]], object],
    timebase: Timebase | None = None,
    *,
    cpu_budget: float = CPU_BUDGET,
    realtime: bool = True,
) -> Iterator[Recording]:
    """Sample the probes inside the block, without a calibration."""
    timebase = timebase or Timebase.now()
    periods = periods_within([probe.channels for probe in probes], cpu_budget)
    scheduled = tuple(
        ScheduledProbe(Layout(number, probe.name, probe.channels), probe, base, high)
        for number, (probe, (base, high)) in enumerate(zip(probes, periods, strict=True))
    )
    sink, suspended = CallbackSink(take), SuspendDetector(timebase, lambda: None).suspended
    sampler, recorder = connect(
        scheduled, timebase, sink.take, CpuBudget(cpu_budget), realtime=realtime, suspended=suspended
    )
    discovery = Discovery(tuple(probes), (), ())
    with recording(
        Pipeline(timebase, discovery, scheduled, (), sink, sampler, recorder, suspended)
    ) as active_recording:
        yield active_recording
