"""`inferometer daemon`: sample, store and export until told to stop."""

from __future__ import annotations

import os
from typing import Annotated, NoReturn

import typer

from agent.cli.options import ExitCode, configured, fail


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
    from agent.config import Config, ConfigError, override
    from agent.daemon import DaemonError, run

    def read() -> Config:
        return override(configured(context.obj), listen=listen, log_level=log_level)

    try:
        run(read)
    except ConfigError as error:
        _end(str(error), ExitCode.USAGE)
    except DaemonError as error:
        _end(str(error), ExitCode.FAILURE)


def _end(message: str, code: ExitCode) -> NoReturn:
    """End with an error; in the journal it is a line of that level like all others."""
    if "JOURNAL_STREAM" not in os.environ:
        fail(message, code)
    from agent import log

    log.configure("error")
    log.get_logger("daemon").error(message)
    raise typer.Exit(int(code))
