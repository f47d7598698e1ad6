"""`inferometer daemon`: sample, store and export until told to stop; the service takes the place of this process."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer


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
    from agent.cli.serving import Given

    given = Given(context.obj, listen, log_level)
    environment = given.to_environment(os.environ)
    # -P: the module must come from where this one came, not from whatever stands in the current directory.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "agent.cli.serving"], environment)  # noqa: S606  no shell is meant
