"""`inferometer daemon`: samples, stores and exports until a signal stops it; systemd runs `inferometerd` instead."""

from __future__ import annotations

import typer

from agent.cli.arguments import DAEMON_SETTINGS, with_settings


@with_settings(DAEMON_SETTINGS)
def daemon(context: typer.Context, **given: str | list[str] | bool | None) -> None:
    """Sample the host's sensors, store the samples and export them to Prometheus, until SIGTERM or Ctrl-C.

    SIGHUP reads the configuration file again. Under systemd the daemon reports that it is ready and feeds the watchdog.
    Log lines go to standard error.

    Example: inferometer daemon --config /etc/inferometer/config.toml
    """
    from agent.config import SharedOptions, resolve_config
    from agent.daemon.entry import serve

    shared: SharedOptions = context.obj
    options = SharedOptions(shared.config_file, {**shared.given, **given}, shared.variables)
    code = serve(lambda: resolve_config(options))
    raise typer.Exit(code)
