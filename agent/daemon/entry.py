"""`inferometerd`, the entry point of the service: reads settings from a file and the environment, without Typer."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agent.config import ConfigError, SharedOptions, resolve_config, variables_of
from agent.daemon import sd_notify as notify
from agent.runtime import logs as log
from agent.runtime.console import ExitCode, print_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.config import Config

_IMPORT_SECONDS = 120.0
"""The longest time of the imports on a busy host."""


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
    """Run the service, with a new configuration from `read_config` at each reload; return the exit code."""
    from agent.daemon.service import run  # noqa: PLC0415  slow to import
    from agent.daemon.startup import DaemonError  # noqa: PLC0415  same

    try:
        run(read_config)
    except ConfigError as error:
        return _ended(str(error), ExitCode.USAGE)
    except DaemonError as error:
        return _ended(str(error), ExitCode.FAILURE)
    return ExitCode.OK


def config_of(file: str | None, environment: Mapping[str, str]) -> Config:
    """Return the configuration from a file and the environment, which overrides the file. Raises ConfigError."""
    path = file or environment.get("INFEROMETER_CONFIG")
    return resolve_config(SharedOptions(Path(path) if path else None, variables=variables_of(environment)))


def _ended(message: str, code: ExitCode) -> ExitCode:
    """Report the error that ended the service: to the journal with its priority, else to standard error."""
    if "JOURNAL_STREAM" in os.environ:
        log.configure("error")
        log.get_logger("daemon").error(message)
    else:
        print_error(message, code)
    return code


if __name__ == "__main__":
    sys.exit(main())
