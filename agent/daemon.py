"""The service: samples, stores and exports until a signal ends it; `run` reads from top to bottom."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from agent import log, notify
from agent.clock import Timebase
from agent.exporter import Exporter
from agent.host import describe_host
from agent.http import ListenError, serve
from agent.recorder import Recorder
from agent.sampler import Sampler
from probes.registry import discover
from store.database import daemon_lock, open_database
from store.errors import StoreError
from store.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from agent.config import Config
    from probes.registry import Discovery

_USUAL_WATCHDOG_SECONDS = 10.0

logger = log.get_logger("daemon")


class DaemonError(Exception):
    """The daemon cannot start: says what, why and what to do."""


class Signals:
    """What the signals asked for: SIGTERM and SIGINT to stop, SIGHUP to reload."""

    def __init__(self) -> None:
        self._woken = threading.Event()
        self.stopping = False
        self.reloading = False

    def wait(self, seconds: float) -> None:
        """Return when a signal came or the time is over."""
        self._woken.wait(seconds)
        self._woken.clear()

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals inside the block and give them back as they were."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.stopping = True
            self._woken.set()

        def reload(_number: int, _frame: FrameType | None) -> None:
            self.reloading = True
            self._woken.set()

        wanted = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGHUP: reload}
        before = {number: signal.signal(number, action) for number, action in wanted.items()}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)


def run(read_config: Callable[[], Config]) -> None:
    """Run until told to stop; `read_config` is asked again on SIGHUP. Raises DaemonError if it cannot start.

    A reload that cannot be used is logged, and the service goes on as it was.
    """
    config = read_config()
    log.configure(config.log_level)
    signals = Signals()
    with signals.caught():
        while not signals.stopping:
            with _started(config) as watch:
                notify.ready()
                watch(signals)
                if signals.stopping:
                    notify.stopping()
                    logger.info("stopping")
            if signals.reloading:
                signals.reloading = False
                config = _reloaded(read_config, config)
    logger.info("stopped")


def _reloaded(read_config: Callable[[], Config], config: Config) -> Config:
    try:
        fresh = read_config()
    except Exception as error:  # noqa: BLE001  whatever is wrong with the file, the service goes on with what it has
        logger.error("reload refused, nothing was changed", reason=str(error))  # noqa: TRY400  the reason says it
        return config
    log.configure(fresh.log_level)
    logger.info("reloaded")
    return fresh


@contextmanager
def _started(config: Config) -> Iterator[Callable[[Signals], None]]:
    """Start everything in order, hand over what to do meanwhile, and stop everything in the opposite order."""
    with ExitStack() as stack:
        try:
            engine = open_database(config.database)
            stack.callback(engine.dispose)
            stack.enter_context(daemon_lock(engine))
            discovery = discover(config.roots, estimates=config.estimates)
            stack.callback(discovery.close)
            _tell(discovery)
            timebase = Timebase.now()
            writer = Writer(engine)
            probes = [(probe.name, probe.channels) for probe in discovery.probes]
            layouts = writer.register(describe_host(config.roots), probes, "daemon", timebase.now_ns())
        except StoreError as error:
            raise DaemonError(str(error)) from error
        periods = [config.period_of(probe.name) for probe in discovery.probes]
        sampler = Sampler(list(zip(layouts, discovery.probes, periods, strict=True)), timebase)
        exporter = Exporter(
            layouts,
            sampler.states,
            lambda: sampler.dropped + recorder.dropped,
            timebase.now_ns,
            version("inferometer"),
        )
        recorder = Recorder(sampler.queue, writer.append, each=exporter.take, on_error=_StoreTrouble())
        try:
            server = serve(exporter, config.listen)
        except ListenError as error:
            raise DaemonError(str(error)) from error
        stack.callback(server.stop)
        recorder.start()
        stack.callback(recorder.stop)
        sampler.start()
        stack.callback(sampler.stop)
        logger.info("started", database=config.database, listen=server.address, probes=len(probes))
        yield lambda signals: _watch(signals, sampler, recorder)


def _tell(discovery: Discovery) -> None:
    for probe in discovery.probes:
        logger.info("probe found", probe=probe.name, channels=len(probe.channels))
    for problem in discovery.problems:
        logger.warning("cannot be read", sensor=problem.subject, reason=problem.reason, remedy=problem.remedy)
    for absence in discovery.absences:
        logger.debug("not here", family=absence.family, reason=absence.reason)


def _watch(signals: Signals, sampler: Sampler, recorder: Recorder) -> None:
    """Feed the watchdog and say how it goes, until a signal asks for something.

    The watchdog is fed only while some probe still reads, so that a service that does nothing any more is restarted.
    """
    interval = notify.watchdog_interval_seconds() or _USUAL_WATCHDOG_SECONDS
    ticks = -1
    while not (signals.stopping or signals.reloading):
        read = sum(state.ticks + state.failed for state in sampler.states)
        if read != ticks and recorder.alive:
            notify.watchdog()
        ticks = read
        up = sum(state.up for state in sampler.states)
        trouble = "; the store cannot be written" if recorder.failed else ""
        notify.status(f"{up} of {len(sampler.states)} probes up, {read} reads{trouble}")
        signals.wait(interval)
    if signals.reloading:
        notify.reloading()


class _StoreTrouble:
    """Says once that the store cannot be written, and again when the reason changes; samples wait meanwhile."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, error: Exception) -> None:
        if str(error) != self._said:
            self._said = str(error)
            logger.error("samples wait: the store cannot be written", reason=str(error))
