"""`inferometer daemon`: samples, stores and exports until a signal stops it; systemd runs `inferometerd` instead."""

from __future__ import annotations

import typer

from agent.cli.arguments import with_settings
from agent.config.table import SETTINGS


@with_settings([setting for setting in SETTINGS if setting.command == "daemon"])
def daemon(context: typer.Context, **given: str | list[str] | bool | None) -> None:
    """Sample the host's sensors, store the samples and export them to Prometheus, until SIGTERM or Ctrl-C.

    SIGHUP reads the configuration file again. Under systemd the daemon reports that it is ready and feeds the watchdog.
    Log lines go to standard error.

    Example: inferometer daemon --config /etc/inferometer/config.toml
    """
    from agent.config import override, resolve_config
    from agent.daemon.entry import serve

    code = serve(lambda: override(resolve_config(context.obj), **given))
    raise typer.Exit(code)
