"""The service: samples, stores and exports until a signal ends it; `run` reads from top to bottom."""

from __future__ import annotations

import math
import threading
from contextlib import ExitStack, closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from agent import log, notify
from agent.acquaintance import calibrate
from agent.budget import CpuBudget
from agent.clock import Timebase, Wakefulness
from agent.endpoint import Endpoint
from agent.exporter import Exporter
from agent.host import describe_host
from agent.host_total import HostTotal
from agent.listening import ListenError
from agent.profiling.periods import marked_aliased
from agent.realtime import uncollected
from agent.recorder import Recorder
from agent.sampler import Paced, Sampler
from agent.signals import Signals
from agent.totals import Totals
from agent.upkeep import Upkeep, interval_seconds
from agent.watch import Service, StoreFile, StoreTrouble, clock_was_set
from probes.counter import shortest_wrap_seconds
from probes.registry import discover
from store.address import display
from store.database import daemon_lock, open_database
from store.errors import StoreError
from store.reader import Reader
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from agent.config import Config
    from agent.totals import Memory
    from probes.model import Probe
    from store.damage import Damage
    from store.records import Tick

_LOOK_SECONDS = 10.0
"""How often to look after everything where systemd does not ask for more."""
_CLOSE_SECONDS = 2.0

logger = log.get_logger("daemon")


class DaemonError(Exception):
    """The daemon cannot start, or stopped before everything was stored: says what, why and what to do."""


def run(read_config: Callable[[], Config]) -> None:
    """Run until told to stop; `read_config` is asked again on SIGHUP.

    A reload ends everything but the HTTP server and starts it anew, so it finds new devices as well. Meanwhile the
    server answers with the last values. A configuration that cannot be read changes nothing; if the new configuration
    fails to start, the service falls back to the previous one. Raises DaemonError, and whatever `read_config` raised
    the first time.
    """
    wanted, config = read_config(), None
    memory: Memory = {}
    signals = Signals()
    lost = ""
    with signals.caught(), closing(Endpoint()) as endpoint:
        while not signals.stopping:
            with ExitStack() as stack:
                service, config = _start(stack, wanted, config, memory, signals.wake, endpoint)
                service.await_first_reads(signals)
                endpoint.show(service.exporter, config.hosts)
                notify.ready()
                wanted = attend(signals, service, read_config, config)
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
    memory: Memory,
    wake: Callable[[], None],
    endpoint: Endpoint,
) -> tuple[Service, Config]:
    """Start with the configuration `wanted`, or else with the one `before`; return what runs, and with which."""
    try:
        return stack.enter_context(_started(wanted, memory, wake, endpoint)), wanted
    except Exception as error:
        if before in {None, wanted}:
            raise
        trace = None if isinstance(error, DaemonError) else error
        logger.error("reload failed, going on as before", reason=str(error), exc_info=trace)  # noqa: TRY400  only a fault needs its trace
        return stack.enter_context(_started(before, memory, wake, endpoint)), before


def attend(signals: Signals, service: Service, read_config: Callable[[], Config], config: Config) -> Config:
    """Look after the service until it is to end or to start anew; return the configuration to start with."""
    interval = min(notify.watchdog_interval_seconds() or _LOOK_SECONDS, _LOOK_SECONDS)
    while not signals.stopping:
        if signals.reloading:
            signals.reloading = False
            notify.reloading()
            try:
                return read_config()
            except Exception as error:  # noqa: BLE001  whatever is wrong with the file, the service goes on as it was
                logger.error("reload refused, nothing was changed", reason=str(error))  # noqa: TRY400  the reason says it
                notify.ready()
        if service.must_start_anew():
            return config
        service.look()
        signals.wait(interval)
    notify.stopping()
    logger.info("stopping")
    return config


