"""Starts everything that the service needs with one configuration, and stops it in the opposite order."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent.api.counters import CounterView
from agent.api.metrics import Exporter
from agent.api.sockets import ListenError
from agent.api.unix_socket import UnixAddress
from agent.api.web_config import WebConfigError
from agent.daemon import sd_notify as notify
from agent.daemon.fleet import FleetPush
from agent.daemon.maintenance import Maintenance, interval_seconds
from agent.daemon.supervision import StoreFile, Supervisor
from agent.daemon.tick_store import TickStore
from agent.daemon.wall import wall_factor
from agent.host.gpu_activity import GpuHandle
from agent.host.inventory import describe_host
from agent.runtime import logs as log
from agent.runtime.clock import Timebase
from agent.runtime.closing import CLOSE_SECONDS
from agent.runtime.measuring import is_announced
from agent.runtime.realtime import gc_frozen
from agent.sampling.pipeline import assembled
from agent.sampling.sampler import STOP_SECONDS
from agent.sampling.store_state import StoreErrorLog
from probes.counter import shortest_wrap_seconds
from store.database import daemon_lock, open_database
from store.errors import StoreError, TransientStoreError
from store.reader import Reader
from store.url import display
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine

    from agent.api.endpoint import Endpoint
    from agent.api.otlp import OtlpExport
    from agent.config import Config
    from agent.daemon.service_signals import ServiceSignals
    from agent.daemon.serving.thread import ServingThread
    from agent.sampling.counter_accumulator import Totals
    from agent.sampling.pipeline import NamedChannels, Pipeline
    from agent.sampling.schedule import ScheduledProbe
    from probes.model import Probe
    from probes.registry import Discovery
    from store.damage import Damage
    from store.records import Host, Layout

_SERVING_SECONDS = 2.0
_OTLP_SECONDS = 2.0
_SERVING_PART = 0.2
"""The part of the CPU budget that the measurement of production traffic may use; sampling has the rest."""
_LONGEST_RUN_NS = 43_200 * 10**9
"""A run that began earlier was killed before its end."""
_RECORDER_SECONDS = 12.0
"""Longer than the store waits for a lock."""

logger = log.get_logger("daemon")


class DaemonError(Exception):
    """The daemon cannot start, or stopped before everything was stored; the message has the cause and the remedy."""


class StoppedError(Exception):
    """A stop was requested before the start was complete."""


@contextmanager
def running(
    config: Config, memory: Totals, signals: ServiceSignals, endpoint: Endpoint, *, first: bool = False
) -> Iterator[Supervisor]:
    """Start everything in order, and stop everything in the opposite order.

    Raises TransientStoreError if the store may work later, StoppedError if a stop is requested, else DaemonError.
    """
    log.configure(config.log_level)
    timebase = Timebase.now()
    with ExitStack() as stack:
        try:
            engine = open_database(config.database)
            stack.callback(engine.dispose)
            file = _store_file(engine)
            host = describe_host(config.roots, config.labels)
            lock = stack.enter_context(daemon_lock(engine, host.id))
            endpoint.bind(config.listen, unix_address(config), config.web_config)
            if first:
                notify.ready()  # the configuration is valid; the discovery of sensors may take long
            writer, store_errors = Writer(engine, lock.verify), StoreErrorLog(signals.wake)

            def register(channels: Sequence[NamedChannels]) -> tuple[Layout, ...]:
                _raise_if_stopping(signals)
                return writer.register(host, channels, "daemon", timebase.now_ns())

            def open_sink(probes: Sequence[ScheduledProbe]) -> TickStore:
                saved = Reader(engine, _log_damage).totals(host.id)
                return TickStore(
                    host, probes, saved, memory, config.tariff, timebase, writer, store_errors, signals.wake
                )

            pipeline = stack.enter_context(
                assembled(
                    _without_serving_budget(config),
                    timebase,
                    register,
                    open_sink,
                    select=lambda discovery: _probes_of(discovery, config, signals),
                    period_of=lambda probe: period(probe, config),
                    on_resume=signals.wake,
                    store_errors=store_errors,
                    close_seconds=lambda: signals.remaining_seconds(CLOSE_SECONDS),
                )
            )
            pipeline.sink.host_total.wall_factor = wall_factor(config, host.id, pipeline.discovery.channels)
            serving = _serving(config, host, timebase, pipeline, Reader(engine, _log_damage), memory, writer)
            exporter = _exporter(host, pipeline, store_errors, serving)
            if config.otlp_endpoint:
                otlp = _otlp(config, exporter, host)
                stack.callback(lambda: otlp.stop(signals.remaining_seconds(_OTLP_SECONDS)))
            periods = [probe.period_seconds for probe in pipeline.probes]
            interval = interval_seconds(pipeline.layouts, periods)
            maintenance = Maintenance(config.database, config.retention_config, interval)
        except TransientStoreError:
            raise
        except (StoreError, ListenError, WebConfigError) as error:
            raise DaemonError(str(error)) from error
        stack.callback(maintenance.stop)
        maintenance.start()
        if config.fleet.to:
            fleet = FleetPush(
                config.fleet,
                config.database,
                lambda: _own_profiles(engine, host.id),
                lambda: _is_measured(config.roots.sysfs, engine, host.id, timebase.now_ns()),
                config.cpu_budget,
            )
            stack.callback(fleet.stop)
            fleet.start()
        service = Supervisor(
            pipeline.sampler,
            pipeline.recorder,
            timebase,
            store_errors,
            exporter,
            display(engine.url),
            file,
            pipeline.suspended,
            lock=lock,
        )
        stack.callback(lambda: pipeline.recorder.stop(signals.remaining_seconds(_RECORDER_SECONDS)))
        stack.callback(lambda: service.await_stored(signals))
        if serving:
            stack.callback(lambda: serving.stop(signals.remaining_seconds(_SERVING_SECONDS)))
        stack.enter_context(gc_frozen())
        stack.callback(lambda: _stop_reads(pipeline, signals))
        pipeline.start()
        if serving:
            serving.start()
        yield service


def _without_serving_budget(config: Config) -> Config:
    """Return the configuration of sampling: scrapes have a part of the CPU budget."""
    return replace(config, cpu_budget=config.cpu_budget * (1 - _SERVING_PART)) if config.serving else config


def _serving(
    config: Config,
    host: Host,
    timebase: Timebase,
    pipeline: Pipeline[TickStore],
    saved: Reader,
    memory: Totals,
    writer: Writer,
) -> ServingThread | None:
    """Return the thread that measures production traffic, None without servers."""
    if not config.serving:
        return None
    from agent.daemon.serving.thread import ServingThread  # noqa: PLC0415  asyncio is slow to import

    gpus = [probe for probe in pipeline.discovery.probes if isinstance(probe, GpuHandle)]
    sink = pipeline.sink
    share = config.cpu_budget * _SERVING_PART
    return ServingThread(config, host, timebase, lambda: sink.host_total.channels, gpus, saved, memory, writer, share)


def _otlp(config: Config, exporter: Exporter, host: Host) -> OtlpExport:
    """Start the export to OpenTelemetry. Raises DaemonError without its SDK."""
    try:
        from agent.api.otlp import OtlpExport  # noqa: PLC0415  an extra, and slow to import
    except ImportError as error:
        remedy = "install the extra `otlp`: pip install 'inferometer[otlp]'"
        raise DaemonError(f"otlp.endpoint needs the SDK of OpenTelemetry; {remedy}") from error
    return OtlpExport(exporter, host, config.otlp_endpoint, config.otlp_interval_seconds)


def _exporter(
    host: Host, pipeline: Pipeline[TickStore], store_errors: StoreErrorLog, serving: ServingThread | None
) -> Exporter:
    sampler, recorder, sink = pipeline.sampler, pipeline.recorder, pipeline.sink
    now_ns = pipeline.timebase.now_ns
    return Exporter(
        pipeline.layouts,
        sampler.states,
        lambda: sampler.dropped + recorder.dropped,
        now_ns,
        version("inferometer"),
        sink.totals,
        lambda: sink.host_total.reading,
        lambda: store_errors.state(lambda: sampler.waiting + recorder.waiting),
        serving=(lambda: serving.snapshot) if serving else lambda: None,
        watts_and_joules=sink.host_total.watts_and_joules,
        counters=CounterView(host, pipeline.layouts, sampler.states, pipeline.discovery.stand_ins, now_ns),
    )


def _stop_reads(pipeline: Pipeline[TickStore], signals: ServiceSignals) -> None:
    pipeline.stop_reads(signals.remaining_seconds(STOP_SECONDS))
    for probe in pipeline.hanging:
        logger.warning("probe left behind in its driver", probe=probe.name)


def unix_address(config: Config) -> UnixAddress | None:
    """Return the configured unix socket, None without one."""
    return UnixAddress(config.socket, config.socket_group) if config.socket else None


def _own_profiles(engine: Engine, host_id: str) -> frozenset[str]:
    """Return the ids of the profiles that this host pushes: no imported ones, and of a server's database its own."""
    on_file = engine.dialect.name == "sqlite"
    keys = Reader(engine).profile_keys()
    return frozenset(key.id for key in keys if not key.imported and (on_file or key.host_id == host_id))


