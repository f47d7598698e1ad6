"""Samples the power of this host in consecutive windows, for commands that compare windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.cli.measure import power_probes
from agent.runtime.console import interruption, print_err

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.config import Config
    from agent.host.activity import ActivityMonitor
    from agent.host.records import HostLoad
    from agent.sampling.downsampling import Downsampler
    from agent.sampling.periods import PeriodSamples
    from agent.sampling.pipeline import Pipeline
    from agent.sampling.session import Recording
    from probes.model import Channel


@dataclass(slots=True)
class WindowSamples:
    """The measured windows: their spans in Unix nanoseconds, samples and loads; `code` is that of an interruption.

    `channels` are all channels of the host, `faults` the reasons for those without a value, by (device id, domain).
    """

    spans: list[tuple[int, int]] = field(default_factory=list)
    samples: list[Downsampler] = field(default_factory=list)
    loads: list[HostLoad | None] = field(default_factory=list)
    code: int = 0
    channels: list[Channel] = field(default_factory=list)
    faults: Mapping[tuple[str, str], str] = field(default_factory=dict)


def sample_windows(
    config: Config,
    seconds: float,
    windows: int,
    before: Callable[[int], object] = lambda _: None,
    check: Callable[[Sequence[Channel]], object] = lambda _: None,
) -> WindowSamples:
    """Sample `windows` windows of `seconds`; `before` is called before each of them with its number, from 0 on.

    `check` is called with the channels of the host before the first one, and may raise.
    """
    from agent.host.activity import ActivityMonitor
    from agent.runtime.clock import Timebase
    from agent.runtime.logs import configure
    from agent.runtime.measuring import announced
    from agent.sampling.calibration import UNCHANGED
    from agent.sampling.periods import PeriodSamples
    from agent.sampling.pipeline import assembled
    from agent.sampling.session import recording
    from probes.nvml.probe import NvmlProbe
    from store.records import Layout

    configure("warning")
    with (
        announced(config.roots.sysfs),
        assembled(
            config,
            Timebase.now(),
            lambda named: [Layout(number, name, channels) for number, (name, channels) in enumerate(named)],
            lambda probes: PeriodSamples([probe.layout for probe in probes]),
            select=lambda discovery: power_probes(discovery, config),
            realtime=config.realtime,
        ) as pipeline,
    ):
        check(pipeline.discovery.channels)
        for channel in pipeline.unchanged:
            print_err(f"warning: {channel.path}: {UNCHANGED}")
        monitor = ActivityMonitor(config.roots, [e for e in pipeline.discovery.probes if isinstance(e, NvmlProbe)])
        with recording(pipeline) as active_recording:
            active_recording.wait_for_first_ticks()
            print_err(f"measuring for {seconds * windows:g} s; Ctrl-C ends the measurement with the complete windows")
            found = _windows(pipeline, active_recording, monitor, seconds, windows, before)
            active_recording.wait_for_last_ticks()
            found.faults = active_recording.faults()
    found.channels = list(pipeline.discovery.channels)
    return found


def _windows(
    pipeline: Pipeline[PeriodSamples],
    recording: Recording,
    monitor: ActivityMonitor,
    seconds: float,
    windows: int,
    before: Callable[[int], object],
) -> WindowSamples:
    """Measure windows, one after the other. An interrupted one counts only if it is the first."""
    from agent.host.activity import cpu_usage_between
    from agent.workloads.runner.subprocess import sleep

    def approach() -> None:
        recording.await_counter_refresh()
        recording.mark_edge()

    found = WindowSamples()
    while len(found.spans) < windows and not found.code:
        before(len(found.spans))
        samples, activity = pipeline.sink.begin(), monitor.snapshot()
        span = sleep(seconds, recording.mark_edge, approach=approach)
        after = monitor.snapshot(activity)
        start_ns, end_ns = (pipeline.timebase.unix_ns(each) for each in (span.start_ns, span.end_ns))
        pipeline.sink.end(end_ns)
        if span.interrupted:
            found.code = span.code
            print_err(interruption("interrupted: this is the result until then", span.code))
        if not span.interrupted or not found.spans:
            found.spans.append((start_ns, end_ns))
            found.samples.append(samples)
            found.loads.append(cpu_usage_between(activity, after))
    return found