@contextmanager
def _started(config: Config, memory: Memory, wake: Callable[[], None], endpoint: Endpoint) -> Iterator[Service]:
    """Start everything in order, and stop everything in the opposite order. Raises DaemonError."""
    log.configure(config.log_level)
    hanging: list[Probe] = []
    timebase = Timebase.now()
    with ExitStack() as stack:
        try:
            engine = open_database(config.database)
            stack.callback(engine.dispose)
            on_file = engine.url.get_backend_name() == "sqlite"
            file = StoreFile.at(Path(str(engine.url.database))) if on_file else None
            host = describe_host(config.roots)
            lock = stack.enter_context(daemon_lock(engine, host.id))
            endpoint.bind(config.listen)
            probes = _found(config)
            stack.callback(_close, probes, hanging)
            writer = Writer(engine, lock.verify)
            periods = [period(probe, config) for probe in probes]
            calibration = calibrate(probes, config.cpu_budget)
            learnt = map(marked_aliased, calibration.channels, periods)
            channels = [(probe.name, known) for probe, known in zip(probes, learnt, strict=True)]
            layouts = writer.register(host, channels, "daemon", timebase.now_ns())
            saved = Reader(engine, _report).totals(host.id)
            totals = Totals(host, layouts, saved, memory, timebase)
            host_total = HostTotal(host, layouts, periods, saved, memory, config.tariff)
            paced = [Paced(*each) for each in zip(layouts, probes, periods, strict=True)]
            trouble = StoreTrouble()
            slept = Wakefulness(timebase, wake).slept
            budget = CpuBudget(config.cpu_budget)
            sampler = Sampler(paced, timebase, slept=slept, budget=budget, hanging=calibration.hanging)
            keep = _keeping(totals, host_total, writer, timebase, wake)
            recorder = Recorder(sampler.take, keep, trouble.begins, trouble.ends, budget=budget)
            exporter = Exporter(
                layouts,
                sampler.states,
                lambda: sampler.dropped + recorder.dropped,
                timebase.now_ns,
                version("inferometer"),
                totals.shown,
                lambda: host_total.reading,
            )
            upkeep = Upkeep(config.database, config.keeping, interval_seconds(layouts, periods))
        except (StoreError, ListenError) as error:
            raise DaemonError(str(error)) from error
        stack.callback(upkeep.stop)
        upkeep.start()
        stack.callback(recorder.stop)
        recorder.start()
        stack.enter_context(uncollected())
        stack.callback(lambda: hanging.extend(sampler.stop()))
        sampler.start(recorder.beat)
        logger.info("started", database=display(engine.url), listen=endpoint.address, probes=len(probes))
        yield Service(sampler, recorder, timebase, trouble, exporter, file, slept=slept, lock=lock)


def _found(config: Config) -> tuple[Probe, ...]:
    """Look for what can be read here, and log it."""
    discovery = discover(config.roots, estimates=config.estimates)
    for probe in discovery.probes:
        seconds = period(probe, config)
        logger.info("probe found", probe=probe.name, channels=len(probe.channels), period_seconds=seconds)
    for problem in discovery.problems:
        logger.warning(problem.label, sensor=problem.subject, reason=problem.reason, remedy=problem.remedy)
    for absence in discovery.absences:
        logger.debug("not here", family=absence.family, reason=absence.reason)
    return discovery.probes


def _report(damage: Damage) -> None:
    """Log a damaged row of the store, which is left out."""
    logger.error("damaged row left out", reason=str(damage), remedy="inferometer db check --repair")


def period(probe: Probe, config: Config) -> float:
    """Return the seconds between two reads of a probe: what is wanted, and no less than its sensors refresh in.

    A counter is read twice at least in the time in which it can wrap: more than one wrap would go unseen.
    """
    refreshes = [channel.refresh_seconds for channel in probe.channels if channel.refresh_seconds]
    wraps = min(map(shortest_wrap_seconds, probe.channels), default=math.inf)
    return min(max(config.period_of(probe.name), min(refreshes, default=0.0)), wraps / 2)


def _keeping(
    totals: Totals, host_total: HostTotal, writer: Writer, timebase: Timebase, wake: Callable[[], None]
) -> Callable[[Sequence[Tick]], None]:
    """Return what takes the ticks of a second for the store; it looks whether the clock was set, too."""

    def keep(ticks: Sequence[Tick]) -> None:
        if clock_was_set(timebase):
            wake()
        host_total.keep(ticks, totals, writer.append)

    return keep


def _close(probes: Sequence[Probe], hanging: Collection[Probe]) -> None:
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
    closing = threading.Thread(target=close, name="close", daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)
