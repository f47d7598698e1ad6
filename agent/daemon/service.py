"""The service: samples, stores and exports until a signal ends it; `run` reads from top to bottom."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from agent.api.endpoint import Endpoint
from agent.api.sockets import ListenError
from agent.api.web_config import WebConfigError
from agent.daemon import sd_notify as notify
from agent.daemon.absent_meters import AbsentMeters
from agent.daemon.service_signals import ServiceSignals
from agent.daemon.startup import DaemonError, StoppedError, running, unix_address
from agent.daemon.supervision import Supervisor, check_interval_seconds, reload_config, supervise
from agent.runtime import logs as log
from agent.sampling.store_state import StoreRetry
from store.errors import StoreError, TransientStoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config import Config
    from agent.sampling.counter_accumulator import Totals

logger = log.get_logger("daemon")


def run(read_config: Callable[[], Config]) -> None:
    """Run until a signal stops the service; SIGHUP calls `read_config` again.

    A reload restarts everything except the HTTP server, and so discovers new devices. A configured meter that answers
    after it was absent has the same effect. Meanwhile the server responds with the last values. An invalid
    configuration changes nothing; if the new configuration fails to start, the service falls back to the previous one.
    Raises DaemonError, and the error of the first call of `read_config`.
    """
    wanted, config = read_config(), None
    memory: Totals = {}
    signals = ServiceSignals()
    retry, absent = StoreRetry(), AbsentMeters()
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
                except StoppedError:
                    notify.stopping()
                    break
                retry = StoreRetry()
                service.await_first_reads(signals)
                endpoint.show(service.exporter, config.hosts)
                if reload:
                    notify.ready()
                probes = len(service.sampler.states)
                absent.watch(config, (channel for layout in service.sampler.layouts for channel in layout.channels))
                service.meter_answers = absent.answer
                for warning in config.warnings:
                    logger.warning(warning)
                logger.info(
                    "started",
                    database=service.database,
                    listen=endpoint.address,
                    socket=endpoint.unix_path,
                    probes=probes,
                )
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
    memory: Totals,
    signals: ServiceSignals,
    endpoint: Endpoint,
) -> tuple[Supervisor, Config]:
    """Start with the configuration `wanted`, or with `before` if that fails; return the service and the one in use."""
    try:
        return stack.enter_context(running(wanted, memory, signals, endpoint, first=before is None)), wanted
    except StoppedError:
        raise
    except Exception as error:
        if before in {None, wanted}:
            raise
        trace = None if isinstance(error, DaemonError | StoreError) else error
        logger.error("reload failed, continuing as before", reason=str(error), exc_info=trace)  # noqa: TRY400  only a fault needs its trace
        return stack.enter_context(running(before, memory, signals, endpoint)), before


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
    Raises DaemonError if an address cannot be bound, or its web configuration cannot be used.
    """
    until = time.monotonic() + retry.after(error)
    try:
        endpoint.bind(wanted.listen, unix_address(wanted), wanted.web_config)
    except (ListenError, WebConfigError) as refused:
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
