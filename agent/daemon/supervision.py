"""Looks after the running service: feeds systemd's watchdog, tells how it goes, and notices what hangs."""

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
    from agent.runtime.clock import Timebase
    from agent.runtime.signals import ServiceSignals
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
    """Return by how much the clock was set, or the host slept, since it was found, in nanoseconds; 0 if it was not.

    `now` is the clock found anew.
    """
    if now is None and abs(timebase.quick_wall_clock_offset_ns()) <= _CLOCK_SET_NS:
        return 0  # it is looked at once a second, and this is a tenth of the work
    wall_clock_offset_ns = timebase.wall_clock_offset_ns() if now is None else now.offset_ns - timebase.offset_ns
    return wall_clock_offset_ns if abs(wall_clock_offset_ns) > _CLOCK_SET_NS else 0


@dataclass(frozen=True, slots=True)
class StoreFile:
    """The file of a store as it was when it was opened."""

    path: Path
    opened: os.stat_result

    @classmethod
    def at(cls, path: Path) -> StoreFile:
        """Note which file is there now."""
        return cls(path, path.stat())

    def is_gone(self) -> bool:
        """Tell whether it was deleted or another is in its place; what is written then, nobody will find."""
        try:
            return not os.path.samestat(self.path.stat(), self.opened)
        except FileNotFoundError:
            return True
        except OSError:  # it cannot be seen now, which the next write will say better
            return False


@dataclass(slots=True)
class Supervisor:
    """What runs between a start and a stop; `file` is the store's, where it is a file.

    Once the host has `suspended` nothing is read any more. `restarts_on_same_store` says that it ends for a start on
    the same store.
    """

    sampler: Sampler
    recorder: Recorder
    timebase: Timebase
    store_errors: StoreErrorLog
    exporter: Exporter
    database: str = ""
    file: StoreFile | None = None
    suspended: Callable[[], bool] = lambda: False
    hanging: frozenset[str] = frozenset()
    lock: DaemonLock | None = None
    restarts_on_same_store: bool = False

    def await_first_reads(self, signals: ServiceSignals) -> None:
        """Return when every probe has been read, or some hang, or a signal came."""
        deadline = time.monotonic() + _FIRST_READS_SECONDS
        while not signals.stopping and time.monotonic() < deadline:
            if all(state.tried for state in self.sampler.states):
                return
            signals.wait(_POLL_SECONDS)

    def check(self) -> None:
        """Feed the watchdog, and say how it goes to systemd, and to the log when a probe hangs or goes on.

        The watchdog is fed unless every probe there is hangs, or ticks are no longer taken: a new start may help then.
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
        """Return how many ticks are not stored yet."""
        return self.sampler.waiting + self.recorder.waiting

    def await_stored(self, signals: ServiceSignals) -> None:
        """Return when every tick is stored, or cannot be; the next start stores none of them. A stop ends the wait."""
        while self.restarts_on_same_store and not signals.stopping and self.recorder.alive and self.waiting():
            if (self.store_errors.reason and not self.store_errors.is_transient) or self.has_lost_store():
                return
            notify.watchdog()
            self.recorder.flush()
            signals.wait(_RETRY_SECONDS if self.store_errors.reason else _POLL_SECONDS)

    def has_lost_store(self) -> bool:
        """Return, and log, whether the ticks go into a file that is gone, or into a store that another daemon has."""
        if self.file and self.file.is_gone():
            logger.error("the database was deleted or replaced: it is opened anew", database=self.file.path)
            return True
        if self.lock and self.lock.lost:
            logger.error("another daemon has taken the database: this one starts anew", reason=self.lock.lost)
            return True
        return False

    def needs_restart(self) -> bool:
        """Return, and log, whether the ticks no longer bear the right time."""
        wall_clock_offset_ns = clock_step_ns(self.timebase)
        if not wall_clock_offset_ns and not self.suspended():
            return False
        wall_clock_offset_ns = wall_clock_offset_ns or self.timebase.wall_clock_offset_ns()
        logger.warning(
            "the clock was set or the host slept: a new recording begins", seconds=round(wall_clock_offset_ns / 1e9, 3)
        )
        return True

    def lost(self) -> str:
        """Say how many ticks a stop could not hand to the store any more, and why; nothing if there are none."""
        unsaved = self.waiting()
        return f"{unsaved} ticks are lost: {self.store_errors.reason or 'the store did not answer'}" if unsaved else ""


def reload_config(read_config: Callable[[], Config]) -> Config | None:
    """Read the configuration again; None, with the reason in the log, if it cannot be used."""
    notify.reloading()
    try:
        return read_config()
    except Exception as error:  # noqa: BLE001  whatever is wrong with the file, the service goes on as it was
        logger.error("reload refused, nothing was changed", reason=str(error))  # noqa: TRY400  the reason says it
        notify.ready()
        return None


def supervise(
    signals: ServiceSignals, service: Supervisor, read_config: Callable[[], Config], config: Config
) -> Config:
    """Look after the service until it is to end or to start anew; return the configuration to start with.

    A restart would lose the ticks that wait for the store. It is put off until the store takes them, unless the store
    never will: its file is gone, another daemon has it, or the new configuration names another one.
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
    """Return how often to look after everything: as often as systemd's watchdog asks for, else every ten seconds."""
    return min(notify.watchdog_interval_seconds() or _CHECK_SECONDS, _CHECK_SECONDS)
