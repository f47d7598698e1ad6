"""The service: samples, stores and exports until a signal ends it; `run` reads from top to bottom."""

from __future__ import annotations

import math
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent.api.endpoint import Endpoint
from agent.api.metrics import Exporter
from agent.api.sockets import ListenError
from agent.daemon import sd_notify as notify
from agent.daemon.maintenance import Maintenance, interval_seconds
from agent.daemon.supervision import (
    StoreFile,
    Supervisor,
    check_interval_seconds,
    clock_step_ns,
    reload_config,
    supervise,
)
from agent.energy.read_rates import mark_aliased
from agent.host.inventory import describe_host
from agent.runtime import logs as log
from agent.runtime.clock import SuspendDetector, Timebase
from agent.runtime.cpu_budget import CpuBudget
from agent.runtime.realtime import gc_frozen
from agent.runtime.signals import ServiceSignals
from agent.sampling.calibration import calibrate
from agent.sampling.counter_accumulator import CounterAccumulator
from agent.sampling.host_total import HostTotal
from agent.sampling.recorder import Recorder
from agent.sampling.sampler import STOP_SECONDS, Sampler
from agent.sampling.schedule import ScheduledProbe
from agent.sampling.store_state import StoreErrorLog, StoreRetry
from probes.counter import shortest_wrap_seconds
from probes.registry import discover
from store.database import daemon_lock, open_database
from store.errors import StoreError, TransientStoreError
from store.reader import Reader
from store.url import display
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from sqlalchemy import Engine

    from agent.config import Config
    from agent.sampling.counter_accumulator import UnstoredTotals
    from probes.model import Probe
    from store.damage import Damage
    from store.records import Tick

_CLOSE_SECONDS = 2.0
_RECORDER_SECONDS = 12.0
"""Longer than the store waits for a lock."""

logger = log.get_logger("daemon")


class DaemonError(Exception):
    """The daemon cannot start, or stopped before everything was stored: says what, why and what to do."""


class _StoppedError(Exception):
    """A stop was asked for before everything had started."""


def run(read_config: Callable[[], Config]) -> None:
    """Run until told to stop; `read_config` is asked again on SIGHUP.

    A reload ends everything but the HTTP server and starts it anew, so it finds new devices as well. Meanwhile the
    server answers with the last values. A configuration that cannot be read changes nothing; if the new configuration
    fails to start, the service falls back to the previous one. Raises DaemonError, and whatever `read_config` raised
    the first time.
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
    """Start with the configuration `wanted`, or else with the one `before`; return what runs, and with which."""
    try:
        return stack.enter_context(_running(wanted, memory, signals, endpoint, first=before is None)), wanted
    except _StoppedError:
        raise
    except Exception as error:
        if before in {None, wanted}:
            raise
        trace = None if isinstance(error, DaemonError | StoreError) else error
        logger.error("reload failed, going on as before", reason=str(error), exc_info=trace)  # noqa: TRY400  only a fault needs its trace
        return stack.enter_context(_running(before, memory, signals, endpoint)), before


def await_store(
    signals: ServiceSignals,
    endpoint: Endpoint,
    retry: StoreRetry,
    error: Exception,
    read_config: Callable[[], Config],
    wanted: Config,
) -> Config:
    """Wait until the store is to be tried again; return the configuration to start with.

    The service counts as started meanwhile, so that neither systemd's start timeout nor its limit of starts ends it.
    Raises DaemonError if the address cannot be listened on.
    """
    until = time.monotonic() + retry.after(error)
    try:
        endpoint.bind(wanted.listen)
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

    Raises TransientStoreError if the store may work later, _StoppedError once a stop is asked for, else DaemonError.
    """
    log.configure(config.log_level)
    hanging: list[Probe] = []
    timebase = Timebase.now()
    with ExitStack() as stack:
        try:
            engine = open_database(config.database)
            stack.callback(engine.dispose)
            file = _store_file(engine)
            host = describe_host(config.roots)
            lock = stack.enter_context(daemon_lock(engine, host.id))
            endpoint.bind(config.listen)
            if first:
                notify.ready()  # nothing that a person has to mend is in the way; finding the sensors may take long
            probes = _discover(config)
            stack.callback(lambda: _close_probes(probes, hanging, signals.remaining_seconds(_CLOSE_SECONDS)))
            _raise_if_stopping(signals)
            writer = Writer(engine, lock.verify)
            periods = [period(probe, config) for probe in probes]
            calibration = calibrate(probes, config.cpu_budget)
            _raise_if_stopping(signals)
            calibrated = zip(probes, calibration.channels, periods, strict=True)
            channels = [(probe.name, mark_aliased(known, seconds)) for probe, known, seconds in calibrated]
            layouts = writer.register(host, channels, "daemon", timebase.now_ns())
            saved = Reader(engine, _log_damage).totals(host.id)
            totals = CounterAccumulator(host, layouts, saved, memory, timebase)
            host_total = HostTotal(host, layouts, periods, saved, memory, config.tariff)
            scheduled = [ScheduledProbe(*each) for each in zip(layouts, probes, periods, strict=True)]
            store_errors = StoreErrorLog(signals.wake)
            suspended = SuspendDetector(timebase, signals.wake).suspended
            budget = CpuBudget(config.cpu_budget)
            sampler = Sampler(scheduled, timebase, suspended=suspended, budget=budget, hanging=calibration.hanging)
            recorder = Recorder(
                sampler.take,
                _tick_sink(totals, host_total, writer, timebase, store_errors, signals.wake),
                store_errors.failed,
                store_errors.recovered,
                budget=budget,
            )
            exporter = Exporter(
                layouts,
                sampler.states,
                lambda: sampler.dropped + recorder.dropped,
                timebase.now_ns,
                version("inferometer"),
                totals,
                lambda: host_total.reading,
                lambda: store_errors.state(lambda: sampler.waiting + recorder.waiting),
            )
            maintenance = Maintenance(config.database, config.retention_config, interval_seconds(layouts, periods))
        except TransientStoreError:
            raise
        except (StoreError, ListenError) as error:
            raise DaemonError(str(error)) from error
        stack.callback(maintenance.stop)
        maintenance.start()
        service = Supervisor(
            sampler, recorder, timebase, store_errors, exporter, display(engine.url), file, suspended, lock=lock
        )
        stack.callback(lambda: recorder.stop(signals.remaining_seconds(_RECORDER_SECONDS)))
        stack.callback(lambda: service.await_stored(signals))
        recorder.start()
        stack.enter_context(gc_frozen())
        stack.callback(lambda: hanging.extend(sampler.stop(signals.remaining_seconds(STOP_SECONDS))))
        sampler.start(recorder.on_cycle)
        yield service


