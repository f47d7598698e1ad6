"""Supervises the running service: serves systemd's watchdog, reports the status, and decides on restarts."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.daemon import sd_notify as notify
from agent.runtime import logs as log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.api.metrics import Exporter
    from agent.config import Config
    from agent.daemon.service_signals import ServiceSignals
    from agent.runtime.clock import Timebase
    from agent.sampling.recorder import Recorder
    from agent.sampling.sampler import Sampler
    from agent.sampling.store_state import StoreErrorLog
    from store.daemon_lock import DaemonLock

_FIRST_READS_SECONDS = 5.0
_POLL_SECONDS = 0.01
_CLOCK_SET_NS = 500_000_000
_CHECK_SECONDS = 10.0
_RETRY_SECONDS = 1.0

logger = log.get_logger("daemon")


def clock_step_ns(timebase: Timebase, now: Timebase | None = None) -> int:
    """Return the step of the wall clock since `timebase` was measured, in nanoseconds; 0 if there was none.

    A suspension is a step as well. `now` is a new measurement of the clocks.
    """
    if now is None and abs(timebase.quick_wall_clock_offset_ns()) <= _CLOCK_SET_NS:
        return 0  # called once a second, and this needs a tenth of the time
    wall_clock_offset_ns = timebase.wall_clock_offset_ns() if now is None else now.offset_ns - timebase.offset_ns
    return wall_clock_offset_ns if abs(wall_clock_offset_ns) > _CLOCK_SET_NS else 0


@dataclass(frozen=True, slots=True)
class StoreFile:
    """The file of a store as it was when it was opened."""

    path: Path
    opened: os.stat_result

    @classmethod
    def at(cls, path: Path) -> StoreFile:
        """Return the file that is at a path now."""
        return cls(path, path.stat())

    def is_gone(self) -> bool:
        """Return whether the file was deleted or replaced, so that new samples would be lost."""
        try:
            return not os.path.samestat(self.path.stat(), self.opened)
        except FileNotFoundError:
            return True
        except OSError:  # the next write reports the cause
            return False


@dataclass(slots=True)
class Supervisor:
    """The parts of the service between a start and a stop; `file` is the store's file, None for a server.

    After the host was `suspended` nothing is read. `meter_answers` returns whether a meter answers that was absent.
    `restarts_on_same_store` is set before a restart on the same store.
    """

    sampler: Sampler
    recorder: Recorder
    timebase: Timebase
    store_errors: StoreErrorLog
    exporter: Exporter
    database: str = ""
    file: StoreFile | None = None
    suspended: Callable[[], bool] = lambda: False
    meter_answers: Callable[[], bool] = lambda: False
    hanging: frozenset[str] = frozenset()
    lock: DaemonLock | None = None
    restarts_on_same_store: bool = False

    def await_first_reads(self, signals: ServiceSignals) -> None:
        """Return when every probe was read, after a few seconds if some hang, or at a signal."""
        deadline = time.monotonic() + _FIRST_READS_SECONDS
        while not signals.stopping and time.monotonic() < deadline:
            if all(state.tried for state in self.sampler.states):
                return
            signals.wait(_POLL_SECONDS)

    def check(self) -> None:
        """Serve the watchdog, report the status to systemd, and log each probe that begins or ceases to hang.

        The watchdog is not served if every probe hangs or the recorder has ended: a restart may help then.
        """
        now_ns = time.monotonic_ns()
        reading = [state for state in self.sampler.states if not state.lost]
        hanging = frozenset(state.probe for state in reading if state.hangs(now_ns))
        for name in sorted(hanging - self.hanging):
            logger.warning("probe hangs: its driver does not answer", probe=name)
        for name in sorted(self.hanging - hanging):
            logger.info("probe hangs no longer", probe=name)
        self.hanging = hanging
        if self.recorder.alive and (not reading or len(hanging) < len(reading)):
            notify.watchdog()
        notify.status(self._status())

    def _status(self) -> str:
        states = self.sampler.states
        up = sum(state.up and state.tried and state.probe not in self.hanging for state in states)
        reads = sum(state.ticks + state.failed for state in states)
        store_errors = self.store_errors.state(self.waiting).summary()
        return f"{up} of {len(states)} probes up, {reads} reads{'; ' if store_errors else ''}{store_errors}"

    def waiting(self) -> int:
        """Return the number of ticks that are not stored yet."""
        return self.sampler.waiting + self.recorder.waiting

    def await_stored(self, signals: ServiceSignals) -> None:
        """Wait until every tick is stored or cannot be, as the next start stores none of them; a stop ends the wait."""
        while self.restarts_on_same_store and not signals.stopping and self.recorder.alive and self.waiting():
            if (self.store_errors.reason and not self.store_errors.is_transient) or self.has_lost_store():
                return
            notify.watchdog()
            self.recorder.flush()
            signals.wait(_RETRY_SECONDS if self.store_errors.reason else _POLL_SECONDS)

    def has_lost_store(self) -> bool:
        """Return, and log, whether the file of the store is gone or another daemon uses the store."""
        if self.file and self.file.is_gone():
            logger.error("the database was deleted or replaced: opening it again", database=self.file.path)
            return True
        if self.lock and self.lock.lost:
            logger.error("another daemon has taken the database: restarting", reason=self.lock.lost)
            return True
        return False

    def needs_restart(self) -> bool:
        """Return, and log, whether new ticks would have wrong times, or lack a meter that answers now."""
        if self.meter_answers():
            return True
        wall_clock_offset_ns = clock_step_ns(self.timebase)
        if not wall_clock_offset_ns and not self.suspended():
            return False
        wall_clock_offset_ns = wall_clock_offset_ns or self.timebase.wall_clock_offset_ns()
        logger.warning(
            "the clock was set or the host was suspended: a new recording begins",
            seconds=round(wall_clock_offset_ns / 1e9, 3),
        )
        return True

    def lost(self) -> str:
        """Return a sentence with the number of ticks that a stop could not store, and the cause; empty for none."""
        unsaved = self.waiting()
        return f"{unsaved} ticks are lost: {self.store_errors.reason or 'the store did not answer'}" if unsaved else ""


def reload_config(read_config: Callable[[], Config]) -> Config | None:
    """Read the configuration again; return None, and log the reason, if it is not valid."""
    notify.reloading()
    try:
        return read_config()
    except Exception as error:  # noqa: BLE001  after any error in the file, the service continues unchanged
        logger.error("reload refused, nothing was changed", reason=str(error))  # noqa: TRY400  the reason is enough
        notify.ready()
        return None


def supervise(
    signals: ServiceSignals, service: Supervisor, read_config: Callable[[], Config], config: Config
) -> Config:
    """Supervise the service until it must stop or restart; return the configuration to restart with.

    A restart would lose the ticks that wait for the store. It is deferred until they are stored, unless that is
    impossible: the file of the store is gone, another daemon uses it, or the new configuration names another store.
    """
    interval = check_interval_seconds()
    wanted, restart_due, deferral_logged = config, False, True
    while not signals.stopping:
        if signals.reloading:
            signals.reloading = False
            if read := reload_config(read_config):
                wanted, restart_due, deferral_logged = read, True, False
        if service.has_lost_store() or wanted.database != config.database:
            return wanted
        if not restart_due and service.needs_restart():
            restart_due, deferral_logged = True, False
        if restart_due and not service.store_errors.is_transient:
            service.restarts_on_same_store = True
            return wanted
        if not deferral_logged:
            deferral_logged = True
            logger.warning(
                "the restart is deferred until the store can be written again", reason=service.store_errors.reason
            )
            notify.ready()
        service.check()
        signals.wait(interval)
    notify.stopping()
    logger.info("stopping")
    return config


def check_interval_seconds() -> float:
    """Return the seconds between two checks: as the watchdog requires, at most ten."""
    return min(notify.watchdog_interval_seconds() or _CHECK_SECONDS, _CHECK_SECONDS)
