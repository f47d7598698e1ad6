"""`inferometerd`, the service's entry point: reads its settings from one file and the environment, without Typer."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agent.config import ConfigError, SharedOptions, override, resolve_config
from agent.daemon import sd_notify as notify
from agent.runtime import logs as log
from agent.runtime.console import ExitCode, print_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.config import Config

_IMPORT_SECONDS = 120.0
"""On a host under load it may take so long until everything is imported."""
_FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}
"""The words that the command line accepts for a flag in the environment."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service until a signal stops it; return the exit code."""
    notify.extend_timeout(_IMPORT_SECONDS)
    parser = _Parser(
        prog="inferometerd",
        description="Sample the host's sensors, store them, and export them to Prometheus, until SIGTERM or Ctrl-C.",
        epilog="INFEROMETER_DATABASE and the other variables of `inferometer daemon --help` override the file.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help="configuration file (TOML)")
    given = parser.parse_args(arguments)
    return serve(lambda: config_of(given.config, os.environ))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print_error(f"{message}; see `inferometerd --help`", ExitCode.USAGE)
        raise SystemExit(ExitCode.USAGE)


def serve(read_config: Callable[[], Config]) -> int:
    """Run the service with what `read_config` returns, now and at each reload; return the exit code."""
    from agent.daemon.service import DaemonError, run  # noqa: PLC0415  slow to import

    try:
        run(read_config)
    except ConfigError as error:
        return _ended(str(error), ExitCode.USAGE)
    except DaemonError as error:
        return _ended(str(error), ExitCode.FAILURE)
    return ExitCode.OK


def config_of(file: str | None, environment: Mapping[str, str]) -> Config:
    """Read the configuration file and override it by the environment. Raises ConfigError."""

    def text(name: str) -> str | None:
        return environment.get(f"INFEROMETER_{name}") or None

    path = file or text("CONFIG")
    options = SharedOptions(
        Path(path) if path else None,
        text("DATABASE"),
        text("PATH_SYSFS"),
        text("PATH_PROCFS"),
        text("PATH_NVML_LIBRARY"),
        _flag("INFEROMETER_ESTIMATES", text("ESTIMATES")),
        _number("INFEROMETER_CPU_BUDGET", text("CPU_BUDGET")),
        _flag("INFEROMETER_REALTIME", text("REALTIME")),
    )
    return override(resolve_config(options), listen=text("LISTEN"), log_level=text("LOG_LEVEL"))


def _flag(name: str, text: str | None) -> bool | None:
    if text is None:
        return None
    if (flag := _FLAGS.get(text.lower())) is None:
        raise ConfigError(f"{name} = {text!r} is neither true nor false; write it as 1 or 0")
    return flag


def _number(name: str, text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise ConfigError(f"{name} = {text!r} is not a number") from None


def _ended(message: str, code: ExitCode) -> ExitCode:
    """Report the error that ended the service: to the journal with its priority, else as the command line does."""
    if "JOURNAL_STREAM" in os.environ:
        log.configure("error")
        log.get_logger("daemon").error(message)
    else:
        print_error(message, code)
    return code


if __name__ == "__main__":
    sys.exit(main())