def _store_file(engine: Engine) -> StoreFile | None:
    """Return the file of the store, None if a server has it."""
    return StoreFile.at(Path(str(engine.url.database))) if engine.url.get_backend_name() == "sqlite" else None


def _raise_if_stopping(signals: ServiceSignals) -> None:
    """Raise _StoppedError if a stop was asked for: a stop must not wait until everything has started."""
    if signals.stopping:
        raise _StoppedError


def _discover(config: Config) -> tuple[Probe, ...]:
    """Look for what can be read here, and log it."""
    discovery = discover(config.roots, config.sensors)
    for probe in discovery.probes:
        seconds = period(probe, config)
        logger.info("probe found", probe=probe.name, channels=len(probe.channels), period_seconds=seconds)
    for problem in discovery.problems:
        logger.warning(problem.label, sensor=problem.sensor, reason=problem.reason, remedy=problem.remedy)
    for missing in discovery.missing_families:
        logger.debug("not here", family=missing.family, reason=missing.reason)
    return discovery.probes


def _log_damage(damage: Damage) -> None:
    """Log a damaged row of the store, which is left out."""
    logger.error("damaged row left out", reason=str(damage), remedy="inferometer db check --repair")


def period(probe: Probe, config: Config) -> float:
    """Return the seconds between two reads of a probe: what is wanted, and no less than its sensors refresh in.

    A counter is read twice at least in the time in which it can wrap: more than one wrap would go unseen.
    """
    refreshes = [channel.refresh_seconds for channel in probe.channels if channel.refresh_seconds]
    wraps = min(map(shortest_wrap_seconds, probe.channels), default=math.inf)
    return min(max(config.period_of(probe.name), min(refreshes, default=0.0)), wraps / 2)


def _tick_sink(
    totals: CounterAccumulator,
    host_total: HostTotal,
    writer: Writer,
    timebase: Timebase,
    store_errors: StoreErrorLog,
    wake: Callable[[], None],
) -> Callable[[Sequence[Tick]], None]:
    """Return what takes the ticks of a second for the store; it looks whether the clock was set, too."""

    def keep(ticks: Sequence[Tick]) -> None:
        if clock_step_ns(timebase):
            wake()
        host_total.store_ticks(ticks, totals, writer.append)
        store_errors.committed(timebase.now_ns())

    return keep


def _close_probes(probes: Sequence[Probe], hanging: Collection[Probe], within_seconds: float) -> None:
    """Close the probes, but for those that hang; a driver in which one hangs may not let go of the others either."""

    def close() -> None:
        for probe in probes:
            if probe not in hanging:
                try:
                    probe.close()
                except Exception:  # the edge of a thread: the others are still to be closed
                    logger.exception("probe not closed", probe=probe.name)

    for probe in hanging:
        logger.warning("left behind in its driver", probe=probe.name)
    thread = threading.Thread(target=close, name="close", daemon=True)
    thread.start()
    thread.join(within_seconds)
