"""`inferometer daemon`: sample, store and export until told to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.cli.options import ExitCode, configuration, fail


def daemon(
    context: typer.Context,
    listen: Annotated[
        str | None,
        typer.Option(
            envvar="INFEROMETER_LISTEN", metavar="HOST:PORT", help="Where to export. [default: 127.0.0.1:19795]"
        ),
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(envvar="INFEROMETER_LOG_LEVEL", help="debug, info, warning or error. [default: info]")
    ] = None,
) -> None:
    """Sample the host's sensors, store them, and export them to Prometheus, until SIGTERM or Ctrl-C.

    SIGHUP reads the configuration file again. Under systemd it says when it is ready and feeds the watchdog. Log
    lines go to standard error.

    Example: inferometer daemon --config /etc/inferometer/config.toml
    """
    from agent.config import LOG_LEVELS, Config, override
    from agent.daemon import DaemonError, run

    def read() -> Config:
        config = override(configuration(context), listen=listen, log_level=log_level)
        if config.log_level not in LOG_LEVELS:
            fail(f"--log-level {config.log_level}: choose one of {', '.join(LOG_LEVELS)}", ExitCode.USAGE)
        return config

    try:
        run(read)
    except DaemonError as error:
        fail(str(error))