def _is_measured(sysfs: str, engine: Engine, host_id: str, now_ns: int) -> bool:
    """Return whether this host is measured: a process announces it, or the store has a run of it that goes on."""
    return is_announced(sysfs) or Reader(engine).is_measuring(host_id, now_ns - _LONGEST_RUN_NS)


def _store_file(engine: Engine) -> StoreFile | None:
    """Return the file of the store, None if it is on a server."""
    return StoreFile.at(Path(str(engine.url.database))) if engine.url.get_backend_name() == "sqlite" else None


def _raise_if_stopping(signals: ServiceSignals) -> None:
    """Raise StoppedError if a stop was requested: it must not wait until the start is complete."""
    if signals.stopping:
        raise StoppedError


def _probes_of(discovery: Discovery, config: Config, signals: ServiceSignals) -> tuple[Probe, ...]:
    """Log the result of the discovery, and return the probes to sample."""
    for probe in discovery.probes:
        seconds = period(probe, config)
        logger.info("probe found", probe=probe.name, channels=len(probe.channels), period_seconds=seconds)
    for problem in discovery.problems:
        logger.warning(problem.label, sensor=problem.sensor, reason=problem.reason, remedy=problem.remedy)
    for missing in discovery.missing_families:
        logger.debug("not available", family=missing.family, reason=missing.reason)
    _raise_if_stopping(signals)
    return discovery.probes


def _log_damage(damage: Damage) -> None:
    """Log a damaged row of the store, which is ignored."""
    logger.error("damaged row ignored", reason=str(damage), remedy="inferometer db check --repair")


def period(probe: Probe, config: Config) -> float:
    """Return the seconds between two reads of a probe: the configured period, or its refresh period if that is longer.

    A counter is read at least twice in the time of a wrap, as it cannot detect two wraps between reads.
    """
    refreshes = [channel.refresh_seconds for channel in probe.channels if channel.refresh_seconds]
    wraps = min(map(shortest_wrap_seconds, probe.channels), default=math.inf)
    return min(max(config.period_of(probe.name), min(refreshes, default=0.0)), wraps / 2)
