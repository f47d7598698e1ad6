"""The service: samples, stores and exports until a signal ends it; `run` reads from top to bottom."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent.api.endpoint import Endpoint
from agent.api.metrics import Exporter
from agent.api.sockets import ListenError
from agent.api.unix_socket import UnixAddress
from agent.daemon import sd_notify as notify
from agent.daemon.maintenance import Maintenance, interval_seconds
from agent.daemon.supervision import (
    StoreFile,
    Supervisor,
    check_interval_seconds,
    reload_config,
    supervise,
)
from agent.daemon.tick_store import TickStore
from agent.host.inventory import describe_host
from agent.runtime import logs as log
from agent.runtime.clock import Timebase
from agent.runtime.closing import CLOSE_SECONDS
from agent.runtime.realtime import gc_frozen
from agent.runtime.signals import ServiceSignals
from agent.sampling.pipeline import assembled
from agent.sampling.sampler import STOP_SECONDS
from agent.sampling.store_state import StoreErrorLog, StoreRetry
from probes.counter import shortest_wrap_seconds
from store.database import daemon_lock, open_database
from store.errors import StoreError, TransientStoreError
from store.reader import Reader
from store.url import display
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine

    from agent.config import Config
    from agent.sampling.counter_accumulator import UnstoredTotals
    from agent.sampling.pipeline import NamedChannels, Pipeline
    from agent.sampling.schedule import ScheduledProbe
    from probes.model import Probe
    from probes.registry import Discovery
    from store.damage import Damage
    from store.records import Layout

_RECORDER_SECONDS = 12.0
"""Longer than the store waits for a lock."""

logger = log.get_logger("daemon")


class DaemonError(Exception):
    """The daemon cannot start, or stopped before everything was stored; the message has the cause and the remedy."""


class _StoppedError(Exception):
    """A stop was requested before the start was complete."""


def run(read_config: Callable[[], Config]) -> None:
    """Run until a signal stops the service; SIGHUP calls `read_config` again.

    A reload restarts everything except the HTTP server, and so discovers new devices. Meanwhile the server responds
    with the last values. An invalid configuration changes nothing; if the new configuration fails to start, the
    service falls back to the previous one. Raises DaemonError, and the error of the first call of `read_config`.
    """
    wanted, config = read_config(), None
    memory: UnstoredTotals = {}
    signals = ServiceSignals()
    retry = StoreRetry()
    lost = ""
    with signals.caught(), closing(Endpoint()) as endpoint:
        while not signals.stopping:
            with ExitStack() as stack:
                reload = config is not None
                try:
                    with notify.keep_alive():
                        service, config = _start(stack, wanted, config, memory, signals, endpoint)
                except TransientStoreError as error:
                    wanted = await_store(signals, endpoint, retry, error, read_config, wanted)
                    continue
                except _StoppedError:
                    notify.stopping()
                    break
                retry = StoreRetry()
                service.await_first_reads(signals)
                endpoint.show(service.exporter, config.hosts)
                if reload:
                    notify.ready()
                probes = len(service.sampler.states)
                for warning in config.warnings:
                    logger.warning(warning)
                logger.info("started", database=service.database, listen=endpoint.address, probes=probes)
                wanted = supervise(signals, service, read_config, config)
            notify.watchdog()  # a stop may have waited for the store, and a start may wait for it too
            if (lost := service.lost()) and not signals.stopping:
                logger.error(lost)
    if lost:
        raise DaemonError(f"stopped, but {lost}")
    logger.info("stopped")


def _start(
    stack: ExitStack,
    wanted: Config,
    before: Config | None,
    memory: UnstoredTotals,
    signals: ServiceSignals,
    endpoint: Endpoint,
) -> tuple[Supervisor, Config]:
    """Start with the configuration `wanted`, or with `before` if that fails; return the service and the one in use."""
    try:
        return stack.enter_context(_running(wanted, memory, signals, endpoint, first=before is None)), wanted
    except _StoppedError:
        raise
    except Exception as error:
        if before in {None, wanted}:
            raise
        trace = None if isinstance(error, DaemonError | StoreError) else error
        logger.error("reload failed, continuing as before", reason=str(error), exc_info=trace)  # noqa: TRY400  only a fault needs its trace
        return stack.enter_context(_running(before, memory, signals, endpoint)), before


def await_store(
    signals: ServiceSignals,
    endpoint: Endpoint,
    retry: StoreRetry,
    error: Exception,
    read_config: Callable[[], Config],
    wanted: Config,
) -> Config:
    """Wait until the next attempt to open the store; return the configuration to start with.

    The service reports that it has started, so that neither the start timeout nor the limit of starts ends it.
    Raises DaemonError if an address cannot be bound.
    """
    until = time.monotonic() + retry.after(error)
    try:
        endpoint.bind(wanted.listen, _unix_address(wanted))
    except ListenError as refused:
        raise DaemonError(str(refused)) from refused
    endpoint.wait(str(error))
    notify.ready()
    notify.status(str(error))
    interval = check_interval_seconds()
    while not signals.stopping and (left := until - time.monotonic()) > 0:
        if signals.reloading:
            signals.reloading = False
            return reload_config(read_config) or wanted
        notify.watchdog()
        signals.wait(min(left, interval))
    return wanted


@contextmanager
def _running(
    config: Config, memory: UnstoredTotals, signals: ServiceSignals, endpoint: Endpoint, *, first: bool = False
) -> Iterator[Supervisor]:
    """Start everything in order, and stop everything in the opposite order.

    Raises TransientStoreError if the store may work later, _StoppedError if a stop is requested, else DaemonError.
    """
    log.configure(config.log_level)
    timebase = Timebase.now()
    with ExitStack() as stack:
        try:
            engine = open_database(config.database)
            stack.callback(engine.dispose)
            file = _store_file(engine)
            host = describe_host(config.roots)
            lock = stack.enter_context(daemon_lock(engine, host.id))
            endpoint.bind(config.listen, _unix_address(config))
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
                    config,
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
            exporter = _exporter(pipeline, store_errors)
            periods = [probe.period_seconds for probe in pipeline.probes]
            interval = interval_seconds(pipeline.layouts, periods)
            maintenance = Maintenance(config.database, config.retention_config, interval)
        except TransientStoreError:
            raise
        except (StoreError, ListenError) as error:
            raise DaemonError(str(error)) from error
        stack.callback(maintenance.stop)
        maintenance.start()
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
        stack.enter_context(gc_frozen())
        stack.callback(lambda: _stop_reads(pipeline, signals))
        pipeline.start()
        yield service


def _exporter(pipeline: Pipeline[TickStore], store_errors: StoreErrorLog) -> Exporter:
    sampler, recorder, sink = pipeline.sampler, pipeline.recorder, pipeline.sink
    return Exporter(
        pipeline.layouts,
        sampler.states,
        lambda: sampler.dropped + recorder.dropped,
        pipeline.timebase.now_ns,
        version("inferometer"),
        sink.totals,
        lambda: sink.host_total.reading,
        lambda: store_errors.state(lambda: sampler.waiting + recorder.waiting),
    )


def _stop_reads(pipeline: Pipeline[TickStore], signals: ServiceSignals) -> None:
    pipeline.stop_reads(signals.remaining_seconds(STOP_SECONDS))
    for probe in pipeline.hanging:
        logger.warning("probe left behind in its driver", probe=probe.name)


def _unix_address(config: Config) -> UnixAddress | None:
    return UnixAddress(config.socket, config.socket_group) if config.socket else None


def _store_file(engine: Engine) -> StoreFile | None:
    """Return the file of the store, None if it is on a server."""
    return StoreFile.at(Path(str(engine.url.database))) if engine.url.get_backend_name() == "sqlite" else None


def _raise_if_stopping(signals: ServiceSignals) -> None:
    """Raise _StoppedError if a stop was requested: it must not wait until the start is complete."""
    if signals.stopping:
        raise _StoppedError


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
