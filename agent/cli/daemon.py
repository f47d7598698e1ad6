"""`inferometer daemon`: sample, store and export until a signal stops it; systemd runs `inferometerd` instead."""

from __future__ import annotations

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
    from agent.config import override, resolve_config
    from agent.daemon.entry import serve

    code = serve(lambda: override(resolve_config(context.obj), listen=listen, log_level=log_level))
    raise typer.Exit(code)
